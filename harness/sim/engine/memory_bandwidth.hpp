// The cost of clearing a page. The lines that the cache of the CPU's cluster holds take the CPU's
// own time alone. The others also take a share of the bandwidth of the memory of the page's node.
// How many lines a cluster's cache holds follows from the order in which an address space uses its
// frames again. Each line that the cache takes in displaces any other with the same probability, as
// if the cache replaced its lines at random. So of a page that was cleared before, a share of
// exp(-n / size) is left after n further pages. Caches do not displace the line used longest ago:
// then none would be left of frames that go round and are a little too many for the cache. Other
// accesses displace no page.
#pragma once

#include <algorithm>
#include <cmath>
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
        fills_(machine.clusters),
        cleared_(Arena::size >> page_shift) {}

  // A page outside the arena is on the CPU's own node, and in no cache.
  void clear_page(Cpu& cpu, const void* page) {
    scheduler_.take_turn(cpu);
    if (!Arena::holds(page)) return clear_cold(cpu, cpu.place.node, 1);
    const u64 at = Arena::offset(page);
    Cleared& cleared = cleared_[at >> page_shift];
    double& fills = fills_[cpu.place.cluster];
    const bool held = cleared.cluster == cpu.place.cluster + 1U;
    const double hot =
        held ? std::exp((cleared.fills - fills) / static_cast<double>(machine_.cluster_pages)) : 0;
    cpu.clock += part(jittered(cpu.jitter, machine_.clear_page_hot, machine_.kernel_jitter), hot);
    if (hot < 1) clear_cold(cpu, arena_.home(at), 1 - hot);
    fills += 1 - hot;
    cleared = {fills, cpu.place.cluster + 1U};
  }

 private:
  // The clearing that touched a page last: how many pages the cluster's cache had taken in by then,
  // and the cluster plus one.
  struct Cleared {
    double fills;
    u32 cluster;
  };

  static Time part(Time time, double share) {
    return static_cast<Time>(static_cast<double>(time) * share);
  }

  void clear_cold(Cpu& cpu, u32 node, double share) {
    Time& until = busy_until_[node];
    until = std::max(until, cpu.clock) + part(machine_.clear_page_node, share);
    cpu.clock = std::max(until, cpu.clock + part(machine_.clear_page_core, share));
  }

  const Machine& machine_;
  const Arena& arena_;
  Scheduler& scheduler_;
  std::vector<Time> busy_until_;  // by node
  std::vector<double> fills_;     // by cluster: the pages that its cache has taken in
  LazyArray<Cleared> cleared_;    // by page of the arena
};

}  // namespace faultline::sim
