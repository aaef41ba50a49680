// TLB shootdowns. A sender appends a call to the call queue of each target CPU. Each queue has a
// line of its own. The sender interrupts the target only if the target's queue was empty (Linux's
// kernel/smp.c, __smp_call_single_queue), and in sv6 only if no handler there will look at the
// queue again (kernel/ipi.cc of aclements/sv6, ipicall_active). The target's handler takes the
// whole queue and executes one call after the other; its steps are events. It takes its time from
// the thread that it interrupts, also from a sender between two of its targets.
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
        handlers_(cpus.size()),
        answers_(cpus.size()),
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
  // The next step of the handler on the CPU of `thread`, at the time that Scheduler::handle_at()
  // was told.
  void handle(u32 thread, Time now);

 private:
  static constexpr Time never = ~Time{0};

  struct Call {
    u32 sender;  // a thread
    u32 number;  // among the calls of the sender's shootdown
  };
  // A CPU's queue of calls and its handler.
  struct Handler {
    enum class State : u8 { idle, entering, executing, leaving };
    void* line = nullptr;
    std::vector<Call> queue;  // called, not taken yet
    std::vector<Call> taken;  // the handler executes them
    usize executed = 0;       // of `taken`
    Time interrupt = never;   // when the interrupt arrives for which no handler has begun
    State state = State::idle;
    bool has_line = false;  // it has taken the queue since the last call
  };
  struct Answer {
    u32 target;  // a thread
    Time at;
  };
  // The answers to a sender's calls.
  struct Answers {
    std::vector<Answer> of;  // in the order of the calls
    u32 missing = 0;
    bool are_awaited = false;
  };

  void serve_handlers(Cpu& cpu);
  void call(Cpu& sender, Cpu& target);
  void interrupt(Cpu& sender, Cpu& target, Handler& handler);
  void wait_for_answers(Cpu& cpu);
  Time answers_read(const Cpu& cpu) const;
  void enter(Cpu& target, Handler& handler, Time now);
  void end(const Cpu& target, Handler& handler, Time now);
  void take_queue(Handler& handler);
  void execute_next(Cpu& target, Handler& handler, Time now);
  void answer(Call call, Time now);
  void occupy(Cpu& target, Time now, Time until);
  Time line_latency(const Cpu& reader, const Cpu& writer) const;
  Handler& handler_of(const Cpu& target);

  const Machine& machine_;
  Arena& arena_;
  const std::span<Cpu> cpus_;
  const std::vector<u32>& thread_on_;
  Scheduler& scheduler_;
  StoreBuffers& stores_;
  Coherence& coherence_;
  Accounting& accounting_;
  Directory& directory_;
  std::vector<Handler> handlers_;  // by thread
  std::vector<Answers> answers_;   // by thread
  Tlbs tlbs_;
  Time delivery_until_ = 0;  // the interconnect is busy with earlier calls until then
};

}  // namespace faultline::sim
