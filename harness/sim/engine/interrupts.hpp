// TLB shootdowns: interrupts between CPUs, their cost for the sender, and the time that their
// handlers take from the threads that they interrupt.
#pragma once

#include <span>
#include <vector>

#include "harness/sim/engine/scheduler.hpp"
#include "harness/sim/engine/store_buffers.hpp"

namespace faultline::sim {

class Interrupts {
 public:
  // `thread_on`: the thread on each CPU, by the kernel's number of the CPU; max_cpus: none.
  Interrupts(const Machine& machine, std::span<Cpu> cpus, const std::vector<u32>& thread_on,
             Scheduler& scheduler, StoreBuffers& stores)
      : machine_(machine),
        cpus_(cpus),
        thread_on_(thread_on),
        scheduler_(scheduler),
        stores_(stores) {}

  // Sends an interrupt to each of `targets` except the sender's own CPU, and waits for all answers.
  void shootdown(Cpu& cpu, const CpuSet& targets);
  // Charges the thread the time that handlers on its CPU have taken since the last call.
  void settle(Cpu& cpu);

 private:
  Time interrupt(const Cpu& sender, Cpu& target, Time sent);

  const Machine& machine_;
  const std::span<Cpu> cpus_;
  const std::vector<u32>& thread_on_;
  Scheduler& scheduler_;
  StoreBuffers& stores_;
  Time delivery_until_ = 0;  // the interconnect is busy delivering interrupts until then
};

}  // namespace faultline::sim
