// The cost of clearing a page: the CPU's own time, and a share of the bandwidth of the page's node.
#pragma once

#include <algorithm>
#include <vector>

#include "harness/sim/engine/arena.hpp"
#include "harness/sim/engine/scheduler.hpp"

namespace faultline::sim {

class MemoryBandwidth {
 public:
  MemoryBandwidth(const Machine& machine, const Arena& arena, Scheduler& scheduler)
      : machine_(machine), arena_(arena), scheduler_(scheduler), busy_until_(machine.nodes) {}

  // A page outside the arena is on the CPU's own node.
  void clear_page(Cpu& cpu, const void* page) {
    scheduler_.take_turn(cpu);
    const u32 node = Arena::holds(page) ? arena_.home(Arena::offset(page)) : cpu.place.node;
    Time& until = busy_until_[node];
    until = std::max(until, cpu.clock) + machine_.clear_page_node;
    cpu.clock = std::max(until, cpu.clock + machine_.clear_page_core);
  }

 private:
  const Machine& machine_;
  const Arena& arena_;
  Scheduler& scheduler_;
  std::vector<Time> busy_until_;  // by node
};

}  // namespace faultline::sim
