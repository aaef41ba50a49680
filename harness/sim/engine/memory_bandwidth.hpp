// The cost of clearing a page. A page that the cache of the CPU's cluster holds takes the CPU's own
// time alone. Any other also takes a share of the bandwidth of its node's memory. Which pages a
// cluster's cache holds follows from the order in which an address space uses its frames again: it
// holds those that CPUs of the cluster cleared last. Other accesses displace no page.
#pragma once

#include <algorithm>
#include <vector>

#include "harness/sim/engine/arena.hpp"
#include "harness/sim/engine/scheduler.hpp"

namespace faultline::sim {

class MemoryBandwidth {
 public:
  MemoryBandwidth(const Machine& machine, const Arena& arena, Scheduler& scheduler)
      : machine_(machine),
        arena_(arena),
        scheduler_(scheduler),
        busy_until_(machine.nodes),
        clears_(machine.clusters),
        cleared_(Arena::size >> page_shift) {}

  // A page outside the arena is on the CPU's own node, and in no cache.
  void clear_page(Cpu& cpu, const void* page) {
    scheduler_.take_turn(cpu);
    if (!Arena::holds(page)) return clear_cold(cpu, cpu.place.node);
    const u64 at = Arena::offset(page);
    Cleared& cleared = cleared_[at >> page_shift];
    u32& number = clears_[cpu.place.cluster];
    const bool held = cleared.cluster == cpu.place.cluster + 1U;
    if (held && number - cleared.number < machine_.cluster_pages)
      cpu.clock += jittered(cpu.jitter, machine_.clear_page_hot, machine_.kernel_jitter);
    else
      clear_cold(cpu, arena_.home(at));
    cleared = {cpu.place.cluster + 1U, ++number};
  }

 private:
  // The clearing that touched a page last: the cluster plus one, and how many pages the cluster had
  // cleared by then.
  struct Cleared {
    u32 cluster, number;
  };

  void clear_cold(Cpu& cpu, u32 node) {
    Time& until = busy_until_[node];
    until = std::max(until, cpu.clock) + machine_.clear_page_node;
    cpu.clock = std::max(until, cpu.clock + machine_.clear_page_core);
  }

  const Machine& machine_;
  const Arena& arena_;
  Scheduler& scheduler_;
  std::vector<Time> busy_until_;  // by node
  std::vector<u32> clears_;       // by cluster: the pages that its CPUs have cleared
  LazyArray<Cleared> cleared_;    // by page of the arena
};

}  // namespace faultline::sim
