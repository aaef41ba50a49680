// A reference count and a wait queue, as proposed for VMAs in 2019 ("How to get rid of mmap_sem",
// LWN): a fault holds a reference, and whoever wants to change the VMA sleeps until the count is
// zero. Nothing holds new references back while a writer waits, so a stream of readers starves it.
// The article names that danger. Locks of this program that close the count first are
// incdec_refcount, and vma_refcount as Linux 6.15 has it. The scheme refcount_naive has this lock
// in each VMA.
//
//   word   a count of references; bit 62: threads sleep; bit 63: a writer changes the object
//   read   add one by compare-and-exchange, unless a writer is in; then sleep
//   write  0 -> bit 63; else sleep until the count is zero, and try again
//   leave  whoever leaves zero behind and finds bit 62 wakes all sleepers
//
// The article describes no code. Bit 63 stands for what its writer does while the count is zero:
// without it a reader could come in meanwhile. The wait queue is a futex, whose word counts the
// wake-ups.
#pragma once

#include <string>

#include "locks/layout.hpp"
#include "locks/platform.hpp"
#include "locks/promise.hpp"
#include "locks/shared/concept.hpp"

namespace faultline {

// `apart`: the alignment of the words, in bytes.
template <class P, usize apart = cache_line>
class NaiveRefcountLock {
 public:
  static constexpr bool atomic_downgrade = true;
  // Any number of readers may pass a writer, and any number of writers a reader.
  static constexpr Promise promise = no_promise;

  void lock_shared() {
    if (!try_lock_shared()) [[unlikely]]
      sleep_while(held, "naive_refcount_lock to read", [this] { return try_lock_shared(); });
  }
  bool try_lock_shared() {
    u64 seen = word_.load(std::memory_order_relaxed);  // relaxed: the exchange decides
    while ((seen & held) == 0)
      // acquire: pairs with unlock's and downgrade's release. relaxed on failure: the next turn
      // decides.
      if (word_.compare_exchange_weak(seen, seen + 1, std::memory_order_acquire,
                                      std::memory_order_relaxed))
        return true;
    return false;
  }
  void unlock_shared() {
    // release: pairs with the writers' acquire.
    if (word_.fetch_sub(1, std::memory_order_release) == (sleepers | 1)) [[unlikely]]
      wake_all();
  }

  void lock() {
    if (!try_lock()) [[unlikely]]
      sleep_while(~sleepers, "naive_refcount_lock to write", [this] { return try_lock(); });
  }
  bool try_lock() {
    u64 seen = word_.load(std::memory_order_relaxed);  // relaxed: the exchange decides
    while ((seen & ~sleepers) == 0)
      // acquire: pairs with unlock_shared's and unlock's release. relaxed on failure: the next turn
      // decides.
      if (word_.compare_exchange_weak(seen, seen | held, std::memory_order_acquire,
                                      std::memory_order_relaxed))
        return true;
    return false;
  }
  void unlock() {
    // release: pairs with the acquires of all who come in.
    if (word_.fetch_sub(held, std::memory_order_release) == (held | sleepers)) [[unlikely]]
      wake_all();
  }
  // Sleepers that want to read come in.
  void downgrade() {
    // release: as in unlock.
    if (word_.fetch_sub(held - 1, std::memory_order_release) == (held | sleepers)) [[unlikely]]
      wake_all();
  }

  void append_events(Events&) const {}
  std::string describe() const {
    const u64 seen = word_.load(std::memory_order_relaxed);  // relaxed: a racy report
    const std::string text =
        (seen & held) != 0 ? "a writer" : std::to_string(seen & ~sleepers) + " reference(s)";
    return text + ((seen & sleepers) != 0 ? ", threads sleep" : "");
  }

 private:
  static constexpr u64 held = u64{1} << 63, sleepers = u64{1} << 62;

  // Repeats `take`, which fails while the word has one of the bits `blocking`.
  template <class F>
  [[gnu::noinline]] void sleep_while(u64 blocking, const char* what, const F& take) {
    WaitScope<P> waiting(this, what);
    for (;;) {
      // acquire: pairs with wake_all's release. Where this load sees a wake-up, `take` sees what
      // the waker left behind.
      // weakened acquire survives, store_order: it keeps the waker's fetch_and before the exchange
      // below, which would otherwise lose its bit although its ticket is new.
      const u32 ticket = wake_ups_.load(std::memory_order_acquire);
      if (take()) return;
      u64 seen = word_.load(std::memory_order_relaxed);  // relaxed: the exchange decides
      // A thread sleeps only while somebody is in who stands in its way, and who will find the bit.
      // relaxed, both: the bit passes no data.
      if ((seen & blocking) != 0 &&
          word_.compare_exchange_strong(seen, seen | sleepers, std::memory_order_relaxed,
                                        std::memory_order_relaxed))
        P::wait(wake_ups_, ticket, no_deadline);
    }
  }

  [[gnu::noinline]] void wake_all() {
    // relaxed: the addition below orders the bit. A thread that sets it later sleeps by a ticket
    // that the addition makes stale, or sees the addition and has set the bit after it.
    word_.fetch_and(~sleepers, std::memory_order_relaxed);
    // release: pairs with sleep_while's acquire.
    // weakened release survives, store_order: it keeps the fetch_and before the exchange by which a
    // thread with the new ticket sets the bit again.
    wake_ups_.fetch_add(1, std::memory_order_release);
    P::wake(wake_ups_, ~u32{0});
  }

  alignas(apart) typename P::template atomic<u64> word_{0};
  typename P::template atomic<u32> wake_ups_{0};
};

}  // namespace faultline
