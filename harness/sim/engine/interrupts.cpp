#include "harness/sim/engine/interrupts.hpp"

#include <algorithm>

#include "harness/sim/engine/futexes.hpp"

namespace faultline::sim {

void Interrupts::shootdown(Cpu& cpu, const CpuSet& targets) {
  stores_.drain(cpu);
  scheduler_.take_turn(cpu);
  const Time since = cpu.clock;
  Time sent = cpu.clock + machine_.shootdown_base;
  // The interrupts of all CPUs share the interconnect, which delivers one after the other.
  delivery_until_ = std::max(delivery_until_, cpu.clock);
  Time answered = 0;
  targets.for_each([&](u32 target) {
    const u32 thread = thread_on_[target];
    if (thread == max_cpus || thread == cpu.index || cpus_[thread].lazy_tlb) return;
    delivery_until_ += machine_.shootdown_delivery;
    sent = std::max(sent + machine_.shootdown_per_target, delivery_until_);
    answered = std::max(answered, interrupt(cpu, cpus_[thread], sent));
  });
  if (answered != 0) cpu.clock = std::max(answered, sent);
  cpu.shootdown += cpu.clock - since;
}

// Returns the time at which the target has answered. The handler runs when the interrupt has
// arrived and earlier handlers are done. It takes its time from the target's thread. A sleeping
// thread loses no time; its CPU leaves the address space and gets no more shootdowns during this
// sleep (lazy TLB mode: Linux's arch/x86/mm/tlb.c, leave_mm).
Time Interrupts::interrupt(const Cpu& sender, Cpu& target, Time sent) {
  if (target.status == Status::done) return sent;
  Time arrival = sent + machine_.interrupt[machine_.between(sender.place, target.place)];
  const bool idle = target.status == Status::asleep;
  target.lazy_tlb = idle;
  if (idle)
    arrival += idle_exit(machine_, arrival - std::min(arrival, target.blocked_since));
  else
    target.stolen += machine_.shootdown_handler;
  target.handler_until = std::max(arrival, target.handler_until) + machine_.shootdown_handler;
  return target.handler_until;
}

void Interrupts::settle(Cpu& cpu) {
  scheduler_.take_turn(cpu);
  cpu.clock += cpu.stolen;
  cpu.shootdown += cpu.stolen;
  cpu.stolen = 0;
}

}  // namespace faultline::sim
