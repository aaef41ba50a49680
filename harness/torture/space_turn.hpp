// One turn of a thread at an address space: for the tests of schemes and for `faultline torture`.
#pragma once

#include <string_view>

#include "locks/address_space/interface.hpp"

namespace faultline::torture {

// Bytes from fixed_base() on that all threads' turns share.
inline constexpr u64 shared_bytes = 48 * page_size;

// Page frames a thread that turns by `threads` threads cannot run out of.
constexpr u64 frames_for_turns(u32 threads) {
  return 512 + 32 * u64{threads};
}

// Random operations on what all threads share, the break included, and between them everything that
// may be relied on of a mapping which is the calling thread's own. The thread is registered on the
// native platform and has entered the space. `walk_looks`: walk() does not fault in what it looks
// for, as the kernel's does. Answers what was not as it must be, or nothing.
std::string_view space_turn(AddressSpace& space, bool walk_looks);

}  // namespace faultline::torture
