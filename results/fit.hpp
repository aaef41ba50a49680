#pragma once

#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <vector>

namespace faultline {

/** Rates by number of CPUs. */
using Curve = std::map<int, double>;

/** The distance of two curves at the points that both have, in decades. 0.3 is a factor of two. */
struct FitError {
  double mean = 0;   // of the absolute log10 errors
  double worst = 0;  // the largest absolute log10 error
  int worst_at = 0;  // the number of CPUs of that point
  std::size_t points = 0;
};
FitError error_of(const Curve& reference, const Curve& model);

/**
 * The curves of three models without any mechanism, each fitted to `reference` itself as well as
 * possible (least squares of the logarithms): "flat", "linear", and "Amdahl", r * n / (1 + s * (n -
 * 1)) with s from 0 to 1. A simulation is worth something if it is nearer than these.
 */
std::map<std::string, Curve> trivial_models(const Curve& reference);

/** The number of CPUs at which the curve is highest; the smallest such number. */
int peak_of(const Curve& curve);

/** The rungs of the ladder, the lowest first. A curve is believed as far as the rung below holds.
 */
inline constexpr std::array<const char*, 4> rungs = {"line", "lock", "address space", "change"};

/** The published curves of the project: the files in results/reference/, by name. */
std::vector<std::string> published_curves();

/**
 * How far simulated cases are from published curves. `parts`: the "faultline" parts of results;
 * `reference`: a file as results/reference/ has them, which says which case stands for which
 * system.
 *   {"name", "rung", "source", "machine", "workload", "unit", "systems": [{"name", "about", "case",
 *      "fitted", "group",
 *      "points": [{"cpus", "published", "simulated": {"median", "low", "high"}, "decades",
 *                  "doubtful"}],
 *      "published_points", "error": {"mean", "worst", "worst_at", "points"},
 *      "peak": {"published", "simulated"}, "linear",
 *      "trivial": [{"name", "mean", "worst", "beaten"}]}],
 *    "orders": [{"group", "cpus", "published", "simulated", "same"}],
 *    "changes": as changes_of returns them}
 *
 * "name" is the file's name without its extension, "rung" one of `rungs`. "fitted" names the
 * model's constants that were fitted to the curve (development data); it is empty for a prediction.
 * "doubtful" says why the simulated point should not be trusted; most points have none.
 * Errors and peaks are over the points that both curves have. "linear": the published curve is
 * within 0.1 decades of a line, on average. There are no trivial models over less than three
 * points, and no systems where no case represents one. Throws
 * std::invalid_argument for a file that is no reference.
 */
nlohmann::json fit_of(const std::vector<nlohmann::json>& parts, const std::string& reference);

/** fit_of for those of the references that name a case of the results, the lowest rung first. */
std::vector<nlohmann::json> fits_of(const std::vector<nlohmann::json>& parts,
                                    const std::vector<std::string>& references);

/**
 * Prints what fits_of tells of the results in these files: each curve, and then all of them as one
 * table. Returns what fits_of returned. Throws std::invalid_argument, before anything is printed,
 * for a file that cannot be read, and where no result has a case that a reference names.
 */
std::vector<nlohmann::json> print_fit(const std::vector<std::string>& results,
                                      const std::vector<std::string>& references,
                                      std::ostream& out);

}  // namespace faultline
