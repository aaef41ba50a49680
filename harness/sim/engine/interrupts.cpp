#include "harness/sim/engine/interrupts.hpp"

#include <algorithm>

#include "harness/sim/engine/futexes.hpp"

namespace faultline::sim {

void Interrupts::flush_all(Cpu& cpu) {
  stores_.drain(cpu);
  scheduler_.take_turn(cpu);
  tlbs_.flush_all();
}

void Interrupts::shootdown(Cpu& cpu, const CpuSet& targets, LazyCpus lazy) {
  stores_.drain(cpu);
  scheduler_.take_turn(cpu);
  targets.for_each([&](u32 number) {
    if (thread_on_[number] != max_cpus) tlbs_.flush(thread_on_[number]);
  });
  const Time since = cpu.clock, stalled = cpu.stalled;
  bool begun = false;
  // The sender reads the answers in the order of the targets, and waits for missing answers. In sv6
  // it reads their count.
  Time reading = 0, read = 0;
  targets.for_each([&](u32 number) {
    const u32 thread = thread_on_[number];
    if (thread == max_cpus || thread == cpu.index) return;
    Cpu& target = cpus_[thread];
    const bool is_skipped = target.lazy_tlb && lazy == LazyCpus::skipped;
    if (is_skipped || target.status == Status::done) return;
    if (!begun) cpu.clock += machine_.shootdown_base;
    begun = true;
    serve_handlers(cpu);
    const Time answered = call(cpu, target), latency = line_latency(cpu, target);
    if (machine_.sv6_calls) {
      read = std::max(read, answered + latency);
    } else {
      reading += latency;
      read = std::max(read, answered) + latency;
    }
  });
  // While the sender waits for answers, handlers on its CPU take nothing from it. Those that were
  // called before it waits are in `stolen` already.
  const Time answered = std::max(cpu.clock + reading, read);
  cpu.stolen -= std::min(cpu.stolen, answered - cpu.clock);
  if (answered > cpu.clock) {
    cpu.awaited = 0;
    scheduler_.set_timer(cpu, answered);
    scheduler_.block(cpu, Status::queued);
  }
  cpu.shootdown += cpu.clock - since - (cpu.stalled - stalled);
}

// Interrupts are off while the sender queues a call and sends the interrupt. Handlers that were
// called meanwhile run before it goes on to the next target.
void Interrupts::serve_handlers(Cpu& cpu) {
  cpu.clock += cpu.stolen;
  cpu.stolen = 0;
}

// Queues the call. Returns the time at which the target has executed it.
Time Interrupts::call(Cpu& sender, Cpu& target) {
  Calls& calls = calls_of(target);
  sender.clock += machine_.shootdown_per_target;
  scheduler_.take_turn(sender);
  // The handler has no event. If it has taken the queue since the last call, its access to the line
  // is made up for here.
  if (calls.with_sender && calls.taken <= sender.clock) {
    coherence_.move_to_handler(target, calls.line);
    calls.with_sender = false;
  }
  coherence_.before_rmw(sender, calls.line, sizeof(u64));
  coherence_.after_rmw(sender);
  calls.with_sender = true;
  // The calls of all CPUs share the interconnect, which moves the lines of one after the other.
  delivery_until_ = std::max(delivery_until_, sender.clock) + machine_.shootdown_delivery;
  const Time takes = machine_.shootdown_call + lines_of_call * line_latency(target, sender) +
                     delivery_until_ - sender.clock;
  if (calls.taken <= sender.clock) {
    // sv6's handler looks at its queue again when it has executed the calls.
    if (machine_.sv6_calls && sender.clock < calls.answered)
      calls.taken = calls.answered;
    else
      interrupt(sender, target, calls);
  }
  return execute(target, calls, takes);
}

// The handler executes one more call.
Time Interrupts::execute(Cpu& target, Calls& calls, Time takes) {
  calls.answered += takes;
  target.handler_until = calls.answered;
  target.handler_time += takes;
  if (target.status == Status::ready) target.stolen += takes;
  return calls.answered;
}

// How long `reader` takes to read a line that `writer` has written.
Time Interrupts::line_latency(const Cpu& reader, const Cpu& writer) const {
  return machine_.latency[static_cast<usize>(Kind::load)][static_cast<usize>(State::modified)]
                         [machine_.between(reader.place, writer.place)];
}

Interrupts::Calls& Interrupts::calls_of(const Cpu& target) {
  Calls& calls = calls_[target.index];
  if (calls.line != nullptr) return calls;
  calls.line =
      arena_.allocate(target.index, target.place.node, Arena::line_bytes, Arena::line_bytes);
  accounting_.name(directory_.lines(), Arena::offset(calls.line), Arena::line_bytes,
                   "call_single_queue");
  return calls;
}

// The handler runs when the interrupt has arrived and earlier handlers are done. It takes its time
// from the target's thread, unless the thread waits anyway. The CPU of a sleeping thread leaves the
// address space, and shootdowns that skip lazy CPUs pass it by during this sleep (lazy TLB mode:
// Linux's arch/x86/mm/tlb.c, leave_mm).
void Interrupts::interrupt(Cpu& sender, Cpu& target, Calls& calls) {
  sender.clock += machine_.shootdown_send;
  Time arrival = sender.clock + machine_.interrupt[machine_.between(sender.place, target.place)];
  const bool idle = target.status == Status::asleep;
  target.lazy_tlb = idle;
  if (idle)
    arrival += idle_exit(machine_, arrival - std::min(arrival, target.blocked_since));
  else if (target.status == Status::ready)
    target.stolen += machine_.shootdown_handler;
  else
    target.is_interrupted = true;
  calls.taken = std::max(arrival, target.handler_until);
  calls.answered = calls.taken + machine_.shootdown_handler;
  target.handler_until = calls.answered;
  target.handler_time = machine_.shootdown_handler;
}

// An interrupt that arrives while the handlers of others run is served before the thread goes on.
void Interrupts::settle(Cpu& cpu) {
  for (scheduler_.take_turn(cpu); cpu.stolen != 0; scheduler_.take_turn(cpu)) {
    cpu.clock += cpu.stolen;
    cpu.shootdown += cpu.stolen;
    cpu.stolen = 0;
  }
}

}  // namespace faultline::sim
