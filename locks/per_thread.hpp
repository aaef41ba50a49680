// One T per thread. Each thread allocates its T at first use, on its own node. `here()` answers the
// caller's T. for_each visits all of them; the visited members are atomic, or the threads are at
// rest.
#pragma once

#include <new>

#include "locks/platform.hpp"

namespace faultline {

// What becomes of the items when their PerThread ends. `kept`: RCU may still hand something back to
// them. The memory of P::allocate lives on.
enum class ItemsAtEnd { destroyed, kept };

template <class P, class T, ItemsAtEnd at_end = ItemsAtEnd::destroyed>
class PerThread {
 public:
  PerThread() = default;
  PerThread(const PerThread&) = delete;
  PerThread& operator=(const PerThread&) = delete;
  ~PerThread() {
    if constexpr (at_end == ItemsAtEnd::kept) return;
    for (auto& slot : slots_)
      // relaxed: destruction happens after all threads have been joined.
      if (T* item = slot.load(std::memory_order_relaxed)) item->~T();
  }

  T& here() {
    auto& slot = slots_[P::self()];
    // relaxed: only this thread writes the slot.
    T* item = slot.load(std::memory_order_relaxed);
    if (item == nullptr) {
      item = new (P::allocate(sizeof(T), cache_line)) T();
      // release: pairs with the acquire in for_each, which may run while threads work.
      // weakened release survives, program: no program visits all items while threads work.
      slot.store(item, std::memory_order_release);
    }
    return *item;
  }

  template <class F>
  void for_each(F&& visit) const {
    for (u32 thread = 0; thread < P::max_threads; ++thread)
      // acquire: pairs with the release in here(), so that the item is seen constructed.
      // weakened acquire survives, program: no program visits all items while threads work.
      if (T* item = slots_[thread].load(std::memory_order_acquire)) visit(thread, *item);
  }

 private:
  typename P::template atomic<T*> slots_[P::max_threads] = {};
};

}  // namespace faultline
