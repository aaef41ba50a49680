#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace faultline {

/** The records of one case, sorted by their use. */
struct CaseTrials {
  nlohmann::json description;                     // the record's "case"
  std::vector<const nlohmann::json*> all;         // every record
  std::vector<const nlohmann::json*> throughput;  // ended ok, clock not read
  std::vector<const nlohmann::json*> latency;     // ended ok, clock read at every operation
};

/**
 * One entry of the final file's "cases": medians with bootstrap 95 % intervals over repetitions,
 * merged histograms, totals of events. Where the repetitions have two modes, all of these are over
 * one of them; see main_mode_of. Values that no trial measured are absent. Throws
 * nlohmann::json::exception for a malformed record.
 */
nlohmann::json aggregate_case(const CaseTrials& trials);

/** The median of `values` and its interval as JSON; one value has no interval. */
nlohmann::json estimate(const std::vector<double>& values);

/** The ratio of medians, `changed` over `base`, as JSON; no interval where either is one value.
 * Throws std::invalid_argument if either is empty or a base value is not positive. */
nlohmann::json ratio_estimate(const std::vector<double>& base, const std::vector<double>& changed);

/** Rates of the case's throughput trials, operations per second. */
std::vector<double> rates(const CaseTrials& trials);

}  // namespace faultline
