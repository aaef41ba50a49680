// Where a thread may run, and whether it is still where it was pinned: whoever shrinks its cpuset,
// or sets its affinity from outside, takes it off its CPU without a word.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "locks/platform.hpp"

namespace faultline {

// The CPUs that the calling thread may run on, ascending; none where the kernel has more of them
// than a cpu_set_t and does not answer.
std::vector<u32> allowed_cpus();

// Nothing where the calling thread may run on that CPU alone, and does; else a line that says what
// it may now.
std::optional<std::string> taken_off(u32 cpu);

}  // namespace faultline
