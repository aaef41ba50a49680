// How a deep run deals its time out to its programs.
#pragma once

#include <algorithm>

#include "harness/check/common/types.hpp"

namespace faultline::check {

// The least share, in seconds of CPU time. A program explores at least what it explores in the
// default run, whatever its share is.
inline constexpr double least_share = 0.01;

// The CPU time in seconds of a program that begins now. `left` counts the programs that have not
// ended, this one among them; they share the `seconds` of the clock until the run's end, in
// `at_once` processes at a time. The last programs have no others to share with: none gets more
// than `seconds`, nor less than least_share.
inline double share_of(double seconds, usize at_once, usize left) {
  const double equal = seconds * static_cast<double>(at_once) / static_cast<double>(left);
  return std::max(least_share, std::min(seconds, equal));
}

}  // namespace faultline::check
