// Replaces operator new and delete. Within an ArenaScope an allocation comes from the simulated
// machine's memory, which is freed as a whole with the simulation.
#include <cstdlib>
#include <new>

#include "harness/sim/engine/simulation.hpp"

namespace {

using faultline::sim::Arena;
using faultline::sim::here;

void* allocate(std::size_t bytes, std::size_t alignment) {
  const bool in_arena = here.cpu != nullptr ? here.cpu->in_arena : here.in_arena;
  if (in_arena) return here.simulation->allocate(here.cpu, bytes, alignment);
  const std::size_t least = bytes == 0 ? 1 : bytes;
  void* memory =
      alignment <= __STDCPP_DEFAULT_NEW_ALIGNMENT__
          ? std::malloc(least)
          : std::aligned_alloc(alignment, (least + alignment - 1) / alignment * alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

void release(void* memory) {
  if (!Arena::holds(memory)) std::free(memory);
}

}  // namespace

void* operator new(std::size_t bytes) {
  return allocate(bytes, __STDCPP_DEFAULT_NEW_ALIGNMENT__);
}
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return allocate(bytes, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept {
  release(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  release(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
  release(memory);
}
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  release(memory);
}
