// The checker's platform: a stub so far. Its threads are few, as the checker's are.
#pragma once

#include "harness/stub/single_thread.hpp"

namespace faultline {

struct CheckTag {
  static constexpr u32 max_threads = 4;
};

struct CheckPlatform : stub::SingleThread<CheckTag> {};

static_assert(Platform<CheckPlatform>);

}  // namespace faultline
