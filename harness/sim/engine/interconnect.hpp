// How long a transfer takes. A lone transfer waits for the line's home node. Then it takes the
// machine's latency for the kind of access, the line's state and the distance, with jitter. The
// request of a transfer that queues travels while earlier transfers keep the line. So a queued
// transfer keeps the line only for its service time, which is a share of the latency.
#pragma once

#include <algorithm>

#include "harness/sim/engine/arena.hpp"
#include "harness/sim/engine/cpu.hpp"

namespace faultline::sim {

class Interconnect {
 public:
  Interconnect(const Machine& machine, const Arena& arena)
      : machine_(machine),
        arena_(arena),
        transaction_(machine.directory_transaction),
        jitter_(machine.jitter),
        hides_ways_(std::any_of(machine.service.begin(), machine.service.end(),
                                [](u32 share) { return share < 1024; })),
        home_until_(machine.nodes) {}

  Time latency(Kind kind, State from, Distance distance) const {
    return machine_.latency[static_cast<usize>(kind)][static_cast<usize>(from)][distance];
  }
  // How long a queued transfer of that latency keeps the line.
  Time service(Time latency, Distance distance) const {
    return latency * machine_.service[distance] >> 10;
  }
  // Whether queueing hides a part of any request's way.
  bool hides_ways() const { return hides_ways_; }
  // The part of a latency that queueing can hide.
  Time way(Time latency, Distance distance) const {
    return latency - std::min(latency, service(latency, distance));
  }

  // When a transfer to `cpu` is complete that the CPU asked for at `asked` and that found the line
  // free.
  Time lone(Cpu& cpu, LineAccess access, State from, Distance distance, Time asked) {
    return asked + wait_for_home(access.at, distance, asked) +
           jittered(cpu, latency(access.kind, from, distance));
  }
  // When a transfer to `cpu` is complete that could not begin before `start`, since other CPUs had
  // the line until then. A queue never makes a transfer complete earlier than a free line would.
  Time queued(Cpu& cpu, LineAccess access, State from, Distance distance, Time asked, Time start) {
    const Time wait = wait_for_home(access.at, distance, start);
    const Time whole = jittered(cpu, latency(access.kind, from, distance));
    return wait + std::max(asked + whole, start + service(whole, distance));
  }
  // When a copy is complete that the line's home or the CPU's cluster sends at `sent`. A queue can
  // hide the request's way, which is half of the latency, but never the way of the copy.
  Time copied(Cpu& cpu, LineAccess access, State from, Distance distance, Time asked, Time sent) {
    const Time wait = wait_for_home(access.at, distance, sent);
    const Time whole = jittered(cpu, latency(Kind::load, from, distance));
    return wait + std::max(asked + whole, sent + whole / 2);
  }
  // A fetch of a line that the CPU's own cache dropped. It costs as much as a clean copy from the
  // same cluster's cache.
  Time refill(Cpu& cpu) { return jittered(cpu, latency(Kind::load, State::shared, same_cluster)); }

 private:
  // How long a transfer that could begin at `start` waits for the home node, which serves one
  // transfer after the other.
  Time wait_for_home(u64 at, Distance distance, Time start) {
    if (distance < same_node) return 0;
    Time& until = home_until_[arena_.home(at)];
    const Time wait = until - std::min(until, start);
    until = start + wait + transaction_;
    return wait;
  }
  Time jittered(Cpu& cpu, Time latency) const {
    return sim::jittered(cpu.jitter, latency, jitter_);
  }

  const Machine& machine_;
  const Arena& arena_;
  // Copies of the machine's values, at hand for every transfer.
  const Time transaction_;
  const u32 jitter_;
  const bool hides_ways_;
  std::vector<Time> home_until_;  // by node: its directory is occupied until then
};

}  // namespace faultline::sim
