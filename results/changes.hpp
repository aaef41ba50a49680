#pragma once

#include <nlohmann/json.hpp>
#include <ostream>
#include <vector>

namespace faultline {

/**
 * What changes of one mechanism do, simulated both ways. `parts`: the "faultline" parts of results;
 * `reference`: a file of results/reference/ as JSON, whose "changes" say which cases stand for
 * before and after:
 *
 *   {NAME: {"about", "source", "published", "kind", "case", "before", "after"}}
 *
 * "case" adds to the reference's "workload" and "machine", or replaces them. "kind" is the kind of
 * the operations whose rate counts. "published" is the published change of the rate, a share above
 * -1; a change without it is a prediction.
 *
 * The answer is
 *
 *   [{"name", "about", "source", "published", "before", "after",
 *     "points": [{"cpus", "before": {"median", "low", "high"}, "after", "change", "doubtful"}]}]
 *
 * "before" and "after" are the cases, and in a point their rates. "change" is the rate after over
 * the rate before, less 1. A change whose cases are in no result is left out. Throws
 * nlohmann::json::exception and std::invalid_argument for a malformed reference.
 */
nlohmann::json changes_of(const std::vector<nlohmann::json>& parts,
                          const nlohmann::json& reference);

/** Prints what changes_of returned. */
void print_changes(std::ostream& out, const nlohmann::json& changes);

}  // namespace faultline
