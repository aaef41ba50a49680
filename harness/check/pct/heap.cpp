// operator new and delete of over-aligned types, such as every scheme. While an execution runs,
// they take memory from the engine's arena. Its addresses are the same in every process, and its
// memory ends with the execution. Relacy replaces the other forms of operator new.
#include <cstdlib>
#include <new>

#include "harness/check/pct/engine.hpp"

void* operator new(std::size_t bytes, std::align_val_t alignment) {
  const auto unit = static_cast<std::size_t>(alignment);
  if (faultline::pct::engine().in_execution())
    return faultline::pct::engine().allocate(bytes, unit, "space");
  void* memory = std::aligned_alloc(unit, (bytes + unit - 1) / unit * unit);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void operator delete(void* memory, std::align_val_t) noexcept {
  if (!faultline::pct::engine().holds(memory)) std::free(memory);
}
void operator delete(void* memory, std::size_t, std::align_val_t alignment) noexcept {
  operator delete(memory, alignment);
}
