// The threads that wait for what is held at one place, and try again when it is released.
#pragma once

#include "locks/platform.hpp"
#include "locks/range/waiters.hpp"

namespace faultline {

// In the order in which they came. The lock that guards the place guards it.
template <class P>
class WaiterQueue {
 public:
  void add(Waiter<P>& waiter) {
    waiter.arm();
    waiter.set_next(nullptr);
    if (first_.load() == nullptr)
      first_.store(&waiter);
    else
      last_.load()->set_next(&waiter);
    last_.store(&waiter);
  }
  void move_to(Wakes<P>& wakes) {
    if (first_.load() == nullptr) return;
    wakes.append(*first_.load(), *last_.load());
    first_.store(nullptr);
  }
  // Moves those of whom wanted(waiter) is true, in the order in which they came.
  template <class F>
  void move_to(Wakes<P>& wakes, const F& wanted) {
    Waiter<P>* kept = nullptr;
    for (Waiter<P>* waiter = first_.load(); waiter != nullptr;) {
      Waiter<P>* next = waiter->next();
      if (!wanted(*waiter)) {
        kept = waiter;
      } else {
        (kept == nullptr ? first_.store(next) : kept->set_next(next));
        wakes.add(*waiter);
      }
      waiter = next;
    }
    last_.store(kept);
  }
  u64 size() const {
    u64 size = 0;
    for (const Waiter<P>* waiter = first_.load(); waiter != nullptr; waiter = waiter->next())
      ++size;
    return size;
  }

 private:
  typename P::template data<Waiter<P>*> first_;
  typename P::template data<Waiter<P>*> last_;
};

}  // namespace faultline
