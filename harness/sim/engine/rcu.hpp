// RCU: read sections, grace periods, and the reclaiming of retired objects.
#pragma once

#include <span>
#include <vector>

#include "harness/sim/engine/scheduler.hpp"
#include "harness/sim/engine/store_buffers.hpp"

namespace faultline::sim {

class Rcu {
 public:
  Rcu(const Machine& machine, std::span<Cpu> cpus, Scheduler& scheduler, StoreBuffers& stores)
      : machine_(machine), cpus_(cpus), scheduler_(scheduler), stores_(stores) {}

  void read_lock(Cpu& cpu);
  void read_unlock(Cpu& cpu);
  // Blocks until all read sections that have begun are over.
  void synchronize(Cpu& cpu);
  // This CPU reclaims `node` when no reader can hold it any more.
  void retire(Cpu& cpu, RcuNode* node);
  // Reclaims what it can, if enough has been retired and the CPU is in no read section.
  void reclaim_batch(Cpu& cpu);
  // Reclaims all that any CPU retired. No thread runs any more.
  void reclaim_all();

 private:
  Time oldest_reader() const;
  void end_grace(Time now);
  static void reclaim(Cpu& cpu, Time retired_before);

  const Machine& machine_;
  const std::span<Cpu> cpus_;
  Scheduler& scheduler_;
  StoreBuffers& stores_;
  std::vector<u16> synchronizing_;  // threads in synchronize()
};

}  // namespace faultline::sim
