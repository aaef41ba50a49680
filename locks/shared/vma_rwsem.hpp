// The semaphore in each VMA of Linux 6.4 (struct vma_lock): an rwsem of which only a part is used.
// Readers only try. Writers hold the big lock (mmap_lock) exclusively, so there is one at a time,
// and no queue. What rwsem.hpp needs for the rest would make each VMA several lines longer. The
// scheme vma_rwlock also has readers that sleep.
//
//   count  bit 0 writer, bit 1 the writer sleeps (RWSEM_FLAG_WAITERS), bit 2 readers sleep, bits 8
//          and up readers (RWSEM_READER_BIAS is 256)
//   owner  the writer, or the reader that came last; every reader stores it
//
//   read   add 256 by compare-and-exchange; fails while a writer is in or sleeps
//          (__down_read_trylock of kernel/locking/rwsem.c since 5.17, commit 14c240488411)
//   sleep  a reader that finds a writer in, or asleep, sets bit 2 and sleeps, without a spin, as in
//          the kernel since 5.11
//   write  0 -> 1. Else spin for as long as rwsem_rspin_threshold allows, then set bit 1 and sleep
//   leave  the last reader that finds bit 1 wakes the writer; a writer that finds bit 2 clears it
//          and wakes all readers, which try again
//
// Not modelled: that the kernel allocates the 40 bytes of these semaphores side by side in a slab
// of their own (vma_lock_cachep), so that locks of several VMAs share lines; the wait list and its
// spinlock; and the handoff, which a lone waiter does not need. The kernel grants the lock to the
// readers that it wakes. Here the next writer may be quicker than they.
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
  void lock_shared() {
    if (!try_lock_shared()) [[unlikely]]
      lock_shared_slow();
  }
  void unlock_shared() {
    // release: pairs with the acquire in try_lock().
    const u64 left = count_.fetch_sub(reader_bias, std::memory_order_release) - reader_bias;
    if ((left & ~sleepers_bit) == waiter_bit) [[unlikely]]
      wake_writer();
  }

  // One writer at a time.
  void lock() {
    if (!try_lock()) [[unlikely]]
      lock_slow();
    owner_.set_writer();
  }
  void unlock() {
    owner_.clear();
    // release: pairs with the acquire in try_lock_shared(). No reader is in, and no other writer.
    if ((count_.exchange(0, std::memory_order_release) & sleepers_bit) != 0) [[unlikely]]
      wake_readers();
  }

 private:
  static constexpr u64 writer_bit = 1, waiter_bit = 2, sleepers_bit = 4, reader_bias = 256;

  // `bits`: what the count has where no reader is in. On failure, what it has.
  bool try_lock(u64& bits) {
    // acquire: pairs with the release in unlock_shared(). relaxed on failure: the caller tries
    // again.
    return count_.compare_exchange_strong(bits, writer_bit | (bits & sleepers_bit),
                                          std::memory_order_acquire, std::memory_order_relaxed);
  }
  bool try_lock() {
    u64 free = 0;
    return try_lock(free);
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
      if (count_.load(std::memory_order_relaxed) == 0 && try_lock()) return true;
      P::pause(&count_);
    } while (P::now() <= limit);
    return false;
  }

  [[gnu::noinline]] void wake_writer() {
    // release: pairs with the acquire in sleep().
    wake_ups_.fetch_add(1, std::memory_order_release);
    P::wake(wake_ups_, 1);
  }

  void sleep() {
    // relaxed: the bit passes no data. It stays until the writer has the lock.
    count_.fetch_add(waiter_bit, std::memory_order_relaxed);
    for (;;) {
      // acquire: pairs with the release in wake_writer(). Where this load sees a wake-up, the next
      // one sees that the last reader has left.
      const u32 ticket = wake_ups_.load(std::memory_order_acquire);
      u64 seen = count_.load(std::memory_order_relaxed);  // relaxed: the exchange decides
      // A reader that goes to sleep changes the count, too, and wakes nobody.
      while (seen < reader_bias)
        if (try_lock(seen)) return;
      P::wait(wake_ups_, ticket, no_deadline);
    }
  }

  [[gnu::noinline]] void lock_shared_slow() {
    WaitScope<P> waiting(this, "VMA's writer to leave");
    for (;;) {
      // acquire: pairs with the release in wake_readers(). Where this load sees a wake-up, the try
      // sees what the waker left behind.
      // weakened acquire survives, store_order: it keeps the waker's exchange before the one below,
      // which would otherwise set a bit that is about to be cleared although its ticket is new.
      const u32 ticket = reader_wake_ups_.load(std::memory_order_acquire);
      if (try_lock_shared()) return;
      u64 seen = count_.load(std::memory_order_relaxed);  // relaxed: the exchange decides
      // relaxed, both: the bit passes no data. The writer finds it, whether it is in or asleep.
      if ((seen & (writer_bit | waiter_bit)) != 0 &&
          count_.compare_exchange_strong(seen, seen | sleepers_bit, std::memory_order_relaxed,
                                         std::memory_order_relaxed))
        P::wait(reader_wake_ups_, ticket, no_deadline);
    }
  }

  [[gnu::noinline]] void wake_readers() {
    // release: pairs with the acquire in lock_shared_slow().
    // weakened release survives, store_order: it keeps unlock's exchange before that of a reader
    // with the new ticket.
    reader_wake_ups_.fetch_add(1, std::memory_order_release);
    P::wake(reader_wake_ups_, ~u32{0});
  }

  typename P::template atomic<u64> count_{0};
  RwsemOwner<P> owner_;
  typename P::template atomic<u32> wake_ups_{0}, reader_wake_ups_{0};
};

}  // namespace faultline
