// The kernel's part in waiting: futexes, and the costs of entering the kernel and of idling.
#pragma once

#include <span>
#include <vector>

#include "harness/sim/engine/scheduler.hpp"
#include "harness/sim/engine/store_buffers.hpp"

namespace faultline::sim {

// How long the CPU takes to run again after it was idle for `asleep`. The longer it was idle, the
// deeper is the idle state that it leaves.
Time idle_exit(const Machine& machine, Time asleep);

class Futexes {
 public:
  Futexes(const Machine& machine, std::span<Cpu> cpus, Scheduler& scheduler, StoreBuffers& stores)
      : machine_(machine), cpus_(cpus), scheduler_(scheduler), stores_(stores) {}

  // A system call: entry and return, and a fence.
  void enter_kernel(Cpu& cpu);
  // FUTEX_WAIT on the word at arena offset `at`. The caller has compared the word after
  // enter_kernel(). False: the deadline, in ns, has passed.
  bool sleep(Cpu& cpu, u64 at, u64 deadline_ns);
  // FUTEX_WAKE of at most `n` sleepers.
  void wake(Cpu& cpu, u64 at, u32 n);

 private:
  static constexpr u32 buckets = 256;
  std::vector<u16>& bucket_of(u64 at) { return sleepers_[(at >> 2) % buckets]; }
  void wake_one(Cpu& waker, Cpu& sleeper);

  const Machine& machine_;
  const std::span<Cpu> cpus_;
  Scheduler& scheduler_;
  StoreBuffers& stores_;
  std::vector<u16> sleepers_[buckets];  // in the order of arrival
};

}  // namespace faultline::sim
