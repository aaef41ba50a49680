// A reader-writer lock whose readers share one word, to which each adds one by a loop of
// compare-and-exchange when it comes in, and which no reader touches when it leaves: a reader
// counts its exits on a line of its own. So a loop of acquisitions to read is a bare loop of
// increments of one word. A writer closes the word and waits until there are as many exits as
// entries.
//
// Separate counts of entries and exits: Dice, Hendler, Mirsky, "Lightweight contention management
// for efficient compare-and-swap operations" (Euro-Par 2013) measures such loops; Linux's SRCU
// (kernel/rcu/srcutree.c) compares such counts.
#pragma once

#include <string>

#include "locks/layout.hpp"
#include "locks/platform.hpp"
#include "locks/promise.hpp"
#include "locks/shared/concept.hpp"

namespace faultline {

template <class P>
class CasLoop {
 public:
  static constexpr bool atomic_downgrade = true;
  // A writer that has closed the word waits for the present readers alone. But whoever exchanges
  // first closes it, and a reader waits for as many writers as come.
  static constexpr Promise promise = no_promise;

  void lock_shared() {
    while (!try_lock_shared()) [[unlikely]] await_open();
  }
  bool try_lock_shared() {
    u64 seen = entries_.load(std::memory_order_relaxed);  // relaxed: the exchange decides
    while ((seen & closed) == 0)
      // acquire: pairs with unlock's and downgrade's release. relaxed on failure: the next turn
      // decides.
      if (entries_.compare_exchange_weak(seen, seen + 1, std::memory_order_acquire,
                                         std::memory_order_relaxed))
        return true;
    return false;
  }
  void unlock_shared() {
    auto& left = exits_[P::self()].left;
    // relaxed load: only this thread writes the word. release: pairs with the acquire in
    // all_have_left().
    left.store(left.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }

  void lock() {
    for (;; await_open()) {
      const u64 seen = entries_.load(std::memory_order_relaxed);  // relaxed: the exchange decides
      if ((seen & closed) == 0 && close(seen)) return drain(seen);
    }
  }
  bool try_lock() {
    const u64 seen = entries_.load(std::memory_order_relaxed);  // relaxed: the exchange decides
    return (seen & closed) == 0 && all_have_left(seen) && close(seen);
  }
  // release: pairs with the acquires of all who come in.
  void unlock() { entries_.fetch_sub(closed, std::memory_order_release); }
  // release: as in unlock.
  void downgrade() { entries_.fetch_sub(closed - 1, std::memory_order_release); }

  void append_events(Events&) const {}
  std::string describe() const {
    // relaxed: a racy report.
    const u64 seen = entries_.load(std::memory_order_relaxed);
    return std::to_string((seen & ~closed) - exits()) + " reader(s)" +
           ((seen & closed) != 0 ? ", closed by a writer" : "");
  }

 private:
  static constexpr u64 closed = u64{1} << 63;
  struct alignas(cache_line) Exits {
    typename P::template atomic<u64> left{0};
  };

  bool close(u64 seen) {
    // acquire: pairs with unlock's release. relaxed on failure: nothing is read.
    return entries_.compare_exchange_strong(seen, seen | closed, std::memory_order_acquire,
                                            std::memory_order_relaxed);
  }

  u64 exits() const {
    u64 sum = 0;
    // acquire: pairs with unlock_shared's release.
    for (const Exits& thread : exits_) sum += thread.left.load(std::memory_order_acquire);
    return sum;
  }
  // Each count only grows, and `entries` do not grow meanwhile or the caller finds that they did.
  // So equal sums mean that every reader that had entered has left.
  bool all_have_left(u64 entries) const { return exits() == entries; }

  [[gnu::noinline]] void await_open() {
    WaitScope<P> waiting(this, "cas_loop");
    // relaxed: the exchange that follows orders.
    while ((entries_.load(std::memory_order_relaxed) & closed) != 0) P::pause(this);
  }
  void drain(u64 entries) {
    if (all_have_left(entries)) return;
    WaitScope<P> waiting(this, "cas_loop's readers");
    while (!all_have_left(entries)) P::pause(this);
  }

  alignas(cache_line) typename P::template atomic<u64> entries_{0};
  Exits exits_[P::max_threads];
};

}  // namespace faultline
