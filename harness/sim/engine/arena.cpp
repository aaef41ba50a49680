#include "harness/sim/engine/arena.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <new>
#include <stdexcept>

namespace faultline::sim {

namespace {
u64 round_up(u64 value, u64 unit) {
  return (value + unit - 1) / unit * unit;
}
}  // namespace

Arena::Arena(u32 threads, usize stack_bytes)
    : threads_(threads),
      stack_bytes_(round_up(stack_bytes, page_size)),
      stacks_end_(threads * (stack_bytes_ + page_size)),
      mapping_(size, base),
      homes_(size >> page_shift),
      chunks_(threads),
      next_(stacks_end_) {
  for (u32 thread = 0; thread < threads; ++thread)
    if (mprotect(stack(thread) - page_size, page_size, PROT_NONE) != 0)
      throw std::runtime_error("simulator: no guard page for a stack");
}

void Arena::refuse_address() {
  throw std::logic_error(
      "simulator: an access to memory outside of the arena, expected memory from P::allocate, a "
      "thread's stack, Simulation::make, or made within an ArenaScope");
}

u32 Arena::overflown(const void* address) const {
  const u64 at = offset(address);
  const bool guard = at < stacks_end_ && at % (stack_bytes_ + page_size) < page_size;
  return guard ? static_cast<u32>(at / (stack_bytes_ + page_size)) : threads_;
}

u64 Arena::carve(u64 bytes, u32 node) {
  const u64 start = next_;
  bytes = round_up(bytes, page_size);
  if (bytes > size - start) throw std::bad_alloc();
  next_ += bytes;
  const u64 first = start >> page_shift;
  std::fill_n(&homes_[first], bytes >> page_shift, static_cast<u8>(node));
  return start;
}

void* Arena::allocate(u32 thread, u32 node, usize bytes, usize alignment) {
  Chunk& chunk = chunks_[thread];
  bytes = round_up(std::max<usize>(bytes, 1), 16);
  u64 start = round_up(base + chunk.next, alignment) - base;
  if (chunk.next == 0 || start + bytes > chunk.end) {
    const u64 room = std::max<u64>(chunk_bytes, bytes + alignment);
    chunk.next = carve(room, node);
    chunk.end = chunk.next + round_up(room, page_size);
    start = round_up(base + chunk.next, alignment) - base;
  }
  chunk.next = start + bytes;
  return mapping_.data() + start;
}

}  // namespace faultline::sim
