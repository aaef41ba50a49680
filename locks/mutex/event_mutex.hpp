// InnoDB's TTASEventMutex as lockhammer's event_mutex runs it (MySQL 5.7,
// storage/innobase/include/ib0mutex.h; github.com/ARM-software/synchronization-benchmarks,
// ext/mysql). This is a new implementation of the algorithm.
//
//   lock    exchange the word. If it was taken: look at it up to 30 times, each time after a random
//           delay; exchange it when it is free. If it was never free: wait for the event, which the
//           next release signals
//   unlock  exchange the word back, then signal the event
//
// The event is a word on which the waiters spin, as in lockhammer; in MySQL they sleep. There each
// release reads the word and stores the successor, after it has released the lock. Two releases
// that do so at once can take a signal back, so that a waiter sleeps for ever; in MySQL a thread of
// the server wakes such waiters every second. Here each release stores a number of its own, which
// it draws while it still has the lock.
#pragma once

#include "locks/backoff.hpp"
#include "locks/mutex/concept.hpp"
#include "locks/platform.hpp"
#include "locks/promise.hpp"

namespace faultline {

// `longest` bounds a delay between two looks, in units of 50 PAUSEs: ut_delay().
template <class P, u32 longest>
class EventMutexOf {
 public:
  struct Node {};
  // Whoever exchanges the word first gets the lock, whether it has waited for the event or not.
  static constexpr Promise promise = no_promise;

  void lock(Node& node) {
    if (!try_lock(node)) [[unlikely]]
      await(node);
  }

  // acquire: pairs with unlock's release of the word.
  bool try_lock(Node&) { return word_.exchange(1, std::memory_order_acquire) == 0; }

  void unlock(Node&) {
    const u64 release = releases_.load() + 1;
    releases_.store(release);
    // release: pairs with try_lock's acquire.
    word_.exchange(0, std::memory_order_release);
    // release: pairs with the acquire in await(): a thread that has seen this signal finds the lock
    // free, unless another thread has taken it, which will signal too.
    // weakened release survives, store_order: it keeps this exchange of the word before that of a
    // waiter that has seen the signal.
    signal_.store(release, std::memory_order_release);
  }

 private:
  static constexpr u64 unit_ns = 50 * backoff::pause_ns;
  static constexpr u32 looks = backoff::looks<P>(30);  // innodb_sync_spin_loops

  [[gnu::noinline]] void await(Node& node) {
    WaitScope<P> waiting(this, "event_mutex");
    u32 looked = 0;
    for (u32 limit = looks;;) {
      if (becomes_free(looked, limit)) {
        if (try_lock(node)) return;
        continue;
      }
      limit = looked + looks;
      // acquire: pairs with unlock's release of the signal.
      // weakened acquire survives, store_order: it keeps the exchange in try_lock behind that of
      // the release whose signal was seen.
      const u64 seen = signal_.load(std::memory_order_acquire);
      if (try_lock(node)) return;
      // relaxed: try_lock decides.
      while (signal_.load(std::memory_order_relaxed) == seen) P::pause(this);
    }
  }

  bool becomes_free(u32& looked, u32 limit) const {
    do {
      if (word_.load(std::memory_order_relaxed) == 0) return true;  // relaxed: try_lock decides
      P::work(P::random() % longest * unit_ns);
    } while (++looked < limit);
    return false;
  }

  typename P::template atomic<u64> word_{0};
  typename P::template atomic<u64> signal_{0};
  typename P::template data<u64> releases_;  // only the holder uses it
};

template <class P>
using EventMutex = EventMutexOf<P, 600>;

}  // namespace faultline
