// A barrier of a workload (pipeline, global). The closing window opens it for good, so no thread
// stays in it.
#pragma once

#include "workloads/worker.hpp"

namespace faultline {

template <class P>
class alignas(cache_line) Barrier {
 public:
  // False: the window closed first. Waiting here belongs to the workload and does not count as
  // waiting for a lock.
  bool wait(Worker<P>& worker) {
    worker.about_to_wait();
    const bool together = meet(worker);
    if (together) worker.done_waiting();
    return together;
  }

 private:
  bool meet(const Worker<P>& worker) {
    // acquire: pairs with the seq_cst store below.
    const u32 round = round_.load(std::memory_order_acquire);
    // acq_rel: the last thread to arrive sees what the others did before, and publishes it by the
    // round.
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == worker.threads()) {
      arrived_.store(0, std::memory_order_relaxed);  // relaxed: the store of the round publishes it
      // seq_cst, both: pairs with sleep(). Either this thread sees the sleeper, or the sleeper sees
      // the round.
      round_.store(round + 1, std::memory_order_seq_cst);
      if (sleepers_.load(std::memory_order_seq_cst) != 0) P::wake(round_, worker.threads());
      return worker.running();
    }
    for (const u64 limit = P::now() + spin_ns; !over(round) && P::now() < limit;) {
      if (!worker.running()) return false;
      P::pause(this);
    }
    if (!over(round)) sleep(worker, round);
    return worker.running();
  }

  // acquire: pairs with the store of the next round, so that the work of the others before the
  // barrier is seen.
  bool over(u32 round) const { return round_.load(std::memory_order_acquire) != round; }

  void sleep(const Worker<P>& worker, u32 round) {
    sleepers_.fetch_add(1, std::memory_order_seq_cst);  // seq_cst: see meet()
    // The close of the window wakes no sleeper, so the wait has a deadline.
    while (round_.load(std::memory_order_seq_cst) == round && worker.running())
      P::wait(round_, round, P::now() + nap_ns);
    // relaxed: a count that is too high only costs a vain wake-up
    sleepers_.fetch_sub(1, std::memory_order_relaxed);
  }

  static constexpr u64 spin_ns = 20'000;
  static constexpr u64 nap_ns = 1'000'000;
  typename P::template atomic<u32> arrived_{0};
  typename P::template atomic<u32> round_{0};
  typename P::template atomic<u32> sleepers_{0};
};

}  // namespace faultline
