// One turn of a thread at an address space: for the tests of schemes and for `faultline torture`.
#pragma once

#include <string_view>

#include "locks/address_space/interface.hpp"

namespace faultline::torture {

// The length in bytes of the range at fixed_base() that the turns of all threads share.
inline constexpr u64 shared_bytes = 48 * page_size;

// Page frames for each thread, enough that turns by `threads` threads never run out of them.
constexpr u64 frames_for_turns(u32 threads) {
  return 512 + 32 * u64{threads};
}

// Does one random operation on the range that all threads share or on the break, and checks every
// promise about mappings that only the calling thread uses. The thread is registered on the native
// platform and has entered the space. `is_kernel`: walk() faults the page in, whereas a scheme's
// only looks; and the contents of pages, which touch_word does not reach, are left out. Returns the
// first promise that was broken, or an empty text.
std::string_view space_turn(AddressSpace& space, bool is_kernel);

}  // namespace faultline::torture
