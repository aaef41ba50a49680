// The requests that wait for a line while a transfer of it is under way, and the choice of the
// request that gets the line next.
//
// Writers (stores and RMWs) are served one at a time; Arbiter draws one of the waiting writers.
// After a write, waiting readers are served first. The home gives a copy to one cluster after the
// other, and a cluster with a copy serves its own CPUs from it. When the first cluster has its
// copy, waiting writers are served before the next cluster. While a writer takes the line away, the
// cluster that got copies last goes on serving its CPUs until the line is gone.
#pragma once

#include <span>
#include <vector>

#include "harness/sim/engine/directory.hpp"
#include "harness/sim/engine/scheduler.hpp"

namespace faultline::sim {

class Coherence;
class StoreBuffers;

// A request that waits for its line.
struct Request {
  u64 address = 0;  // the address in the arena
  u64 value = 0;    // the value of a posted store
  Time asked = 0;   // when the CPU asks; a woken spinner can ask later than now
  u32 next = 0;     // the next request of its RequestList
  u16 cpu = 0;
  u16 cluster = 0;  // the CPU's cluster
  u16 slot = 0;     // a posted store's slot in its CPU's store buffer
  Kind kind = Kind::load;
  // A store buffer sent it, or a prefetch. Otherwise its CPU is blocked for it.
  bool posted = false, prefetch = false;
  u8 bytes = 0;

  LineAccess access() const { return {address, bytes, kind}; }
};

// Requests in the order of arrival.
struct RequestList {
  u32 first = 0, last = 0;
  u32 count = 0;
};

// A queued writer, with those fields of its request that Arbiter reads. They are copied here so
// that a choice reads few lines of the host's cache.
struct WaitingWriter {
  Time asked;
  u32 request;
  u16 cpu;
  Kind kind;
};

// The queue of one line.
struct LineQueue {
  static constexpr Time never = ~Time{0};

  u32 line = 0;
  std::vector<WaitingWriter> writers;  // in no order
  std::vector<RequestList> readers;    // by cluster
  std::vector<u16> turns;              // clusters with waiting readers, the next one first
  u32 drawn = 0;            // a place in `writers` that Arbiter has drawn for the next choice
  u16 cluster = 0;          // the cluster that got copies last
  Time next_copy = never;   // when that cluster can send its next copy; never: it has lost the line
  bool only_reads = false;  // the queue waits only to send further copies to one cluster
  u16 next_free = 0;
  // The blocked CPU that got the line last. It passes the line on when it runs.
  u16 successor = no_cpu;
  // When the transfer began whose snoop travels; `never`: none does.
  Time snooped = never;
  u32 chosen = 0;  // the writer's request that the transfer is for; 0: it is for readers

  bool is_empty() const { return writers.empty() && turns.empty(); }
};

// Chooses among the writers that queue for a line. It draws a few at random and prefers a writer
// whose request has arrived. In the share `contention.nearest_share` of the choices it prefers,
// among the drawn ones, the writer nearest to the line's owner. So its effort does not grow with
// the queue.
class Arbiter {
 public:
  Arbiter(const Machine& machine, std::span<const Cpu> cpus, const Coherence& coherence,
          Xorshift& random)
      : machine_(machine), cpus_(cpus), coherence_(coherence), random_(random) {}
  // Answers a place in `writers`, which must not be empty.
  [[gnu::always_inline]] inline u32 choose(const LineQueue& queue, const Line& line, Time now);
  // Draws a writer for the next choice, and prefetches into the host's cache what serving it reads.
  void prepare(LineQueue& queue, const LazyArray<Request>& requests);

 private:
  static constexpr u32 draws = 4;          // at most this many, until a request has arrived
  static constexpr u32 draws_nearby = 16;  // the same, until one of the owner's cluster has arrived
  // Added to the rank of a request that has not arrived. It exceeds the rank of every distance.
  static constexpr u32 under_way = distances;

  // The writer with the least rank is preferred. No rank is less than 0.
  [[gnu::always_inline]] inline u32 rank(const LineQueue& queue, u32 place, const Line& line,
                                         bool by_distance, Time now) const;
  u32 below(u32 n) { return static_cast<u32>((random_.next() >> 32) * n >> 32); }

  const Machine& machine_;
  const std::span<const Cpu> cpus_;
  const Coherence& coherence_;
  Xorshift& random_;
};

class LineQueues {
 public:
  LineQueues(const Machine& machine, std::span<Cpu> cpus, Directory& directory,
             Scheduler& scheduler, Coherence& coherence, StoreBuffers& stores, Xorshift& random);

  bool is_queued(const Line& line) const { return directory_.queue_of(line) != 0; }
  // The queue of a line that has one.
  LineQueue& of(const Line& line) { return queues_[directory_.queue_of(line)]; }
  // The line's queue. A line without one gets a fresh queue, which is first released at `release`.
  LineQueue& open(Line& line, u64 at, Time release) {
    DirectoryEntry& entry = directory_.make_entry(line);
    return entry.queue != 0 ? queues_[entry.queue] : open_fresh(entry, at, release);
  }

  // The CPU asked for the line at `asked`. The caller then blocks it until it has the line.
  void enqueue(Cpu& cpu, Line& line, LineAccess access, Time asked);
  // The CPU's store buffer asks for the line when the CPU's older stores have got theirs, and the
  // CPU runs on.
  void enqueue_store(Cpu& cpu, LineAccess access, u64 value);
  // The CPU prefetches the line for writing, and runs on.
  void enqueue_prefetch(Cpu& cpu, Line& line, LineAccess access);
  // A spinner will read the place again from `asked` on. It blocks until it has the line.
  void enqueue_retry(Cpu& cpu, LineQueue& queue, u64 at, Time asked);

  // The line of that queue can move on.
  void release(u32 queue, Time now);

  const Request& request(u32 number) const { return requests_[number]; }

 private:
  static constexpr u32 max_requests = 1U << 18;
  static constexpr u32 copies_at_once = 16;  // one event gives at most this many copies

  LineQueue& open_fresh(DirectoryEntry& entry, u64 at, Time release);
  u32 make_request(const Cpu& cpu, LineAccess access, Time asked);
  void free_request(u32 number);
  void append(RequestList& list, u32 number);
  u32 take_first(RequestList& list);
  [[gnu::always_inline]] inline void add(LineQueue& queue, u32 number);
  void add_reader(LineQueue& queue, u32 number, u16 cluster) {
    RequestList& readers = queue.readers[cluster];
    if (readers.count == 0) [[unlikely]]
      give_turn(queue, cluster);
    append(readers, number);
  }
  [[gnu::noinline]] static void give_turn(LineQueue& queue, u16 cluster) {
    queue.turns.push_back(cluster);
  }
  void send_stores(Cpu& cpu, Time now, Time complete);
  void hasten(LineQueue& queue, const Line& line, Time now);
  Time choose(LineQueue& queue, const Line& line, Time now);
  void serve_writer(LineQueue& queue, Line& line, Time start, Time now);
  template <class Give>
  void serve_reader(RequestList& list, Give&& give);
  void serve_readers(LineQueue& queue, Line& line, Time now);
  void serve_cold_reader(LineQueue& queue, Line& line, Time now);
  void serve_passing_readers(LineQueue& queue, const Line& line, u32 waiting, Time now, Time gone);
  void schedule(LineQueue& queue, u32 number, const Line& line, Time now);
  void close(u32 number, Line& line);

  const std::span<Cpu> cpus_;
  Directory& directory_;
  Scheduler& scheduler_;
  Coherence& coherence_;
  StoreBuffers& stores_;
  Arbiter arbiter_;
  const Time cluster_copy_, home_copy_, store_hit_;
  const u32 clusters_;
  LazyArray<Request> requests_;
  std::vector<LineQueue> queues_;  // the first is none; it has room for all, so that none moves
  u32 requests_made_ = 0, first_free_request_ = 0;
  u16 first_free_queue_ = 0;
};

}  // namespace faultline::sim
