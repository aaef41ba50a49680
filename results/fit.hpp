#pragma once

#include <map>
#include <ostream>
#include <string>
#include <vector>

namespace faultline {

/** Rates by number of CPUs. */
using Curve = std::map<int, double>;

/** How far off a curve is at the points that both have, in decades: 0.3 is a factor of two. */
struct FitError {
  double mean = 0;   // of the absolute log10 errors
  double worst = 0;  // of them
  std::size_t points = 0;
};
FitError error_of(const Curve& reference, const Curve& model);

/**
 * The curves of three models without any mechanism, each fitted to `reference` itself as well as it
 * can be (least squares of the logarithms): "flat", "linear", and "Amdahl", r * n / (1 + s * (n -
 * 1)) with s from 0 to 1. A simulation, which is not fitted, is worth something where it is nearer.
 */
std::map<std::string, Curve> trivial_models(const Curve& reference);

/** The number of CPUs at which the curve is highest; of several the least. */
int peak_of(const Curve& curve);

/**
 * Prints how far simulated results are from published curves: per curve and point both rates and
 * the log10 error; mean and worst; where the peaks are; the trivial models' errors beside it; and
 * the order of the systems at each point. `reference`: a file as results/reference/ has them, which
 * says which case stands for which system. Throws std::invalid_argument for a file that is not
 * such, and where no result has a case that it names.
 */
void print_fit(const std::vector<std::string>& results, const std::string& reference,
               std::ostream& out);

}  // namespace faultline
