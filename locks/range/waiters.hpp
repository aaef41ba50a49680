// How a thread that waits for a range sleeps, and how the thread that lets it go on wakes it: for
// range locks that keep their waiters under a lock, a mutex or the lock of a tree's leaf.
#pragma once

#include "locks/platform.hpp"

namespace faultline {

// The word on which a thread sleeps. It belongs to the thread, not to the node of its range: the
// waiter may return as soon as it sees that it may go on, and so end the node's life before the
// waker has called P::wake.
template <class P>
struct alignas(cache_line) Parker {
  typename P::template atomic<u32> wakes{0};
};

template <class P>
class Wakes;

// The part of a node that its thread sleeps by. A waiter is in at most one list.
template <class P>
class Waiter {
 public:
  // The thread calls it before it lets others find the waiter.
  void prepare(Parker<P>& parker) { parker_.store(&parker); }
  // Under that lock, before the waiter is in a list.
  void arm() {
    // relaxed: the waking thread finds the waiter under that lock.
    woken_.store(0, std::memory_order_relaxed);
  }
  // Under that lock, or in a list that the caller alone has.
  Waiter* next() const { return next_.load(); }
  void set_next(Waiter* next) { next_.store(next); }

  // Returns once another thread has woken the waiter. Calls `before_sleep` before each sleep.
  template <class F>
  void sleep(const F& before_sleep) {
    Parker<P>& parker = *parker_.load();
    for (;;) {
      // acquire: pairs with the release in Wakes::send. This load comes before the load of
      // `woken_`, so a wake-up between the two changes the word, and the sleep ends at once.
      const u32 seen = parker.wakes.load(std::memory_order_acquire);
      // acquire: pairs with the release in Wakes::send.
      if (woken_.load(std::memory_order_acquire) != 0) return;
      before_sleep();
      P::wait(parker.wakes, seen, no_deadline);
    }
  }

 private:
  friend class Wakes<P>;

  typename P::template data<Parker<P>*> parker_;
  typename P::template data<Waiter*> next_;
  typename P::template atomic<u32> woken_{0};
};

// The waiters that one thread wakes after it has released that lock: a list of any length, linked
// through their nodes, as Linux's wake_q links tasks. A node lives until its waiter is woken.
template <class P>
class Wakes {
 public:
  void add(Waiter<P>& waiter) {
    waiter.set_next(nullptr);
    append(waiter, waiter);
  }
  void append(Waiter<P>& first, Waiter<P>& last) {
    if (last_ == nullptr)
      first_ = &first;
    else
      last_->set_next(&first);
    last_ = &last;
  }
  void send() {
    for (Waiter<P>* waiter = first_; waiter != nullptr;) {
      // Both loads come before the store of `woken_`, after which the node may be gone.
      Waiter<P>* next = waiter->next();
      Parker<P>& parker = *waiter->parker_.load();
      // release: pairs with the acquire in Waiter::sleep. The waiter sees what this thread did; it
      // sees what earlier holders did through that lock.
      waiter->woken_.store(1, std::memory_order_release);
      // release: pairs with the acquire in Waiter::sleep: a thread that sees the new value sees
      // that it is woken.
      parker.wakes.fetch_add(1, std::memory_order_release);
      P::wake(parker.wakes, 1);
      waiter = next;
    }
  }

 private:
  Waiter<P>* first_ = nullptr;
  Waiter<P>* last_ = nullptr;
};

}  // namespace faultline
