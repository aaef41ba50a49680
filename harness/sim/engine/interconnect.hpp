// How long a transfer takes: the machine's latency for the kind of access, the line's state and the
// distance, times what contention and jitter make of it, after the wait for the line's home node.
#pragma once

#include <algorithm>

#include "harness/sim/engine/arena.hpp"
#include "harness/sim/engine/cpu.hpp"

namespace faultline::sim {

class Interconnect {
 public:
  // A transfer in time: from `released` on the line can go to the next requester, at `complete` the
  // requester has it.
  struct Timing {
    Time released;
    Time complete;
  };

  Interconnect(const Machine& machine, const Arena& arena)
      : machine_(machine),
        arena_(arena),
        clean_(machine.latency[static_cast<usize>(Kind::load)][static_cast<usize>(State::shared)]),
        response_(machine.directory_response),
        transaction_(machine.directory_transaction),
        jitter_(machine.jitter),
        home_until_(machine.nodes) {}

  // A transfer to `cpu` that can begin at `now`, while `requesters` CPUs, it included, ask for the
  // line. The line stays with the requester until it is complete.
  Timing transfer(Cpu& cpu, LineAccess access, State from, Distance distance, Time now,
                  u32 requesters) {
    Time latency =
        machine_.latency[static_cast<usize>(access.kind)][static_cast<usize>(from)][distance];
    if (requesters > 1)
      latency =
          latency * machine_.contention[distance][std::min(requesters, Machine::max_requesters)] >>
          10;
    const Time complete = begin(access.at, distance, now) + jittered(cpu, latency);
    return {complete, complete};
  }
  // A read of a clean copy. Such reads overlap: each keeps the line for the directory's response
  // alone.
  Timing copy_clean(Cpu& cpu, u64 at, Distance distance, Time now) {
    const Time start = begin(at, distance, now);
    return {start + response_, start + jittered(cpu, clean_[distance])};
  }
  // A fetch of a line that the own cache dropped: a clean copy from the own cluster's cache.
  Time refill(Cpu& cpu) { return jittered(cpu, clean_[same_cluster]); }

 private:
  // When a transfer that could begin at `now` begins: a home node serves one after the other.
  Time begin(u64 at, Distance distance, Time now) {
    if (distance < same_node) return now;
    Time& until = home_until_[arena_.home(at)];
    const Time start = std::max(now, until);
    until = start + transaction_;
    return start;
  }
  Time jittered(Cpu& cpu, Time latency) const {
    if (jitter_ == 0) return latency;
    const i64 deviation = static_cast<i64>(cpu.jitter.next() >> 53) - 1024;  // from -1024 to 1023
    const i64 part = static_cast<i64>(latency) * jitter_ * deviation / (1024 * 1024);
    return static_cast<Time>(static_cast<i64>(latency) + part);
  }

  const Machine& machine_;
  const Arena& arena_;
  // Copies of the machine's, at hand for every transfer.
  const Machine::ByDistance clean_;
  const Time response_, transaction_;
  const u32 jitter_;
  std::vector<Time> home_until_;  // by node: its directory is occupied until then
};

}  // namespace faultline::sim
