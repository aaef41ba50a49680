#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <vector>

namespace faultline {

/** Rates by number of CPUs. */
using Curve = std::map<int, double>;

/** The distance of two curves at the points that both have, in decades: 0.3 is a factor of two. */
struct FitError {
  double mean = 0;   // of the absolute log10 errors
  double worst = 0;  // the largest absolute log10 error
  std::size_t points = 0;
};
FitError error_of(const Curve& reference, const Curve& model);

/**
 * The curves of three models without any mechanism, each fitted to `reference` itself as well as it
 * can be (least squares of the logarithms): "flat", "linear", and "Amdahl", r * n / (1 + s * (n -
 * 1)) with s from 0 to 1. A simulation is worth something if it is nearer than these.
 */
std::map<std::string, Curve> trivial_models(const Curve& reference);

/** The number of CPUs at which the curve is highest; the smallest such number. */
int peak_of(const Curve& curve);

/** The published curves of the project, a file under results/reference/. */
std::string published_curves_path();

/**
 * How far simulated cases are from published curves. `parts`: the "faultline" parts of results;
 * `reference`: a file as results/reference/ has them, which says which case stands for which
 * system.
 *   {"source", "machine", "workload", "systems": [{"name", "about", "case",
 *      "points": [{"cpus", "published", "simulated": {"median", "low", "high"}, "decades"}],
 *      "published_points", "error": {"mean", "worst", "points"}, "peak": {"published",
 * "simulated"}, "linear", "trivial": [{"name", "mean", "worst", "beaten"}]}], "orders": [{"cpus",
 * "published", "simulated", "same"}]} Errors and peaks are over the points that both have;
 * "linear": the published curve is itself within 0.1 decades of a line, on average. There are no
 * trivial models over less than three points, and no systems where no case stands for one. Throws
 * std::invalid_argument for a file that is no reference.
 */
nlohmann::json fit_of(const std::vector<nlohmann::json>& parts, const std::string& reference);

/**
 * Prints what fit_of tells of the results in these files. Throws std::invalid_argument, before
 * anything is printed, for a file that cannot be read, and where no result has a case that the
 * reference names.
 */
void print_fit(const std::vector<std::string>& results, const std::string& reference,
               std::ostream& out);

}  // namespace faultline
