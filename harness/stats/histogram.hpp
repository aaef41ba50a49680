#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace faultline {

/** `count` values v with low <= v < high, in nanoseconds. */
struct Bucket {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  std::uint64_t count = 0;
  bool operator==(const Bucket&) const = default;
};

/** A log-linear histogram of latencies: the buckets that hold values, in ascending order. */
struct Histogram {
  std::vector<Bucket> buckets;
  std::uint64_t max = 0;  // the largest value exactly, nanoseconds
};

std::uint64_t total(const Histogram& histogram);

/**
 * Adds `other` into `into`. Both must use the same bucket boundaries: throws std::invalid_argument
 * if two buckets overlap without being equal, since the sum would have no well-defined quantiles.
 */
void merge(Histogram& into, const Histogram& other);

/**
 * The value, in nanoseconds, at or below which a share `q` of all values lies. The result is the
 * upper end of a bucket, or the maximum if that is lower, so it errs upwards by less than one
 * bucket. Nothing if the histogram holds fewer values than 1 / (1 - q): such a quantile would only
 * be the maximum.
 */
std::optional<std::uint64_t> quantile(const Histogram& histogram, double q);

}  // namespace faultline
