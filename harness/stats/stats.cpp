#include "harness/stats/stats.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>

namespace faultline {
namespace {

/** Median of at least one value. Reorders the values. */
double median_of(std::vector<double>& values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

/** The median of one resample. Draws indices by a remainder, because uniform_int_distribution gives
 * different numbers in different libraries. */
double resampled_median(std::span<const double> values, std::mt19937_64& random,
                        std::vector<double>& scratch) {
  scratch.resize(values.size());
  for (double& value : scratch) value = values[random() % values.size()];
  return median_of(scratch);
}

Estimate interval(double centre, const std::vector<double>& resampled, double confidence) {
  const double tail = (1 - confidence) / 2;
  return {centre, quantile(resampled, tail), quantile(resampled, 1 - tail)};
}

void require_values(std::span<const double> values, const char* where) {
  if (values.empty()) {
    throw std::invalid_argument(std::string("no values, ") + where + ", expected at least one");
  }
}

/** Two-sided p of U <= u, from the number of arrangements that give each value of U (Mann and
 * Whitney's recurrence). */
double exact_p(std::size_t n, std::size_t m, double u) {
  const std::size_t most = n * m;
  // ways[k]: the number of subsets with U = k. These are the coefficients of a Gaussian binomial,
  // which the loop multiplies out factor by factor.
  std::vector<double> ways(most + 1, 0.0);
  ways[0] = 1;
  for (std::size_t i = 1; i <= n; ++i) {
    for (std::size_t k = most; k + 1 > m + i; --k) ways[k] -= ways[k - (m + i)];
    for (std::size_t k = i; k <= most; ++k) ways[k] += ways[k - i];
  }
  double all = 0;
  double tail = 0;
  for (std::size_t k = 0; k <= most; ++k) {
    all += ways[k];
    if (static_cast<double>(k) <= u) tail += ways[k];
  }
  return std::min(1.0, 2 * tail / all);
}

double approximate_p(double n, double m, double u, double ties) {
  const double total = n + m;
  const double variance = n * m / 12 * ((total + 1) - ties / (total * (total - 1)));
  if (!(variance > 0)) return 1;  // all values are equal
  const double distance = std::max(0.0, std::abs(u - n * m / 2) - 0.5);
  return std::min(1.0, std::erfc(distance / std::sqrt(2 * variance)));
}

}  // namespace

double median(std::span<const double> values) {
  require_values(values, "median");
  std::vector<double> copy(values.begin(), values.end());
  return median_of(copy);
}

double quantile(std::span<const double> values, double q) {
  require_values(values, "quantile");
  if (!(q >= 0 && q <= 1)) throw std::invalid_argument("quantile out of range, expected 0 to 1");
  std::vector<double> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  const double place = q * static_cast<double>(sorted.size() - 1);
  const std::size_t below = static_cast<std::size_t>(place);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return std::lerp(sorted[below], sorted[above], place - static_cast<double>(below));
}

Estimate bootstrap_median(std::span<const double> values, const Bootstrap& options) {
  const double centre = median(values);
  std::mt19937_64 random(options.seed);
  std::vector<double> scratch;
  std::vector<double> medians(options.resamples);
  for (double& one : medians) one = resampled_median(values, random, scratch);
  return interval(centre, medians, options.confidence);
}

Estimate bootstrap_ratio(std::span<const double> base, std::span<const double> changed,
                         const Bootstrap& options) {
  require_values(base, "base of a ratio");
  require_values(changed, "ratio");
  if (*std::min_element(base.begin(), base.end()) <= 0) {
    throw std::invalid_argument("base of a ratio, expected values above 0");
  }
  std::mt19937_64 random(options.seed);
  std::vector<double> scratch;
  std::vector<double> ratios(options.resamples);
  for (double& ratio : ratios) {
    const double below = resampled_median(base, random, scratch);
    ratio = resampled_median(changed, random, scratch) / below;
  }
  return interval(median(changed) / median(base), ratios, options.confidence);
}

RankTest mann_whitney(std::span<const double> a, std::span<const double> b) {
  if (a.empty() || b.empty()) return {};
  struct Value {
    double value;
    bool first;
  };
  std::vector<Value> pooled;
  for (double value : a) pooled.push_back({value, true});
  for (double value : b) pooled.push_back({value, false});
  std::sort(pooled.begin(), pooled.end(),
            [](const Value& x, const Value& y) { return x.value < y.value; });
  double rank_sum = 0;
  double ties = 0;  // sum of t^3 - t over groups of t equal values
  for (std::size_t from = 0, to = 0; from < pooled.size(); from = to) {
    while (to < pooled.size() && pooled[to].value == pooled[from].value) ++to;
    const double group = static_cast<double>(to - from);
    ties += group * group * group - group;
    const double rank = static_cast<double>(from + to + 1) / 2;
    for (std::size_t i = from; i < to; ++i) rank_sum += pooled[i].first ? rank : 0;
  }
  const double n = static_cast<double>(a.size());
  const double m = static_cast<double>(b.size());
  RankTest test;
  test.u = rank_sum - n * (n + 1) / 2;
  test.exact = ties == 0 && a.size() * b.size() <= 400;
  const double smaller = std::min(test.u, n * m - test.u);
  test.p = test.exact ? exact_p(a.size(), b.size(), smaller) : approximate_p(n, m, test.u, ties);
  return test;
}

double smallest_p(std::size_t n, std::size_t m) {
  double arrangements = 1;
  for (std::size_t i = 1; i <= n; ++i)
    arrangements *= static_cast<double>(m + i) / static_cast<double>(i);
  return std::min(1.0, 2 / arrangements);
}

std::vector<double> holm(std::span<const double> p_values) {
  std::vector<std::size_t> order(p_values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::size_t x, std::size_t y) { return p_values[x] < p_values[y]; });
  std::vector<double> corrected(p_values.size());
  double largest = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const double scaled = p_values[order[i]] * static_cast<double>(order.size() - i);
    largest = std::min(1.0, std::max(largest, scaled));
    corrected[order[i]] = largest;
  }
  return corrected;
}

double jain(std::span<const double> values) {
  require_values(values, "Jain's index");
  double sum = 0;
  double squares = 0;
  for (double value : values) {
    sum += value;
    squares += value * value;
  }
  return squares > 0 ? sum * sum / (static_cast<double>(values.size()) * squares) : 1;
}

std::vector<std::vector<double>> modes(std::span<const double> values) {
  std::vector<double> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  std::size_t divide = 0;  // where the second group begins
  if (!sorted.empty() && sorted.front() > 0) {
    double widest = std::log(mode_gap);
    for (std::size_t i = fewest_for_modes / 2; i + fewest_for_modes / 2 <= sorted.size(); ++i) {
      const double gap = std::log(sorted[i] / sorted[i - 1]);
      const double group =
          std::max(std::log(sorted[i - 1] / sorted.front()), std::log(sorted.back() / sorted[i]));
      if (gap < widest || gap < mode_clearance * group) continue;
      widest = gap;
      divide = i;
    }
  }
  const auto second = sorted.begin() + static_cast<std::ptrdiff_t>(divide);
  if (divide == 0) return {sorted};
  return {{sorted.begin(), second}, {second, sorted.end()}};
}

}  // namespace faultline
