#include "harness/stats/histogram.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <stdexcept>
#include <string>

namespace faultline {

std::uint64_t total(const Histogram& histogram) {
  std::uint64_t sum = 0;
  for (const Bucket& bucket : histogram.buckets) sum += bucket.count;
  return sum;
}

void merge(Histogram& into, const Histogram& other) {
  std::map<std::uint64_t, Bucket> by_low;
  const auto add = [&](const Bucket& bucket) {
    const auto [place, fresh] = by_low.try_emplace(bucket.low, bucket);
    if (fresh) return;
    if (place->second.high != bucket.high) {
      throw std::invalid_argument("histogram bucket at " + std::to_string(bucket.low) +
                                  " ns ends differently in two trials, expected one rule for all");
    }
    place->second.count += bucket.count;
  };
  for (const Bucket& bucket : into.buckets) add(bucket);
  for (const Bucket& bucket : other.buckets) add(bucket);
  std::vector<Bucket> merged;
  for (const auto& [low, bucket] : by_low) {
    if (!merged.empty() && merged.back().high > low) {
      throw std::invalid_argument("histogram buckets overlap at " + std::to_string(low) +
                                  " ns, expected one rule for all");
    }
    merged.push_back(bucket);
  }
  into.buckets = std::move(merged);
  into.max = std::max(into.max, other.max);
}

std::optional<std::uint64_t> quantile(const Histogram& histogram, double q) {
  const double count = static_cast<double>(total(histogram));
  // The slack allows for rounding: 1 - 0.9999 is not exactly 0.0001, yet 10,000 values must
  // suffice.
  if (count == 0 || count * (1 - q) < 1 - 1e-9) return std::nullopt;
  const double wanted = std::ceil(count * q - 1e-9);
  double seen = 0;
  for (const Bucket& bucket : histogram.buckets) {
    seen += static_cast<double>(bucket.count);
    if (seen >= wanted) return std::min(bucket.high - 1, histogram.max);
  }
  return histogram.max;
}

}  // namespace faultline
