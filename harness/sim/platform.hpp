// The simulator's platform: a stub so far. It keeps the seam honest: what compiles natively alone
// does not pass here.
#pragma once

#include "harness/stub/single_thread.hpp"

namespace faultline {

struct SimTag {
  static constexpr u32 max_threads = 1024;
};

struct SimPlatform : stub::SingleThread<SimTag> {};

static_assert(Platform<SimPlatform>);

}  // namespace faultline
