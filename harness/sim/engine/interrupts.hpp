// TLB shootdowns. A sender appends a call to the call queue of each target CPU. Each queue has a
// line of its own. The sender interrupts the target only if the target's queue was empty (Linux's
// kernel/smp.c, __smp_call_single_queue), and in sv6 only if no handler runs there either
// (kernel/ipi.cc of aclements/sv6, ipicall_active). The target's handler executes all calls of its
// queue. It takes its time from the thread that it interrupts, also from a sender between two of
// its targets.
#pragma once

#include <span>
#include <vector>

#include "harness/sim/engine/coherence.hpp"
#include "harness/sim/engine/scheduler.hpp"
#include "harness/sim/engine/store_buffers.hpp"
#include "harness/sim/engine/tlbs.hpp"

namespace faultline::sim {

class Interrupts {
 public:
  // `thread_on`: the thread on each CPU, by the kernel's number of the CPU; max_cpus: none.
  Interrupts(const Machine& machine, Arena& arena, std::span<Cpu> cpus,
             const std::vector<u32>& thread_on, Scheduler& scheduler, StoreBuffers& stores,
             Coherence& coherence, Accounting& accounting, Directory& directory)
      : machine_(machine),
        arena_(arena),
        cpus_(cpus),
        thread_on_(thread_on),
        scheduler_(scheduler),
        stores_(stores),
        coherence_(coherence),
        accounting_(accounting),
        directory_(directory),
        calls_(cpus.size()),
        tlbs_(cpus.size()) {}

  // Sends a call to each of `targets` except the sender's own CPU, and waits for all answers. Takes
  // no time where there is no other target. The targets' TLBs are empty from the beginning on,
  // those of lazy CPUs too, which empty them when they return to the address space.
  void shootdown(Cpu& cpu, const CpuSet& targets, LazyCpus lazy);
  // The hardware's broadcast empties all TLBs.
  void flush_all(Cpu& cpu);
  Tlbs& tlbs() { return tlbs_; }
  // Charges the thread the time that handlers on its CPU have taken since the last call.
  void settle(Cpu& cpu);

 private:
  // A CPU's queue of calls.
  struct Calls {
    void* line = nullptr;
    Time taken = 0;            // when the handler takes the queued calls; it can lie in the past
    Time answered = 0;         // when the handler has executed them
    bool with_sender = false;  // a sender has used the line after the handler
  };

  void serve_handlers(Cpu& cpu);
  Time call(Cpu& sender, Cpu& target);
  Time execute(Cpu& target, Calls& calls, Time takes);
  Time line_latency(const Cpu& reader, const Cpu& writer) const;
  Calls& calls_of(const Cpu& target);
  void interrupt(Cpu& sender, Cpu& target, Calls& calls);

  const Machine& machine_;
  Arena& arena_;
  const std::span<Cpu> cpus_;
  const std::vector<u32>& thread_on_;
  Scheduler& scheduler_;
  StoreBuffers& stores_;
  Coherence& coherence_;
  Accounting& accounting_;
  Directory& directory_;
  std::vector<Calls> calls_;  // by thread
  Tlbs tlbs_;
  Time delivery_until_ = 0;  // the interconnect is busy with earlier calls until then
};

}  // namespace faultline::sim
