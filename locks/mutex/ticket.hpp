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
    const u32 mine =
        next_.fetch_add(1, std::memory_order_relaxed);  // relaxed: the wait below orders
    // acquire, here and below: pairs with unlock's release.
    if (serving_.load(std::memory_order_acquire) == mine) return;
    WaitScope<P> waiting(this, "ticket");
    while (serving_.load(std::memory_order_acquire) != mine) P::pause(this);
  }

  bool try_lock(Node&) {
    u32 serving = serving_.load(std::memory_order_acquire);  // acquire: pairs with unlock's release
    // relaxed: the load above orders, since `next` equal to it means that nobody has come between.
    return next_.compare_exchange_strong(serving, serving + 1, std::memory_order_relaxed,
                                         std::memory_order_relaxed);
  }

  void unlock(Node&) {
    // relaxed load: only the holder writes it. release: pairs with lock's and try_lock's acquire.
    serving_.store(serving_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }

 private:
  typename P::template atomic<u32> next_{0};
  typename P::template atomic<u32> serving_{0};
};

}  // namespace faultline
