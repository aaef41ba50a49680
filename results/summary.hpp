#pragma once

#include <nlohmann/json.hpp>
#include <ostream>
#include <string>

namespace faultline {

/** A rate with three digits and its SI prefix: "1.23 M", "61.7 k". */
std::string human_rate(double per_second);

/**
 * Where the numbers of a file's "faultline" part are from, so that nobody takes simulated numbers
 * for measured ones: "native, HOST, CPU, DATE, build COMMIT", "simulated on e7-8870, seeds 1-6,
 * build COMMIT".
 */
std::string provenance(const nlohmann::json& part);

/**
 * The table that ends a run: per workload and placement, per scheme a row, per number of threads
 * the median throughput, half its 95 % interval and its ratio to the best, or the medians of two
 * modes; then failures, doubtful cases, discarded trials and what was left out. `results` is a
 * whole final file, as load_results or recover return it.
 */
void print_summary(std::ostream& out, const nlohmann::json& results);

}  // namespace faultline
