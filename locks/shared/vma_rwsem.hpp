// The semaphore in each VMA of Linux 6.4 (struct vma_lock): an rwsem of which only a part is used.
// Readers only try. Writers hold the big lock (mmap_lock) exclusively, so there is one at a time,
// and no queue. What rwsem.hpp needs for the rest would make each VMA several lines longer.
//
//   count  bit 0 writer, bit 1 the writer sleeps (RWSEM_FLAG_WAITERS), bits 8 and up readers
//          (RWSEM_READER_BIAS is 256)
//   owner  the writer, or the reader that came last; every reader stores it
//
//   read   add 256 by compare-and-exchange; fails while a writer is in or sleeps
//          (__down_read_trylock of kernel/locking/rwsem.c since 5.17, commit 14c240488411)
//   write  0 -> 1. Else spin for as long as rwsem_rspin_threshold allows, then set bit 1 and sleep
//   leave  the last reader that finds bit 1 wakes the writer
//
// Not modelled: that the kernel allocates the 40 bytes of these semaphores side by side in a slab
// of their own (vma_lock_cachep), so that locks of several VMAs share lines; the wait list and its
// spinlock; and the handoff, which a lone waiter does not need.
#pragma once

#include "locks/layout.hpp"
#include "locks/platform.hpp"
#include "locks/shared/rwsem_owner.hpp"

namespace faultline {

template <class P>
class VmaRwsem {
 public:
  bool try_lock_shared() {
    u64 seen = count_.load(std::memory_order_relaxed);  // relaxed: the exchange decides
    while ((seen & (writer_bit | waiter_bit)) == 0)
      // acquire: pairs with the release in unlock(). relaxed on failure: the next turn decides.
      if (count_.compare_exchange_weak(seen, seen + reader_bias, std::memory_order_acquire,
                                       std::memory_order_relaxed)) {
        owner_.set_reader(P::self(), 0);
        return true;
      }
    return false;
  }
  void unlock_shared() {
    // release: pairs with the acquire in try_lock().
    const u64 left = count_.fetch_sub(reader_bias, std::memory_order_release) - reader_bias;
    if (left == waiter_bit) [[unlikely]]
      wake_writer();
  }

  // One writer at a time.
  void lock() {
    if (!try_lock(0)) [[unlikely]]
      lock_slow();
    owner_.set_writer();
  }
  void unlock() {
    owner_.clear();
    // release: pairs with the acquire in try_lock_shared().
    count_.fetch_sub(writer_bit, std::memory_order_release);
  }

 private:
  static constexpr u64 writer_bit = 1, waiter_bit = 2, reader_bias = 256;

  // `bits`: what the count has where no reader is in.
  bool try_lock(u64 bits) {
    // acquire: pairs with the release in unlock_shared(). relaxed on failure: the caller tries
    // again.
    return count_.compare_exchange_strong(bits, writer_bit, std::memory_order_acquire,
                                          std::memory_order_relaxed);
  }

  [[gnu::noinline]] void lock_slow() {
    WaitScope<P> waiting(this, "VMA's readers to leave");
    if (!spin()) sleep();
  }

  bool spin() {
    // relaxed: an estimate.
    const u64 readers = count_.load(std::memory_order_relaxed) / reader_bias;
    const u64 limit = P::now() + RwsemOwner<P>::reader_patience(readers);
    do {
      // relaxed: the exchange decides.
      if (count_.load(std::memory_order_relaxed) == 0 && try_lock(0)) return true;
      P::pause(&count_);
    } while (P::now() <= limit);
    return false;
  }

  [[gnu::noinline]] void wake_writer() {
    // release: pairs with the acquire in sleep().
    // weakened release survives, store_order: a writer that sees the addition takes the lock after
    // the last reader's subtraction.
    wake_ups_.fetch_add(1, std::memory_order_release);
    P::wake(wake_ups_, 1);
  }

  void sleep() {
    // relaxed: the bit passes no data. It stays until the writer has the lock.
    count_.fetch_add(waiter_bit, std::memory_order_relaxed);
    for (;;) {
      // acquire: pairs with the release in wake_writer().
      // weakened acquire survives, store_order: the exchange below comes after the subtraction of
      // the reader whose addition this load sees.
      const u32 ticket = wake_ups_.load(std::memory_order_acquire);
      if (try_lock(waiter_bit)) return;
      P::wait(wake_ups_, ticket, no_deadline);
    }
  }

  typename P::template atomic<u64> count_{0};
  RwsemOwner<P> owner_;
  typename P::template atomic<u32> wake_ups_{0};
};

}  // namespace faultline
