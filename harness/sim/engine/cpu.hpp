// One simulated CPU and the thread that is pinned on it. The engine numbers CPUs by their threads.
// `os` is the kernel's number of the CPU.
#pragma once

#include <functional>

#include "harness/sim/engine/line.hpp"
#include "harness/sim/engine/store_buffer.hpp"
#include "harness/sim/engine/xorshift.hpp"

namespace faultline::sim {

// Embedded in the objects that RCU retires.
struct RcuNode {
  RcuNode* next = nullptr;
  void (*reclaim)(RcuNode*) = nullptr;
  Time retired = 0;
};

// The shootdowns that a CPU has sent to at least one other, and how long they took: until it has
// read the last answer, with the handlers that interrupted it meanwhile.
struct Shootdowns {
  u64 count = 0;
  Time elapsed = 0;
};

// queued: waits for a line, for its own store buffer or for the answers to a shootdown. parked:
// spins, as SpinParking represents it. asleep: in a futex. grace: in rcu::synchronize. meeting: in
// Simulation::meet.
enum class Status : u8 { unborn, ready, queued, parked, asleep, meeting, grace, done };

// The members are ordered by how often they are touched. A simulation of a thousand CPUs switches
// to another CPU at every transfer, and each line of this object that it touches costs a miss of
// the host's cache. A spin and its end touch no more than the first `hot_lines` host lines.
struct alignas(cache_line) Cpu {
  static constexpr u32 max_reads = 8;  // a spin that reads more lines per turn is not parked
  static constexpr usize hot_lines = 3;

  Time clock = 0;
  void* context = nullptr;  // the fiber's context, while another fiber runs
  u64 accesses = 0;
  u64 misses = 0;         // accesses that neither the CPU's own cache nor the store buffer served
  u64 posted_filter = 0;  // StoreBuffers: one bit for each place that a waiting store may write
  u32 index = 0;
  u32 read_count = 0;
  Machine::Place place = {};
  Status status = Status::unborn;
  bool in_arena = false;        // ArenaScope
  bool is_interrupted = false;  // Interrupts: a handler runs while the thread waits
  bool has_copy = false;        // a cache has sent this CPU a copy for the load that it waits for
  u16 releases_queue = 0;       // the queue whose line this CPU passes on after its RMW; 0: none

  // SpinParking. A turn of a spin is the code between two calls of pause().
  u8 watches = 0;  // places in rings of spinners that are in use
  // This turn wrote something, or read something that may be older than the copy by now.
  bool cannot_park = false;
  bool is_prefetching = false;  // a prefetch waits for its line
  bool timed = false;  // the spin asks for the time or for who runs, so it can end without a write

  Time blocked_since = 0;
  u64 awaited = 0;  // while queued: the place whose line is awaited; 0: a slot of the store buffer
  Time spinning = 0;
  Time stalled = 0;
  u64 retry_at = 0;        // the place that a spinner queued to read again; 0: it did not queue
  Time turn_time = 0;      // how long a turn of the present spin takes
  u64 turn_hash = 0;       // a hash of `reads` in the turn before
  std::byte copy[8] = {};  // the eight bytes around the place, as they were when it was sent

  u32 park_turns = 1;  // a timed spin goes on by itself after this many turns
  u32 fills = 0;       // Residency: lines taken into the CPU's own cache
  Xorshift jitter;
  Time prefetched = 0;  // when the line of `prefetched_at` arrives, once its transfer has begun
  u64 reads[max_reads] = {};  // the places that this turn has read, one per line

  u64 prefetched_at = 0;  // Coherence::prefetch_write: the place whose line was asked for last
  StoreBuffer stores;
  Time sleeping = 0;
  Time shootdown = 0;

  u32 os = 0;
  Cpu* core_mate = nullptr;  // the only other thread of its core; null: none
  std::function<void()> body;
  u64 random = 0;  // P::random

  // Progress: the wait that wait_begin has announced.
  const void* waits_for = nullptr;
  const char* waits_for_name = nullptr;
  Time waits_since = 0;
  Time waited = 0;
  u32 wait_depth = 0;

  // Futexes.
  bool woken = false;
  u64 futex = 0;  // the word's place, while asleep

  // Interrupts.
  Shootdowns sent;
  bool lazy_tlb = false;   // the CPU left the address space in this sleep, so no shootdown needs it
  Time stolen = 0;         // time of handlers that is not charged to the thread yet
  Time handler_until = 0;  // the end of the handler's present step

  // Prefetches the hot lines into the host's cache.
  void fetch_hot() const {
    for (usize i = 0; i < hot_lines; ++i)
      __builtin_prefetch(reinterpret_cast<const std::byte*>(this) + i * line_size, 1);
  }

  // Called at the end of the thread's wait. The handler's present step delays the thread only for
  // its rest. The picosecond lets the handler's next step, if there is one, come before the thread.
  void end_interrupted_wait(Time now) {
    is_interrupted = false;
    if (handler_until > now) stolen += handler_until - now + 1;
  }

  // Rcu.
  u32 rcu_depth = 0;
  Time rcu_since = 0;
  RcuNode* retired_first = nullptr;
  RcuNode* retired_last = nullptr;
  u32 retired = 0;

  void note_read(u64 at) {
    if (read_count != 0 && reads[(read_count - 1) % max_reads] / 64 == at / 64) return;
    reads[read_count++ % max_reads] = at;
  }
  void note_write() {
    cannot_park = true;
    timed = false;
  }
};

}  // namespace faultline::sim
