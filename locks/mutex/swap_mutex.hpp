// A test-and-set lock whose waiters exchange the word without looking at it first: lockhammer's
// swap_mutex (github.com/ARM-software/synchronization-benchmarks), which has no pause between two
// exchanges. Here a waiter pauses, as every spin does on these platforms.
#pragma once

#include "locks/mutex/concept.hpp"
#include "locks/platform.hpp"
#include "locks/promise.hpp"

namespace faultline {

template <class P>
class SwapMutex {
 public:
  struct Node {};
  static constexpr Promise promise = no_promise;  // whoever exchanges first gets the lock

  void lock(Node& node) {
    if (try_lock(node)) return;
    WaitScope<P> waiting(this, "swap_mutex");
    do P::pause(this);
    while (!try_lock(node));
  }

  // acquire: pairs with unlock's release.
  bool try_lock(Node&) { return word_.exchange(1, std::memory_order_acquire) == 0; }

  // release: pairs with try_lock's acquire.
  void unlock(Node&) { word_.store(0, std::memory_order_release); }

 private:
  typename P::template atomic<u64> word_{0};
};

}  // namespace faultline
