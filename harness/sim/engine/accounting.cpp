#include "harness/sim/engine/accounting.hpp"

#include <algorithm>

#include "harness/sim/engine/directory.hpp"

namespace faultline::sim {

Counts Accounting::counts(const Directory& directory, Time now) const {
  Counts counts;
  counts.time = now;
  counts.transfers = transfer_count_;
  counts.prefetches = prefetches_;
  counts.labels = labels_.names();
  counts.by_label = transfers_;
  for (const Cpu& cpu : cpus_) {
    counts.accesses += cpu.accesses;
    counts.hits += cpu.accesses - cpu.misses;
    counts.accounts.push_back(account_of(cpu, directory, now));
  }
  return counts;
}

Account Accounting::account_of(const Cpu& cpu, const Directory& directory, Time now) const {
  Account account{.spinning = cpu.spinning, .sleeping = cpu.sleeping, .shootdown = cpu.shootdown};
  for (u32 label = 0; label < labels_.size(); ++label)
    account.stall.push_back(stalls_[label * cpus_.size() + cpu.index]);
  Time until = cpu.clock;
  if (now > until && cpu.status != Status::done && cpu.status != Status::ready) {
    add_wait_under_way(account, cpu, directory, now);
    until = now;
  }
  account.waiting =
      cpu.waited + (cpu.waits_for == nullptr ? 0 : until - std::min(until, cpu.waits_since));
  account.work =
      until - account.spinning - account.sleeping - account.shootdown - account.stalled();
  return account;
}

// Adds the wait that is under way: the time from the blocked CPU's clock to `now`.
void Accounting::add_wait_under_way(Account& account, const Cpu& cpu, const Directory& directory,
                                    Time now) const {
  const Time waited = now - cpu.clock;
  if (cpu.status == Status::asleep || cpu.status == Status::grace) account.sleeping += waited;
  if (cpu.status == Status::parked) account.spinning += waited;
  if (cpu.status != Status::queued) return;
  // A spinner is queued from the end of its turn on, which may be still to come.
  const Time since = std::clamp(cpu.blocked_since, cpu.clock, now);
  account.spinning += since - cpu.clock;
  const u32 label = cpu.awaited == 0 ? u32{Labels::store_buffer}
                                     : label_of(directory.line_at(cpu.awaited), cpu.awaited);
  account.stall[label] += now - since;
}

}  // namespace faultline::sim
