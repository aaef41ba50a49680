// Requests that wait for a line while a transfer of it is under way, and who gets the line next.
#pragma once

#include <span>

#include "harness/sim/engine/directory.hpp"
#include "harness/sim/engine/scheduler.hpp"

namespace faultline::sim {

class Coherence;
class StoreBuffers;

// A request that waits for its line.
struct Request {
  u64 address = 0;   // in the arena
  u64 value = 0;     // of a posted store
  Time arrival = 0;  // it is not served before
  u32 next = 0;      // in the line's queue
  u16 cpu = 0;
  u16 slot = 0;        // a posted store's place in its CPU's store buffer
  u16 held_queue = 0;  // the queue whose first it is, while its CPU's older stores have no lines
  Kind kind = Kind::load;
  bool posted = false;  // by a store buffer; else its CPU is blocked for it
  u8 bytes = 0;

  LineAccess access() const { return {address, bytes, kind}; }
};

// Requests in the order in which they came.
struct RequestList {
  u32 first = 0, last = 0;
  u32 count = 0;
};

// The queue of one line.
struct LineQueue {
  u32 line = 0;
  RequestList list;
  RequestList woken;  // spinners' reads: they join the list when the write under way is complete
  u32 posted = 0;     // stores in the list
  u16 next_free = 0;
  u16 successor = no_cpu;  // the blocked CPU that got the line last and passes it on when it runs
};

// Chooses among the requests that queue for a line: the oldest, or, in the share
// `caches.nearest_share` of the choices, the one nearest to the line's owner. No request overtakes
// a posted store: its CPU has gone on as if the store were done.
class Arbiter {
 public:
  // A request and the one before it in the list; `before` 0: it is the first.
  struct Choice {
    u32 request, before;
  };
  Arbiter(const Machine& machine, std::span<const Cpu> cpus, Xorshift& random)
      : machine_(machine), cpus_(cpus), random_(random) {}
  Choice choose(const RequestList& list, const LazyArray<Request>& requests, const Line& line);

 private:
  static constexpr u32 window = 16;  // it sees that many of the oldest requests

  const Machine& machine_;
  const std::span<const Cpu> cpus_;
  Xorshift& random_;
};

class LineQueues {
 public:
  LineQueues(const Machine& machine, std::span<Cpu> cpus, Directory& directory,
             Scheduler& scheduler, Coherence& coherence, StoreBuffers& stores, Xorshift& random);

  bool is_queued(const Line& line) const { return directory_.queue_of(line) != 0; }
  bool awaits_store(const Line& line) const {
    const u16 queue = directory_.queue_of(line);
    return queue != 0 && queues_[queue].posted != 0;
  }
  // Of a line that is queued.
  LineQueue& of(const Line& line) { return queues_[directory_.queue_of(line)]; }
  // The line's queue, a fresh one if it has none: that is released at `release` first.
  LineQueue& open(Line& line, u64 at, Time release) {
    DirectoryEntry& entry = directory_.make_entry(line);
    return entry.queue != 0 ? queues_[entry.queue] : open_fresh(entry, at, release);
  }

  // The CPU asks for the line and is to block until it has it.
  void enqueue(Cpu& cpu, Line& line, LineAccess access);
  // The CPU's store buffer asks for the line, and the CPU goes on.
  void enqueue_store(Cpu& cpu, Line& line, LineAccess access, u64 value);
  // A spinner is to read the place again from `arrival` on, and blocks until it has the line.
  void enqueue_retry(Cpu& cpu, RequestList& list, u64 at, Time arrival);

  // The line of that queue can move on.
  void release(u32 queue, Time now);

  const Request& request(u32 number) const { return requests_[number]; }
  // A store may be served, since its CPU's older ones have got their lines.
  void unhold(u32 request, Time now);

 private:
  static constexpr u32 max_requests = 1U << 18;

  LineQueue& open_fresh(DirectoryEntry& entry, u64 at, Time release);
  [[gnu::always_inline]] inline Request& append(RequestList& list);
  u32 append_access(LineQueue& queue, const Cpu& cpu, LineAccess access);
  void free_request(u32 number);
  u32 take_next(LineQueue& queue, const Line& line);
  void take_in_woken(LineQueue& queue);
  void serve(LineQueue& queue, Line& line, Time now);
  void serve_readers(LineQueue& queue, Line& line);
  void close(u32 number, Line& line);

  const std::span<Cpu> cpus_;
  Directory& directory_;
  Scheduler& scheduler_;
  Coherence& coherence_;
  StoreBuffers& stores_;
  Arbiter arbiter_;
  LazyArray<Request> requests_;
  LazyArray<LineQueue> queues_;
  u32 requests_made_ = 0, first_free_request_ = 0;
  u32 queues_made_ = 0;
  u16 first_free_queue_ = 0;
};

}  // namespace faultline::sim
