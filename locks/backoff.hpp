// What locks share that back off from a contended word for a while before they look at it again.
#pragma once

#include <algorithm>

#include "locks/platform.hpp"

namespace faultline::backoff {

// Nanoseconds of one PAUSE, for locks whose sources count their backoff in such instructions: about
// 9 cycles on Broadwell and older. Since Skylake it is about 140 cycles, with which these locks
// back off for longer.
inline constexpr u64 pause_ns = 4;

// How often a waiter looks at the lock before it waits in another way: `usual`, unless the platform
// asks for fewer.
template <class P>
constexpr u32 looks(u32 usual) {
  if constexpr (requires { P::most_looks; })
    return std::min(usual, P::most_looks);
  else
    return usual;
}

}  // namespace faultline::backoff
