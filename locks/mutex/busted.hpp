// A spinlock that is broken on purpose, so that users can see the checker find something
// (`faultline check busted`): its try_lock reads the word and then stores to it, in two steps. No
// list of measured locks has it.
#pragma once

#include "locks/mutex/concept.hpp"
#include "locks/platform.hpp"
#include "locks/promise.hpp"

namespace faultline {

template <class P>
class Busted {
 public:
  struct Node {};
  static constexpr Promise promise = no_promise;

  void lock(Node& node) {
    WaitScope<P> waiting(this, "busted");
    while (!try_lock(node)) P::pause(this);
  }

  bool try_lock(Node&) {
    // acquire: pairs with unlock's release.
    if (held_.load(std::memory_order_acquire) != 0) return false;
    // relaxed: any order would be wrong here, since another thread may also have read 0.
    held_.store(1, std::memory_order_relaxed);
    return true;
  }

  // release: pairs with try_lock's acquire.
  void unlock(Node&) { held_.store(0, std::memory_order_release); }

 private:
  typename P::template atomic<u32> held_{0};
};

}  // namespace faultline
