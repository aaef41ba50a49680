#include "harness/sim/engine/rcu.hpp"

#include <algorithm>
#include <stdexcept>

namespace faultline::sim {

void Rcu::read_lock(Cpu& cpu) {
  if (cpu.rcu_depth++ == 0) cpu.rcu_since = cpu.clock;
  cpu.clock += machine_.rcu_read;
}

void Rcu::read_unlock(Cpu& cpu) {
  if (cpu.rcu_depth == 0) throw std::logic_error("rcu::read_unlock without rcu::read_lock");
  cpu.clock += machine_.rcu_read;
  // A CPU whose clock is behind may begin to wait for this section, so a long section ends in the
  // order of simulated time.
  if (cpu.clock > cpu.rcu_since + Scheduler::lookahead) scheduler_.take_turn(cpu);
  if (--cpu.rcu_depth == 0 && !synchronizing_.empty()) end_grace(cpu.clock);
}

// When the oldest read section began. No reader holds an object that was retired before.
Time Rcu::oldest_reader() const {
  Time oldest = max_time;
  for (const Cpu& cpu : cpus_)
    if (cpu.rcu_depth != 0) oldest = std::min(oldest, cpu.rcu_since);
  return oldest;
}

void Rcu::synchronize(Cpu& cpu) {
  if (cpu.rcu_depth != 0)
    throw std::logic_error("rcu::synchronize inside a read section never returns");
  stores_.drain(cpu);
  scheduler_.take_turn(cpu);
  const Time since = cpu.clock;
  if (oldest_reader() <= cpu.clock) {
    synchronizing_.push_back(static_cast<u16>(cpu.index));
    scheduler_.block(cpu, Status::grace);
  }
  cpu.clock += machine_.rcu_grace;
  cpu.sleeping += cpu.clock - since;
}

void Rcu::end_grace(Time now) {
  const Time oldest = oldest_reader();
  std::erase_if(synchronizing_, [&](u16 thread) {
    const Cpu& cpu = cpus_[thread];
    if (oldest <= cpu.blocked_since) return false;
    scheduler_.make_ready(cpu, std::max(cpu.clock, now));
    return true;
  });
}

// A reader that begins after this must not find the object. So the stores that took it out of reach
// get their lines before.
void Rcu::retire(Cpu& cpu, RcuNode* node) {
  if (StoreBuffers::has_waiting(cpu)) stores_.drain(cpu);
  node->next = nullptr;
  node->retired = cpu.clock;
  (cpu.retired_last != nullptr ? cpu.retired_last->next : cpu.retired_first) = node;
  cpu.retired_last = node;
  ++cpu.retired;
}

void Rcu::reclaim_batch(Cpu& cpu) {
  constexpr u32 batch = 64;
  if (cpu.retired >= batch && cpu.rcu_depth == 0) reclaim(cpu, oldest_reader());
}

void Rcu::reclaim_all() {
  for (Cpu& cpu : cpus_) reclaim(cpu, max_time);
}

void Rcu::reclaim(Cpu& cpu, Time retired_before) {
  while (cpu.retired_first != nullptr && cpu.retired_first->retired < retired_before) {
    RcuNode* node = cpu.retired_first;
    cpu.retired_first = node->next;
    if (cpu.retired_first == nullptr) cpu.retired_last = nullptr;
    --cpu.retired;
    node->reclaim(node);
  }
}

}  // namespace faultline::sim
