// Whether a thread is still where it was pinned: whoever shrinks its cpuset, or sets its affinity
// from outside, takes it off its CPU without a word.
#pragma once

#include <optional>
#include <string>

#include "locks/platform.hpp"

namespace faultline {

// Nothing where the calling thread may run on that CPU alone, and does; else a line that says what
// it may now.
std::optional<std::string> taken_off(u32 cpu);

}  // namespace faultline
