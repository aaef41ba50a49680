// Where pages are, and keeping the kernel from moving them: by system call, since a trial's process
// has no topology to ask and libnuma would be a dependency for two calls.
#pragma once

#include <optional>
#include <string>

#include "locks/platform.hpp"

namespace faultline {

// Asks the kernel where every page of readable memory is (move_pages(2) without moving). Nothing if
// all lie on the node; else a line that names the first page that does not, or was never touched,
// or why it cannot be known. Where there is one node only and the call is forbidden: nothing.
std::optional<std::string> misplaced_pages(const void* memory, usize bytes, u32 node);

// Makes the calling thread's memory policy what it is by default, local, but explicitly: NUMA
// balancing then leaves its memory alone, and takes no faults on it to learn who uses it. Nothing
// changes where the call is forbidden.
void exempt_from_numa_balancing();

}  // namespace faultline
