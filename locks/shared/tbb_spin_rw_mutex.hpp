// Intel TBB's spin_rw_mutex (tbb/spin_rw_mutex.h of 2018), which lockhammer runs as
// tbb_spin_rw_mutex (github.com/ARM-software/synchronization-benchmarks). This is a new
// implementation of the algorithm.
//
//   word   bit 0 writer, bit 1 a writer waits, from bit 2 on the number of readers
//   read   while neither bit is set, add a reader; take it back if a writer was quicker
//   write  0 or "a writer waits" -> writer; else set "a writer waits"
//
// A waiter backs off for 1, 2, 4, 8 and 16 PAUSEs and then yields its CPU after each look. Here it
// pauses instead, which yields where threads share a CPU.
#pragma once

#include <string>

#include "locks/backoff.hpp"
#include "locks/promise.hpp"
#include "locks/shared/concept.hpp"

namespace faultline {

template <class P>
class TbbSpinRwMutex {
 public:
  static constexpr bool atomic_downgrade = true;
  // A waiting writer keeps readers out, but not other writers, and each writer that gets the lock
  // clears the bit of the others.
  static constexpr Promise promise = no_promise;

  void lock_shared() {
    if (!try_lock_shared()) [[unlikely]]
      lock_shared_slow();
  }
  bool try_lock_shared() {
    // relaxed: the addition decides.
    if ((word_.load(std::memory_order_relaxed) & (writer | writer_waits)) != 0) return false;
    // acquire: pairs with unlock's and downgrade's release.
    if ((word_.fetch_add(reader, std::memory_order_acquire) & writer) == 0) return true;
    // relaxed: the place was not used.
    word_.fetch_sub(reader, std::memory_order_relaxed);
    return false;
  }
  // release: pairs with the acquire in try_lock.
  void unlock_shared() { word_.fetch_sub(reader, std::memory_order_release); }

  void lock() {
    if (!try_lock()) [[unlikely]]
      lock_slow();
  }
  bool try_lock() {
    u64 seen = word_.load(std::memory_order_relaxed);  // relaxed: the exchange decides
    // acquire: pairs with the releases of the writer and the readers before. relaxed on failure:
    // nothing is read.
    return (seen & ~writer_waits) == 0 &&
           word_.compare_exchange_strong(seen, writer, std::memory_order_acquire,
                                         std::memory_order_relaxed);
  }
  // Readers that will take their places back may be counted. release: pairs with the acquires of
  // all who come in.
  void unlock() { word_.fetch_and(~(writer | writer_waits), std::memory_order_release); }
  // release: as in unlock.
  void downgrade() { word_.fetch_add(reader - writer, std::memory_order_release); }

  void append_events(Events&) const {}
  std::string describe() const {
    const u64 seen = word_.load(std::memory_order_relaxed);  // relaxed: a racy report
    const std::string waits = (seen & writer_waits) != 0 ? ", a writer waits" : "";
    if ((seen & writer) != 0) return "a writer" + waits;
    if (seen < reader) return "free" + waits;
    return std::to_string(seen / reader) + " reader(s)" + waits;
  }

 private:
  static constexpr u64 writer = 1, writer_waits = 2, reader = 4;

  class Backoff {
   public:
    void pause(const void* lock) {
      if (looked_ == looks) return P::pause(lock);
      P::work(backoff::pause_ns << looked_++);
    }
    void reset() { looked_ = 0; }

   private:
    static constexpr u32 looks = backoff::looks<P>(5);
    u32 looked_ = 0;
  };

  [[gnu::noinline]] void lock_shared_slow() {
    WaitScope<P> waiting(this, "tbb_spin_rw_mutex to read");
    Backoff backoff;
    do backoff.pause(this);
    while (!try_lock_shared());
  }
  [[gnu::noinline]] void lock_slow() {
    WaitScope<P> waiting(this, "tbb_spin_rw_mutex to write");
    for (Backoff backoff;; backoff.pause(this)) {
      u64 seen = word_.load(std::memory_order_relaxed);  // relaxed: the exchange decides
      if ((seen & ~writer_waits) == 0) {
        // acquire: as in try_lock.
        if (word_.compare_exchange_strong(seen, writer, std::memory_order_acquire,
                                          std::memory_order_relaxed))
          return;
        backoff.reset();
      } else if ((seen & writer_waits) == 0) {
        // relaxed: the bit passes no data.
        word_.fetch_or(writer_waits, std::memory_order_relaxed);
      }
    }
  }

  typename P::template atomic<u64> word_{0};
};

}  // namespace faultline
