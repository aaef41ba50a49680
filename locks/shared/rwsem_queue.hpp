// The wait list of an Rwsem: its waiters, the words on which their threads sleep, and the list of
// threads to wake. The rwsem's wait_lock_ guards all of it except the wake-ups.
#pragma once

#include "locks/platform.hpp"

namespace faultline {

// The word on which a thread sleeps: one per thread, which lives as long as the rwsem. It is not
// part of the waiter, whose life ends as soon as its thread sees itself granted, perhaps before the
// wake-up.
template <class P>
struct RwsemParker {
  typename P::template atomic<u32> word{0};
};

// The kernel's rwsem_waiter. It lies on its thread's stack while the thread is queued. Times are
// nanoseconds of P::now().
template <class P>
struct RwsemWaiter {
  static constexpr u64 handoff_after = 4'000'000;  // RWSEM_WAIT_TIMEOUT: max(4 ms, one jiffy)

  RwsemWaiter(bool is_writer, RwsemParker<P>& own)
      : writer(is_writer), thread(P::self()), parker(&own), deadline(P::now() + handoff_after) {}

  // acquire: pairs with grant's release.
  bool granted() const { return granted_.load(std::memory_order_acquire); }
  // release: the reader, and any thread that waits for the grant, sees that the lock was taken for
  // the reader. The waiter may be gone after this.
  void grant() { granted_.store(true, std::memory_order_release); }

  // handoff_set: the lock will be handed to this waiter, which is the first of the queue. Threads
  // set it under wait_lock_; the waiter's own thread reads it without. relaxed: that read only
  // decides whether to spin or to sleep.
  bool marked() const { return marked_.load(std::memory_order_relaxed); }
  void mark() { marked_.store(true, std::memory_order_relaxed); }

  typename P::template data<bool> writer;
  typename P::template data<u32> thread;
  typename P::template data<RwsemParker<P>*> parker;
  typename P::template data<u64> deadline;  // from this time on the waiter may demand the lock
  typename P::template data<RwsemWaiter*> next;
  typename P::template data<RwsemWaiter*> previous;

 private:
  // Only for a reader, since a writer takes the lock itself.
  typename P::template atomic<bool> granted_{false};
  typename P::template atomic<bool> marked_{false};
};

// A list of waiters in the order of arrival.
template <class P>
class RwsemWaitList {
 public:
  using Waiter = RwsemWaiter<P>;

  Waiter* first() const { return first_.load(); }
  bool holds_only(const Waiter& waiter) const {
    return first() == &waiter && waiter.next.load() == nullptr;
  }

  void append(Waiter& waiter) {
    Waiter* last = last_.load();
    waiter.previous.store(last);
    waiter.next.store(nullptr);
    (last == nullptr ? first_ : last->next).store(&waiter);
    last_.store(&waiter);
  }

  void remove(Waiter& waiter) {
    Waiter* next = waiter.next.load();
    Waiter* previous = waiter.previous.load();
    (previous == nullptr ? first_ : previous->next).store(next);
    (next == nullptr ? last_ : next->previous).store(previous);
  }

 private:
  typename P::template data<Waiter*> first_;
  typename P::template data<Waiter*> last_;
};

// The threads to wake after wait_lock_ is released: readers that were granted the lock, or one
// writer. The list lies on the waker's stack, as the kernel's wake_q does, and has room for all
// threads that one waker grants the lock.
template <class P>
class RwsemWakeList {
 public:
  static constexpr u32 capacity = 256;  // MAX_READERS_WAKEUP

  void add(RwsemParker<P>& parker) { parkers_[count_++] = &parker; }
  bool empty() const { return count_ == 0; }

  void wake() {
    for (u32 i = 0; i < count_; ++i) {
      // release: pairs with the acquire by which the sleeper reads its word before it decides
      // whether to sleep. Either the sleeper sees the reason for this wake-up, or P::wait sees a
      // changed word.
      parkers_[i]->word.fetch_add(1, std::memory_order_release);
      P::wake(parkers_[i]->word, 1);
    }
    count_ = 0;
  }

 private:
  RwsemParker<P>* parkers_[capacity];
  u32 count_ = 0;
};

}  // namespace faultline
