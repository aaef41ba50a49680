// A barrier of a workload: a count of the threads that have come, and the number of the round. A
// thread that waits spins, as in the program that the workload follows.
#pragma once

#include "workloads/worker.hpp"

namespace faultline {

// Every arrival writes the count, and every waiter reads the round. Each has a line of its own, so
// that an arrival does not take the waiters' line from them.
template <class P>
class alignas(cache_line) Barrier {
 public:
  // False: a thread of the trial has failed and will not come. Waiting here belongs to the workload
  // and does not count as waiting for a lock.
  bool wait(Worker<P>& worker) {
    return wait(worker, [] {});
  }
  // The thread that comes last calls `last` before any thread goes on. All threads see what it did.
  template <class F>
  bool wait(Worker<P>& worker, F&& last) {
    worker.about_to_wait();
    const bool together = meet(worker, last);
    if (together) worker.done_waiting();
    return together;
  }

 private:
  template <class F>
  bool meet(const Worker<P>& worker, F& last) {
    // relaxed: the round cannot change before this thread has come, and when it left the barrier it
    // saw the round that is still the last.
    const u32 round = round_.load(std::memory_order_relaxed);
    // acq_rel: the last thread to come sees what the others did before.
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == worker.threads()) {
      last();
      arrived_.store(0, std::memory_order_relaxed);  // relaxed: the store of the round publishes it
      // release: pairs with the acquire below, so that each thread sees what all did before the
      // barrier.
      round_.store(round + 1, std::memory_order_release);
      return true;
    }
    while (round_.load(std::memory_order_acquire) == round) {
      if (worker.failed()) return false;
      P::pause(&round_);
    }
    return true;
  }

  alignas(cache_line) typename P::template atomic<u32> arrived_{0};
  alignas(cache_line) typename P::template atomic<u32> round_{0};
};

}  // namespace faultline
