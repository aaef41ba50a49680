// The kernel's lockref (lib/lockref.c): a spinlock and a reference count in one word, so that a
// thread takes a reference by one exchange while the spinlock is free. Here it is a reader-writer
// lock: a reader holds a reference; a writer takes the spinlock, which keeps references from being
// taken, and waits until none is left. While no writer comes, readers do what lockhammer's
// cas_lockref does (github.com/ARM-software/synchronization-benchmarks): a loop of exchanges to
// take a reference, and one to drop it. As there, each turn of a loop loads the word anew; the
// kernel's loop goes on with the value that the failed exchange has found.
#pragma once

#include <string>

#include "locks/platform.hpp"
#include "locks/promise.hpp"
#include "locks/shared/concept.hpp"

namespace faultline {

template <class P>
class CasLockref {
 public:
  static constexpr bool atomic_downgrade = true;
  // A writer that holds the spinlock waits for the present references alone. But whoever exchanges
  // first gets the spinlock, and a reader waits for as many writers as come.
  static constexpr Promise promise = no_promise;

  void lock_shared() {
    while (!try_lock_shared()) [[unlikely]] await_open();
  }
  bool try_lock_shared() {
    for (;;) {
      u64 seen = word_.load(std::memory_order_relaxed);  // relaxed: the exchange decides
      if ((seen & spinlock) != 0) return false;
      // acquire: pairs with unlock's and downgrade's release. relaxed on failure: the next turn
      // decides.
      if (word_.compare_exchange_weak(seen, seen + reference, std::memory_order_acquire,
                                      std::memory_order_relaxed))
        return true;
    }
  }
  void unlock_shared() {
    for (;;) {
      u64 seen = word_.load(std::memory_order_relaxed);  // relaxed: the exchange decides
      // release: pairs with the acquires in lock and try_lock. relaxed on failure: the next turn
      // decides.
      if (word_.compare_exchange_weak(seen, seen - reference, std::memory_order_release,
                                      std::memory_order_relaxed))
        return;
    }
  }

  void lock() {
    for (;; await_open()) {
      u64 seen = word_.load(std::memory_order_relaxed);  // relaxed: the exchange decides
      while ((seen & spinlock) == 0)
        // acquire: pairs with the releases of the writer and the readers before. relaxed on
        // failure: the next turn decides.
        if (word_.compare_exchange_weak(seen, seen | spinlock, std::memory_order_acquire,
                                        std::memory_order_relaxed))
          return seen == 0 ? void() : drain();
    }
  }
  bool try_lock() {
    u64 seen = 0;
    // acquire: as in lock. relaxed on failure: nothing is read.
    return word_.compare_exchange_strong(seen, spinlock, std::memory_order_acquire,
                                         std::memory_order_relaxed);
  }
  // Nobody else changes the word meanwhile. release, both: pairs with the acquires of all who come
  // in.
  void unlock() { word_.store(0, std::memory_order_release); }
  void downgrade() { word_.store(reference, std::memory_order_release); }

  void append_events(Events&) const {}
  std::string describe() const {
    const u64 seen = word_.load(std::memory_order_relaxed);  // relaxed: a racy report
    return std::to_string(seen / reference) + " reference(s)" +
           ((seen & spinlock) != 0 ? ", locked by a writer" : "");
  }

 private:
  static constexpr u64 spinlock = 1, reference = u64{1} << 32;

  [[gnu::noinline]] void await_open() {
    WaitScope<P> waiting(this, "cas_lockref");
    // relaxed: the exchange that follows orders.
    while ((word_.load(std::memory_order_relaxed) & spinlock) != 0) P::pause(this);
  }
  [[gnu::noinline]] void drain() {
    WaitScope<P> waiting(this, "cas_lockref's references");
    // acquire: pairs with unlock_shared's release.
    while (word_.load(std::memory_order_acquire) != spinlock) P::pause(this);
  }

  typename P::template atomic<u64> word_{0};
};

}  // namespace faultline
