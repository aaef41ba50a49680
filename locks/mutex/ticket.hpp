// A ticket lock: FIFO, two words (Reed and Kanodia 1979; Mellor-Crummey and Scott 1991,
// algorithm 2.2).
//
//   lock    take a number; wait until it is served
//   unlock  serve the next number
#pragma once

#include "locks/mutex/concept.hpp"
#include "locks/platform.hpp"

namespace faultline {

template <class P>
class Ticket {
 public:
  struct Node {};

  void lock(Node&) {
    // relaxed: the load that finds it served orders.
    const u32 mine = next_.fetch_add(1, std::memory_order_relaxed);
    // acquire: pairs with unlock's release.
    if (serving_.load(std::memory_order_acquire) != mine) [[unlikely]]
      await(mine);
  }

  bool try_lock(Node&) {
    // acquire: pairs with unlock's release.
    u32 serving = serving_.load(std::memory_order_acquire);
    // relaxed: the load above orders, since `next` equal to it means that nobody has come between.
    return next_.compare_exchange_strong(serving, serving + 1, std::memory_order_relaxed,
                                         std::memory_order_relaxed);
  }

  void unlock(Node&) {
    // relaxed load: only the holder writes it. release: pairs with lock's and try_lock's acquire.
    serving_.store(serving_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }

 private:
  // Apart, so that the compiler inlines what is left of lock().
  [[gnu::noinline]] void await(u32 mine) {
    WaitScope<P> waiting(this, "ticket");
    // acquire: pairs with unlock's release.
    while (serving_.load(std::memory_order_acquire) != mine) P::pause(this);
  }

  typename P::template atomic<u32> next_{0};
  typename P::template atomic<u32> serving_{0};
};

}  // namespace faultline
