// A workload's own barrier (pipeline, global), which a closing window opens for good: nobody is
// left standing at it.
#pragma once

#include "workloads/worker.hpp"

namespace faultline {

template <class P>
class alignas(cache_line) Barrier {
 public:
  // False: the window closed first. Waiting here is the workload's affair and does not count as
  // waiting for a lock.
  bool wait(Worker<P>& worker) {
    worker.about_to_wait();
    const u32 threads = worker.threads();
    const u32 round =
        round_.load(std::memory_order_acquire);  // acquire: pairs with the release below
    // acq_rel: the last to arrive has seen what the others did before, and passes it on by the
    // round.
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == threads) {
      arrived_.store(0, std::memory_order_relaxed);  // relaxed: published by the round
      round_.store(round + 1, std::memory_order_release);
      P::wake(round_, threads);
      return worker.running();
    }
    for (u32 turn = 0; round_.load(std::memory_order_acquire) == round;
         ++turn) {  // acquire: pairs with the release above
      if (!worker.running()) return false;
      if (turn < spins)
        P::pause(this);
      else
        P::wait(round_, round,
                P::now() + nap_ns);  // the window's close wakes nobody: hence the deadline
    }
    return worker.running();
  }

 private:
  static constexpr u32 spins = 500;
  static constexpr u64 nap_ns = 1'000'000;
  typename P::template atomic<u32> arrived_{0};
  typename P::template atomic<u32> round_{0};
};

}  // namespace faultline
