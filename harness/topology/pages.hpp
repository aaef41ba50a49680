// Asks the kernel on which node pages lie, and keeps it from moving them. It uses system calls
// directly, since libnuma would be a dependency for two calls.
#pragma once

#include <optional>
#include <string>

#include "locks/platform.hpp"

namespace faultline {

// Asks the kernel where every page of readable memory is (move_pages(2) without target nodes).
// Returns nothing if all pages lie on the node. Otherwise it returns a line that names the first
// page that lies elsewhere or was never touched, or says why the kernel does not answer. Returns
// nothing, too, if the kernel does not allow the call but the machine has only one node.
std::optional<std::string> misplaced_pages(const void* memory, usize bytes, u32 node);

// Sets the calling thread's memory policy explicitly to local allocation, which is what the default
// policy does too. With an explicit policy NUMA balancing leaves the thread's memory alone and
// causes no hinting faults on it. Does nothing where the kernel forbids the call.
void exempt_from_numa_balancing();

}  // namespace faultline
