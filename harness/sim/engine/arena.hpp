// The simulated machine's memory: one range of addresses, the same in every run, since locks hash
// addresses and results must not depend on the host's choice of them. It begins with the fibers'
// stacks, each above a guard page; what threads allocate follows. Memory lives as long as the
// arena.
#pragma once

#include "harness/sim/engine/mapping.hpp"

namespace faultline::sim {

class Arena {
 public:
  static constexpr u64 base = u64{3} << 44;
  static constexpr u64 size = u64{64} << 30;
  static constexpr u64 line_bytes = 64;

  // Stacks of `stack_bytes`, a multiple of the page, for `threads` threads.
  Arena(u32 threads, usize stack_bytes);

  // The address's distance from the arena's start; `size` or more for an address outside of it.
  static u64 offset(const void* address) { return reinterpret_cast<u64>(address) - base; }
  static bool holds(const void* address) { return offset(address) < size; }
  // The offset of an address of the arena. Throws std::logic_error for any other.
  static u64 place_of(const void* address) {
    const u64 at = offset(address);
    if (at >= size) [[unlikely]]
      refuse_address();
    return at;
  }

  // The lowest address of the thread's stack. The guard page lies below it.
  std::byte* stack(u32 thread) const {
    return mapping_.data() + thread * (stack_bytes_ + page_size) + page_size;
  }
  usize stack_bytes() const { return stack_bytes_; }
  bool is_stack(u64 at) const { return at < stacks_end_; }
  // The thread in whose guard page the address lies; `threads` for none.
  u32 overflown(const void* address) const;

  // Zeroed memory on `node`. What one thread allocates shares no line with another's. Throws
  // std::bad_alloc when the arena is full.
  void* allocate(u32 thread, u32 node, usize bytes, usize alignment);

  // The home node of the page at that offset.
  u32 home(u64 at) const { return homes_[at >> page_shift]; }

 private:
  struct Chunk {
    u64 next = 0, end = 0;
  };
  static constexpr u64 chunk_bytes = 256 << 10;

  [[noreturn]] static void refuse_address();
  u64 carve(u64 bytes, u32 node);

  const u32 threads_;
  const usize stack_bytes_;
  const u64 stacks_end_;
  Mapping mapping_;
  LazyArray<u8> homes_;
  LazyArray<Chunk> chunks_;
  u64 next_;
};

}  // namespace faultline::sim
