// Where a thread may run, and whether it is still pinned where it was. Another process that shrinks
// the thread's cpuset or sets its affinity moves it off its CPU, and the thread gets no notice.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "locks/platform.hpp"

namespace faultline {

// The CPUs that the calling thread may run on, ascending. Empty if the kernel does not answer,
// which it does not when it has more CPUs than a cpu_set_t holds.
std::vector<u32> allowed_cpus();

// Nothing if the calling thread runs on that CPU and may run on no other; otherwise a line that
// says where it may run now.
std::optional<std::string> taken_off(u32 cpu);

}  // namespace faultline
