// What a trial's thread does to be where its case says, and to know that it is.
#pragma once

#include "locks/platform.hpp"

namespace faultline {

// Pins the calling thread on `cpu` and asks where it runs. Answers the CPU's memory node. Throws
// std::runtime_error, in one line, where pinning fails or did not hold.
u32 pin_self(u32 cpu);

// Asks move_pages(2) where the pages of [memory, memory + bytes) are. Throws std::runtime_error
// naming the first one that is not on `node`.
void verify_pages(const void* memory, usize bytes, u32 node);

// Faults in all of the program's own mapped pages (code, data, stacks), so that none is touched for
// the first time in the window. Linux 5.14 and later; on older ones this does nothing, and such
// faults show in the results.
void populate_own_pages();

}  // namespace faultline
