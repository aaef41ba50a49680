// How fair a lock is. Each lock of the catalogue states it as `static constexpr Promise promise`,
// with the reason, and says when it begins: it calls P::promised(promise, thread) as soon as it
// holds for a waiter. The checker counts the passes. `faultline list` shows the promise.
#pragma once

#include "locks/platform.hpp"

namespace faultline {

// From a moment of its wait on, a waiter is passed at most `most_passes` times. A pass is an
// acquisition that begins after that moment, conflicts with the waiter's, and is over before it; a
// try that succeeds is one too.
struct Promise {
  static constexpr u32 unbounded = ~u32{0};

  u32 most_passes = unbounded;
  const char* since = "";  // the moment, as in "a waiter that ..."

  constexpr bool is_made() const { return most_passes != unbounded; }
};

// Any number of others may pass a waiter.
inline constexpr Promise no_promise{};

}  // namespace faultline
