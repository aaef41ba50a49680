#pragma once

#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <vector>

namespace faultline {

/**
 * What results say about questions that people argued over. Every sentence is made from the
 * numbers; a file of results/questions/ has no answer in it. `parts`: the "faultline" parts of
 * results; `asked`: such a file as JSON,
 *
 *   {"title", "source", "questions": [{"name", "question", "said": [TEXT], "open": [TEXT],
 *     "comparisons": [{"what", "case", "base", "other", "measure"}],
 *     "shares": [{"what", "case"}]}]}
 *
 * "said" is who claimed what, and "open" what of the question no comparison covers. "base" and
 * "other" are each added to "case" and name two cases that are compared at each number of CPUs.
 * "measure" is "throughput" (the default), "rate of KIND" or "pNN of KIND", where KIND is a kind of
 * operation such as unmap.
 *
 * The answer has the same members; each comparison becomes
 *
 *   {"what", "base", "other", "measure", "machines": [{"where", "simulated", "sentence",
 *     "points": [{"cpus", "base", "other", "ratio", "verdict", "doubtful"}]}]}
 *
 * and each of the shares, which say where the time of one case goes,
 *
 *   {"what", "machines": [{"where", "simulated", "sentence", "points":
 *     [{"cpus", "work", "waiting", "stall", "shootdown", "line": {"label", "share"},
 * "doubtful"}]}]}
 *
 * "ratio" is other over base, with its interval where repetitions allow one. "verdict" is "higher",
 * "lower", "not decided" (the interval contains 1), "no interval", or "none completed": a
 * repetition completed no such operation, and the point has "none": {"base", "of_base", "other",
 * "of_other"}, the numbers of such repetitions, instead of values and ratio. The sentence names the
 * numbers of CPUs at which one of the two was not measured.
 *
 * Both cases are from one file and machine. An axis that the question does not name has its
 * default, or, where no case has all defaults, the same value on both sides, which "where" then
 * names. Oversubscribed cases are left out. A native case has the share of waiting alone. What has
 * no cases in these results has no machines; the answer is null where that holds for all of a file.
 * Throws nlohmann::json::exception and std::invalid_argument for a malformed file.
 */
nlohmann::json answers_of(const std::vector<nlohmann::json>& parts, const nlohmann::json& asked);

/** What answers_of says about each file of results/questions/, where it says anything, with the
 * "name" of the file. Throws std::invalid_argument, which names the file, for a malformed one. */
std::vector<nlohmann::json> all_answers(const std::vector<nlohmann::json>& parts);

/** Prints all_answers about the results in these files. False: there are none. Throws as
 * load_results and all_answers do. */
bool print_answers_of(const std::vector<std::string>& files, std::ostream& out);

}  // namespace faultline
