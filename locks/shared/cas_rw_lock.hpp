// InnoDB's rw_lock_t without its events (MySQL, storage/innobase/sync/sync0rw.cc). lockhammer's
// cas_rw_lock (github.com/ARM-software/synchronization-benchmarks) runs its readers alone.
//
//   word   `free` less one for each reader, and less `free` for a writer
//   read   subtract one by compare-and-exchange while the word is above 0; each turn loads it anew
//   write  subtract `free` likewise, which keeps new readers out; wait until the word is 0
#pragma once

#include <string>

#include "locks/platform.hpp"
#include "locks/promise.hpp"
#include "locks/shared/concept.hpp"

namespace faultline {

template <class P>
class CasRwLock {
 public:
  static constexpr bool atomic_downgrade = true;
  // Whoever exchanges the word first gets the lock.
  static constexpr Promise promise = no_promise;

  void lock_shared() {
    while (!try_lock_shared()) await_open();
  }
  bool try_lock_shared() {
    for (;;) {
      i64 seen = word_.load(std::memory_order_relaxed);  // relaxed: the exchange decides
      if (seen <= 0) return false;
      // acquire: pairs with unlock's and downgrade's release. relaxed on failure: the next turn
      // decides.
      if (word_.compare_exchange_weak(seen, seen - 1, std::memory_order_acquire,
                                      std::memory_order_relaxed))
        return true;
    }
  }
  // release: pairs with the acquires in lock and try_lock.
  void unlock_shared() { word_.fetch_add(1, std::memory_order_release); }

  void lock() {
    for (;; await_open()) {
      i64 seen = word_.load(std::memory_order_relaxed);  // relaxed: the exchange decides
      while (seen > 0)
        // acquire: pairs with the releases of the writer and the readers before. relaxed on
        // failure: the next turn decides.
        if (word_.compare_exchange_weak(seen, seen - free, std::memory_order_acquire,
                                        std::memory_order_relaxed))
          return seen == free ? void() : drain();
    }
  }
  bool try_lock() {
    i64 seen = free;
    // acquire: as in lock. relaxed on failure: nothing is read.
    return word_.compare_exchange_strong(seen, 0, std::memory_order_acquire,
                                         std::memory_order_relaxed);
  }
  // release: pairs with the acquires of all who come in.
  void unlock() { word_.fetch_add(free, std::memory_order_release); }
  // release: as in unlock.
  void downgrade() { word_.fetch_add(free - 1, std::memory_order_release); }

  void append_events(Events&) const {}
  std::string describe() const {
    const i64 seen = word_.load(std::memory_order_relaxed);  // relaxed: a racy report
    if (seen == free) return "free";
    if (seen == 0) return "a writer";
    if (seen > 0) return std::to_string(free - seen) + " reader(s)";
    return std::to_string(-seen) + " reader(s), for which a writer waits";
  }

 private:
  static constexpr i64 free = 0x20000000;  // X_LOCK_DECR

  [[gnu::noinline]] void await_open() {
    WaitScope<P> waiting(this, "cas_rw_lock");
    // relaxed: the exchange that follows orders.
    while (word_.load(std::memory_order_relaxed) <= 0) P::pause(this);
  }
  [[gnu::noinline]] void drain() {
    WaitScope<P> waiting(this, "cas_rw_lock's readers");
    // acquire: pairs with unlock_shared's release.
    while (word_.load(std::memory_order_acquire) != 0) P::pause(this);
  }

  typename P::template atomic<i64> word_{free};
};

}  // namespace faultline
