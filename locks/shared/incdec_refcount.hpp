// A reference count as a reader-writer lock: a reader holds a reference, and a writer closes the
// count and waits until no reference is left. While no writer comes, readers do what lockhammer's
// incdec_refcount does (github.com/ARM-software/synchronization-benchmarks): one addition, one
// subtraction, and nobody ever waits.
#pragma once

#include <string>

#include "locks/platform.hpp"
#include "locks/promise.hpp"
#include "locks/shared/concept.hpp"

namespace faultline {

template <class P>
class IncdecRefcount {
 public:
  static constexpr bool atomic_downgrade = true;
  // A writer that has closed the count waits for the present readers alone. But whoever comes first
  // closes it, and a reader waits for as many writers as come.
  static constexpr Promise promise = no_promise;

  void lock_shared() {
    while (!try_lock_shared()) [[unlikely]] await_open();
  }
  bool try_lock_shared() {
    // acquire: pairs with unlock's and downgrade's release.
    if ((word_.fetch_add(1, std::memory_order_acquire) & closed) == 0) [[likely]]
      return true;
    // relaxed: the reference was not used.
    word_.fetch_sub(1, std::memory_order_relaxed);
    return false;
  }
  // release: pairs with the acquires in lock and try_lock.
  void unlock_shared() { word_.fetch_sub(1, std::memory_order_release); }

  void lock() {
    for (;; await_open()) {
      // acquire: pairs with the releases of the writer and the readers before.
      const u64 seen = word_.fetch_or(closed, std::memory_order_acquire);
      if (seen == 0) return;
      if ((seen & closed) == 0) return drain();
    }
  }
  bool try_lock() {
    u64 seen = 0;
    // acquire: as in lock. relaxed on failure: nothing is read.
    return word_.compare_exchange_strong(seen, closed, std::memory_order_acquire,
                                         std::memory_order_relaxed);
  }
  // A subtraction, since a reader that will take its reference back may be counted. release: pairs
  // with the acquires of all who come in.
  void unlock() { word_.fetch_sub(closed, std::memory_order_release); }
  // release: as in unlock.
  void downgrade() { word_.fetch_sub(closed - 1, std::memory_order_release); }

  void append_events(Events&) const {}
  std::string describe() const {
    const u64 seen = word_.load(std::memory_order_relaxed);  // relaxed: a racy report
    return std::to_string(seen & ~closed) + " reference(s)" +
           ((seen & closed) != 0 ? ", closed by a writer" : "");
  }

 private:
  static constexpr u64 closed = u64{1} << 63;

  [[gnu::noinline]] void await_open() {
    WaitScope<P> waiting(this, "incdec_refcount");
    // relaxed: the access that follows orders.
    while ((word_.load(std::memory_order_relaxed) & closed) != 0) P::pause(this);
  }
  [[gnu::noinline]] void drain() {
    WaitScope<P> waiting(this, "incdec_refcount's references");
    // acquire: pairs with unlock_shared's release.
    while (word_.load(std::memory_order_acquire) != closed) P::pause(this);
  }

  typename P::template atomic<u64> word_{0};
};

}  // namespace faultline
