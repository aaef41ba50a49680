// Decides how long a simulated trial warms up, and how long its measured window is.
#pragma once

#include <optional>

#include "locks/platform.hpp"

namespace faultline {

// The warm-up is a row of windows. The first two last as long as the window that the user asks for.
// Each later one lasts as long as all before it together, for two reasons. A slow drift changes the
// rate of neighbouring short windows by less than `most_drift`, and still changes it much in the
// end; windows that double compare the present rate with the rate at half the elapsed time. And the
// rate of a short window depends on which threads happen to run in it: where a lock serves threads
// in batches, short windows differ however late they are.
//
// The throughput has settled when a window's rate differs from that of the window before by less
// than `most_drift`, from the fourth window on. Two early windows can agree although the rate still
// changes: the first waiter of an rwsem demands a handoff after 4 ms, and two windows of 2 ms
// before that can have the same rate, well below the later one. The measured window lasts as long
// as the last window of the warm-up, since for this length the rate has been seen not to change.
//
// Times are simulated nanoseconds. The decision depends on counts of operations alone, so the same
// seed gives the same one.
class WarmUp {
 public:
  static constexpr double most_drift = 0.05;
  static constexpr u32 fewest_windows = 4;
  // The warm-up ends after this many times the asked window, settled or not. It is this long for
  // the cases whose threads complete few operations, or change between a fast and a slow state.
  static constexpr u64 cap = 256;
  // The warm-up ends if the next window and a measured one would last beyond this time.
  static constexpr u64 latest_ns = 30'000'000'000;

  // A window with fewer than `enough` operations says too little to settle anything.
  WarmUp(u64 window_ns, u64 enough)
      : asked_ns_(window_ns), length_ns_(window_ns), enough_operations_(enough) {}

  // The length of the window that comes next: of the warm-up, and after its end the measured one.
  u64 window_ns() const { return length_ns_; }
  // Takes the operations that completed in a window of that length. Answers whether that window
  // ended the warm-up.
  bool end_window(u64 operations);

  bool settled() const { return settled_; }
  // By how much the rates of the last two windows differed, as a share of the earlier rate. Nothing
  // if the earlier window had no operation, or none came before.
  std::optional<double> drift() const { return drift_; }

 private:
  const u64 asked_ns_;
  u64 length_ns_;
  const u64 enough_operations_;
  u64 spent_ns_ = 0;
  u32 windows_ = 0;
  double rate_ = 0;  // of the last window, in operations a nanosecond
  std::optional<double> drift_;
  bool settled_ = false;
};

}  // namespace faultline
