// The counts of the simulation: transfers by label, distance and reason, and how each CPU spent its
// time.
#pragma once

#include <span>
#include <vector>

#include "harness/sim/engine/arena.hpp"
#include "harness/sim/engine/counts.hpp"
#include "harness/sim/engine/cpu.hpp"
#include "harness/sim/engine/labels.hpp"

namespace faultline::sim {

class Directory;

class Accounting {
 public:
  Accounting(const Arena& arena, std::span<const Cpu> cpus)
      : arena_(arena),
        cpus_(cpus),
        transfers_(labels_.size()),
        stalls_(cpus.size() * Labels::most) {}

  // Names the bytes from arena offset `at` on.
  void name(LazyArray<Line>& lines, u64 at, usize bytes, const char* name) {
    labels_.name(lines, at, bytes, name);
    transfers_.resize(labels_.size());
  }
  u32 label_of(const Line& line, u64 at) const {
    const u32 label = labels_.of(line, at);
    return label == Labels::other && arena_.is_stack(at) ? u32{Labels::stack} : label;
  }
  const std::string& name_of(u32 label) const { return labels_.names()[label]; }

  void count_transfer(const Line& line, LineAccess access, Distance distance, Reason reason) {
    ++transfer_count_;
    ++transfers_[label_of(line, access.at)]
          .count[static_cast<usize>(access.kind)][distance][static_cast<usize>(reason)];
  }
  void count_prefetch() { ++prefetches_; }

  // The CPU stalled from `since` to the time of its clock.
  void charge_stall(Cpu& cpu, u32 label, Time since) {
    stalls_[label * cpus_.size() + cpu.index] += cpu.clock - since;
    cpu.stalled += cpu.clock - since;
  }
  void charge_stall(Cpu& cpu, const Line& line, u64 at, Time since) {
    charge_stall(cpu, label_of(line, at), since);
  }

  // All counts up to `now`.
  Counts counts(const Directory& directory, Time now) const;

 private:
  Account account_of(const Cpu& cpu, const Directory& directory, Time now) const;
  void add_wait_under_way(Account& account, const Cpu& cpu, const Directory& directory,
                          Time now) const;

  const Arena& arena_;
  const std::span<const Cpu> cpus_;
  Labels labels_;
  std::vector<Transfers> transfers_;  // by label
  LazyArray<Time> stalls_;            // by label, then by thread
  u64 transfer_count_ = 0, prefetches_ = 0;
};

}  // namespace faultline::sim
