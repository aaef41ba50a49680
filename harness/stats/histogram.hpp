#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace faultline {

/** Values from `low` to below `high`, nanoseconds, `count` of them. */
struct Bucket {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  std::uint64_t count = 0;
  bool operator==(const Bucket&) const = default;
};

/** A log-linear histogram of latencies: buckets in ascending order, empty ones left out. */
struct Histogram {
  std::vector<Bucket> buckets;
  std::uint64_t max = 0;  // the largest value itself, nanoseconds
};

std::uint64_t total(const Histogram& histogram);

/**
 * Adds `other` into `into`. Both must have been cut by the same rule: buckets that overlap without
 * being the same throw std::invalid_argument, since no quantile of their sum could be told.
 */
void merge(Histogram& into, const Histogram& other);

/**
 * The value below or at which a share `q` of all lies, nanoseconds: the largest that its bucket
 * takes, never above the maximum, so that an error is on the cautious side and no larger than one
 * bucket. Nothing when fewer values than 1 / (1 - q) were taken: such a quantile would be the
 * maximum under another name.
 */
std::optional<std::uint64_t> quantile(const Histogram& histogram, double q);

}  // namespace faultline
