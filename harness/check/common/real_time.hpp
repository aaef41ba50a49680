// Real-time order: a call that has returned before another one begins takes effect before it.
#pragma once

#include <algorithm>
#include <array>
#include <vector>

#include "harness/check/common/types.hpp"
#include "locks/types.hpp"

namespace faultline::check {

// A call of a program: which thread makes it, and how many calls that thread has made before.
struct CallName {
  u8 thread = 0, number = 0;
};

// An interleaving of a program's calls. A call that takes effect in parts stands there once for
// each part.
using CallOrder = std::vector<CallName>;

// When the calls of an execution began and returned. No search sees these numbers: they are neither
// atomics nor the data of a lock.
class Moments {
 public:
  static constexpr u32 most_calls = 4;  // of a thread

  void begin(CallName call) { at(call).began = ++now_; }
  void end(CallName call) { at(call).returned = ++now_; }

  // Whether the calls' moments are known.
  bool known() const { return now_ != 0; }
  // Whether the calls take place in this order: each one begins before any later one has returned.
  bool allow(const CallOrder& order) const {
    u32 latest = 0;  // the latest beginning so far
    return std::all_of(order.begin(), order.end(), [&](CallName call) {
      const bool in_time = at(call).returned > latest;
      latest = std::max(latest, at(call).began);
      return in_time;
    });
  }
  // Whether neither call has returned before the other one began. Unknown moments overlap.
  bool overlap(CallName one, CallName other) const {
    return !known() || (at(one).began < at(other).returned && at(other).began < at(one).returned);
  }

 private:
  struct Span {
    u32 began = 0, returned = 0;
  };
  Span& at(CallName call) { return spans_[call.thread][call.number]; }
  const Span& at(CallName call) const { return spans_[call.thread][call.number]; }

  std::array<std::array<Span, most_calls>, most_threads> spans_{};
  u32 now_ = 0;
};

}  // namespace faultline::check
