// One simulated CPU and the thread that is pinned on it. CPUs go by their thread's number; the
// kernel's number is `os`.
#pragma once

#include <functional>
#include <vector>

#include "harness/sim/engine/line.hpp"

namespace faultline::sim {

// What RCU retires carries this.
struct RcuNode {
  RcuNode* next = nullptr;
  void (*reclaim)(RcuNode*) = nullptr;
  Time retired = 0;
};

enum class Status : u8 { unborn, ready, queued, parked, asleep, meeting, grace, done };

// The members by how often they are touched: hosts have caches too, and a simulation of a thousand
// CPUs goes from one to the next at every transfer.
struct alignas(cache_line) Cpu {
  Time clock = 0;
  void* context = nullptr;
  u64 accesses = 0;
  u64 misses = 0;         // of them: not served by the own cache or store buffer
  u64 posted_filter = 0;  // a bit for each place that one of the `posted` goes to
  u32 index = 0;
  u32 read_count = 0;
  Machine::Place place = {};
  Status status = Status::unborn;
  bool in_arena = false;  // ArenaScope
  u16 releases = 0;       // the queue whose line is this CPU's to release
  u8 watching = 0;        // so many of its watches are in use

  // Spinning: what has been read since the last pause(), and whether the turn was more than a look.
  bool changed = false;  // stored or modified something
  bool timed = false;    // has asked for the time or who runs, which can end a spin as well

  // Since when it has been blocked, while queued for what place (0: for its store buffer), and
  // where its time went.
  Time blocked_since = 0;
  u64 awaited = 0;
  Time spinning = 0, stalled = 0;
  u64 looked_again = 0;  // the place that a woken spinner queues for
  Time parked_turn = 0;  // how long a turn of the present spin takes
  u64 places = 0;        // what `reads` were in the turn before, hashed
  u64 jitter = 0;
  u64 reads[Watch::per_cpu] = {};  // where, one a line

  // The store buffer, a ring of the last stores posted. They get their lines in their order; the
  // newest `posted` have not got theirs.
  struct Posted {
    Time complete = 0;
    u32 request = 0;
  };
  u32 posted = 0;
  u32 ring_at = 0;
  Time drained = 0;
  std::vector<Posted> ring;  // a power of two of them, not less than the buffer's depth
  enum class Awaits : u8 { nothing, slot, all } awaits = Awaits::nothing;
  // The slot of the n-th last store.
  u32 slot(u32 n) const { return (ring_at - n) & static_cast<u32>(ring.size() - 1); }
  static u64 filter_bit(u64 at) { return u64{1} << (at / 4 % 64); }

  u32 park_turns = 1;  // a timed spin looks again after so many turns
  u32 fills = 0;       // lines taken into the own cache
  Time sleeping = 0, shootdown = 0;

  u32 os = 0;
  std::function<void()> body;
  u64 random = 0;

  // Waiting, by wait_begin and wait_end.
  const void* waits_for = nullptr;
  const char* waits_for_name = nullptr;
  Time waits_since = 0;
  Time waited = 0;
  u32 wait_depth = 0;

  bool woken = false;
  u64 futex = 0;      // the word's place, while asleep
  bool left = false;  // the address space, in this sleep: no shootdown needs it any more
  Time stolen = 0;    // by interrupts, not paid yet
  Time handler_until = 0;

  u32 rcu_depth = 0;
  Time rcu_since = 0;
  RcuNode* retired_first = nullptr;
  RcuNode* retired_last = nullptr;
  u32 retired = 0;
};

}  // namespace faultline::sim
