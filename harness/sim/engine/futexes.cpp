#include "harness/sim/engine/futexes.hpp"

#include <algorithm>

namespace faultline::sim {

Time idle_exit(const Machine& machine, Time asleep) {
  Time exit = 0;
  for (const Machine::Idle& level : machine.idle)
    if (asleep >= level.asleep) exit = level.exit;
  return exit;
}

void Futexes::enter_kernel(Cpu& cpu) {
  stores_.drain(cpu);
  cpu.clock += jittered(cpu.jitter, machine_.syscall, machine_.kernel_jitter);
  cpu.note_write();
}

bool Futexes::sleep(Cpu& cpu, u64 at, u64 deadline_ns) {
  const Time since = cpu.clock;
  const Time deadline = deadline_ns > max_time / ps_per_ns ? max_time : deadline_ns * ps_per_ns;
  cpu.futex = at;
  cpu.woken = false;
  std::vector<u16>& sleepers = bucket_of(at);
  sleepers.push_back(static_cast<u16>(cpu.index));
  if (deadline != max_time) scheduler_.set_timer(cpu, std::max(deadline, cpu.clock));
  scheduler_.block(cpu, Status::asleep);
  if (!cpu.woken) {
    std::erase(sleepers, static_cast<u16>(cpu.index));
    cpu.clock += idle_exit(machine_, cpu.clock - since);
    scheduler_.look_for_progress(cpu);
  }
  cpu.sleeping += cpu.clock - since;
  cpu.lazy_tlb = false;
  return cpu.woken;
}

void Futexes::wake(Cpu& cpu, u64 at, u32 n) {
  scheduler_.take_turn(cpu);
  std::vector<u16>& sleepers = bucket_of(at);
  for (auto it = sleepers.begin(); it != sleepers.end() && n > 0;) {
    Cpu& sleeper = cpus_[*it];
    if (sleeper.futex != at) {
      ++it;
      continue;
    }
    it = sleepers.erase(it);
    --n;
    wake_one(cpu, sleeper);
  }
}

void Futexes::wake_one(Cpu& waker, Cpu& sleeper) {
  const Time asleep = waker.clock - std::min(waker.clock, sleeper.blocked_since);
  waker.clock += jittered(waker.jitter, machine_.wake_one, machine_.kernel_jitter);
  sleeper.woken = true;
  const Time latency = jittered(sleeper.jitter, machine_.wake_latency, machine_.kernel_jitter);
  const Time awake = waker.clock + latency + idle_exit(machine_, asleep);
  scheduler_.make_ready(sleeper, std::max(sleeper.clock, awake));
}

}  // namespace faultline::sim
