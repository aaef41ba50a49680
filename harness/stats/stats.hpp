#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace faultline {

/** A median, or a ratio of medians, with its confidence interval; in the unit of the values. */
struct Estimate {
  double median = 0;
  double low = 0;
  double high = 0;
};

/** How to resample for an interval. The same options and values give the same interval on every
 * machine. */
struct Bootstrap {
  double confidence = 0.95;  // in (0, 1)
  std::size_t resamples = 2000;
  std::uint64_t seed = 1;
};

/** Middle value, or the mean of the two middle values. Throws std::invalid_argument if there are
 * none. */
double median(std::span<const double> values);

/**
 * Quantile `q` in [0, 1] of values in any order, interpolated linearly between neighbours (Hyndman
 * and Fan's type 7). Throws std::invalid_argument if there are no values or `q` is out of range.
 */
double quantile(std::span<const double> values, double q);

/** The median and its percentile bootstrap interval (Efron). One value gives an interval of width
 * 0. Throws std::invalid_argument if there are no values. */
Estimate bootstrap_median(std::span<const double> values, const Bootstrap& options = {});

/**
 * The ratio of medians, changed over base, and its percentile bootstrap interval; both samples are
 * resampled. Throws std::invalid_argument if either is empty or a base value is not positive.
 */
Estimate bootstrap_ratio(std::span<const double> base, std::span<const double> changed,
                         const Bootstrap& options = {});

struct RankTest {
  double u = 0;  // pairs in which the first sample's value is larger; ties count half
  double p = 1;  // two-sided
  bool exact = false;
};

/**
 * Mann-Whitney U test (Mann and Whitney 1947). Exact without ties while |a|*|b| <= 400; otherwise
 * the normal approximation with the correction for ties and for continuity. An empty sample gives p
 * = 1.
 */
RankTest mann_whitney(std::span<const double> a, std::span<const double> b);

/** The smallest two-sided p that samples of these sizes can reach: 2 / C(n + m, n), at most 1. */
double smallest_p(std::size_t n, std::size_t m);

/** The p values after Holm's step-down correction (1979), in the order given; each at most 1. */
std::vector<double> holm(std::span<const double> p_values);

/** Jain's index, (sum x)^2 / (n * sum x^2): 1 when all values are equal, also when all are 0; 1/n
 * when all but one are 0. Throws std::invalid_argument if there are no values. */
double jain(std::span<const double> values);

/** How many times the value below the one above a gap between two modes() must at least be. */
inline constexpr double mode_gap = 1.3;
/** How many times wider, on a logarithmic scale, that gap must be than the wider of its two groups.
 */
inline constexpr double mode_clearance = 3;
/** How many values modes() needs: two on each side of a gap, since a single value apart may be an
 * outlier. */
inline constexpr std::size_t fewest_for_modes = 4;

/**
 * The values in ascending order, in two groups if a clear gap divides them, else in one. The gap is
 * clear by mode_gap and mode_clearance, with two values or more on either side. If more than one
 * gap is clear, the widest divides. Among values of one lognormal distribution, whatever its width,
 * at most 7 in 100 samples of four and 2 in 100 of six seem to have two modes. Values of 0 or less
 * are never divided.
 */
std::vector<std::vector<double>> modes(std::span<const double> values);

}  // namespace faultline
