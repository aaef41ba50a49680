// A type-stable pool: memory that held a T only ever holds a T again. So a reader under RCU may
// read a recycled object, though it must check what it finds. Freed objects go to the freeing
// thread's list, as those of a slab do. The platform keeps all memory until its end. Each object is
// constructed once, when its memory is first carved.
#pragma once

#include <cstddef>
#include <new>

#include "locks/per_thread.hpp"

namespace faultline {

// T has a member `T* next_free`, which belongs to the pool while the object is free.
template <class P, class T>
class Pool {
 public:
  T* take() {
    Local& local = local_.here();
    if (local.free == nullptr) grow(local, chunk);
    T* item = local.free;
    local.free = item->next_free;
    --local.count;
    return item;
  }

  void give(T* item) {
    Local& local = local_.here();
    item->next_free = local.free;
    local.free = item;
    ++local.count;
  }

  // Makes sure that this thread's next n calls of take() allocate nothing.
  void reserve(usize n) {
    Local& local = local_.here();
    if (local.count < n) grow(local, n - local.count);
  }

 private:
  static constexpr usize chunk = 64;
  struct Local {
    T* free = nullptr;
    usize count = 0;
  };

  void grow(Local& local, usize n) {
    auto* items = static_cast<std::byte*>(
        P::allocate(n * sizeof(T), alignof(T) > cache_line ? alignof(T) : cache_line));
    for (usize i = n; i-- > 0;) {
      T* item = new (items + i * sizeof(T)) T();
      item->next_free = local.free;
      local.free = item;
    }
    local.count += n;
  }

  PerThread<P, Local> local_;
};

}  // namespace faultline
