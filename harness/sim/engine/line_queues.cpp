#include "harness/sim/engine/line_queues.hpp"

#include <algorithm>
#include <utility>

#include "harness/sim/engine/coherence.hpp"
#include "harness/sim/engine/store_buffers.hpp"

namespace faultline::sim {

LineQueues::LineQueues(const Machine& machine, std::span<Cpu> cpus, Directory& directory,
                       Scheduler& scheduler, Coherence& coherence, StoreBuffers& stores,
                       Xorshift& random)
    : cpus_(cpus),
      directory_(directory),
      scheduler_(scheduler),
      coherence_(coherence),
      stores_(stores),
      arbiter_(machine, cpus, coherence, random),
      cluster_copy_(machine.cluster_copy),
      home_copy_(machine.home_copy),
      store_hit_(machine.hit[static_cast<usize>(Kind::store)]),
      clusters_(machine.clusters),
      requests_(max_requests) {
  queues_.reserve(Scheduler::max_queues + 1);
  queues_.emplace_back();
}

LineQueue& LineQueues::open_fresh(DirectoryEntry& entry, u64 at, Time release) {
  if (first_free_queue_ != 0) {
    first_free_queue_ = queues_[entry.queue = first_free_queue_].next_free;
  } else {
    u32 made = static_cast<u32>(queues_.size() - 1);
    entry.queue =
        static_cast<u16>(next_number(made, Scheduler::max_queues + 1, "lines with a queue"));
    queues_.emplace_back().readers.resize(clusters_);
  }
  LineQueue& queue = queues_[entry.queue];
  queue.line = static_cast<u32>(at / Arena::line_bytes);
  queue.next_copy = LineQueue::never;
  queue.only_reads = false;
  queue.successor = no_cpu;
  queue.snooped = LineQueue::never;
  queue.chosen = 0;
  scheduler_.release_at(entry.queue, release);
  return queue;
}

u32 LineQueues::make_request(const Cpu& cpu, LineAccess access, Time asked) {
  u32 number = first_free_request_;
  if (number != 0)
    first_free_request_ = requests_[number].next;
  else
    number = next_number(requests_made_, max_requests, "accesses that wait");
  // The request is filled in place, since copying a request whose fields were just stored would
  // stall the host's loads.
  Request& request = requests_[number];
  request = {};
  request.address = access.at;
  request.cpu = static_cast<u16>(cpu.index);
  request.cluster = cpu.place.cluster;
  request.kind = access.kind;
  request.bytes = static_cast<u8>(access.bytes);
  request.asked = asked;
  return number;
}

void LineQueues::free_request(u32 number) {
  requests_[number].next = first_free_request_;
  first_free_request_ = number;
}

void LineQueues::append(RequestList& list, u32 number) {
  (list.count == 0 ? list.first : requests_[list.last].next) = number;
  list.last = number;
  ++list.count;
}

u32 LineQueues::take_first(RequestList& list) {
  const u32 number = list.first;
  list.first = requests_[number].next;
  --list.count;
  return number;
}

void LineQueues::add(LineQueue& queue, u32 number) {
  const Request& request = requests_[number];
  if (request.kind == Kind::load) return add_reader(queue, number, request.cluster);
  queue.writers.push_back({request.asked, number, request.cpu, request.kind});
}

// A writer has joined the queue. It does not wait for copies that a cluster has not sent yet.
void LineQueues::hasten(LineQueue& queue, const Line& line, Time now) {
  if (!queue.only_reads) return;
  queue.only_reads = false;
  scheduler_.release_sooner(directory_.queue_of(line), std::max(line.busy_until, now));
}

void LineQueues::enqueue(Cpu& cpu, Line& line, LineAccess access, Time asked) {
  line.ever_shared = true;
  LineQueue& queue = open(line, access.at, std::max(line.busy_until, cpu.clock));
  add(queue, make_request(cpu, access, asked));
  if (access.kind != Kind::load) hasten(queue, line, cpu.clock);
}

void LineQueues::enqueue_store(Cpu& cpu, LineAccess access, u64 value) {
  const u32 number = make_request(cpu, access, cpu.clock);
  Request& request = requests_[number];
  request.posted = true;
  request.value = value;
  request.slot = static_cast<u16>(cpu.stores.next);
  StoreBuffers::post_waiting(cpu, access.at, number);
  if (cpu.stores.waiting == 1) send_stores(cpu, cpu.clock, cpu.clock);
}

// The CPU's oldest waiting store queues for its line from `now` on. The younger ones stay in the
// buffer, since TSO makes stores visible in program order. Stores to lines that the CPU owns
// complete at once, one after the other, from `complete` on.
void LineQueues::send_stores(Cpu& cpu, Time now, Time complete) {
  while (cpu.stores.waiting != 0) {
    const u32 number = cpu.stores.oldest_waiting().request;
    const LineAccess access = requests_[number].access();
    Line& line = directory_.line_at(access.at);
    if (!Directory::is_exclusive(cpu, line)) {
      line.ever_shared = true;
      LineQueue& queue = open(line, access.at, std::max(line.busy_until, now));
      add(queue, number);
      return hasten(queue, line, now);
    }
    complete += store_hit_;
    line.state = State::modified;
    line.used |= access.mask();
    line.busy_until = std::max(line.busy_until, complete);
    stores_.complete_oldest(cpu, requests_[number], complete);
    free_request(number);
  }
}

void LineQueues::enqueue_prefetch(Cpu& cpu, Line& line, LineAccess access) {
  line.ever_shared = true;
  LineQueue& queue = open(line, access.at, std::max(line.busy_until, cpu.clock));
  const u32 number = make_request(cpu, access, cpu.clock);
  requests_[number].prefetch = true;
  cpu.is_prefetching = true;
  add(queue, number);
  hasten(queue, line, cpu.clock);
}

void LineQueues::enqueue_retry(Cpu& cpu, LineQueue& queue, u64 at, Time asked) {
  cpu.retry_at = at;
  cpu.has_copy = false;
  cpu.awaited = at;
  cpu.status = Status::queued;
  cpu.blocked_since = asked;
  add_reader(queue, make_request(cpu, {at, 1, Kind::load}, asked), cpu.place.cluster);
}

void LineQueues::release(u32 number, Time now) {
  LineQueue& queue = queues_[number];
  Line& line = directory_.lines()[queue.line];
  queue.successor = no_cpu;
  queue.only_reads = false;
  if (queue.snooped == LineQueue::never) {
    queue.snooped = now;
    if (const Time kept = choose(queue, line, now); kept != 0)
      return scheduler_.release_at(number, now + kept);
  }
  const Time start = std::exchange(queue.snooped, LineQueue::never);
  if (queue.chosen != 0)
    serve_writer(queue, line, start, now);
  else
    serve_readers(queue, line, start);
  schedule(queue, number, line, now);
}

// A blocked CPU that got the line while other CPUs still queue releases the line itself when it has
// written its value (Coherence::after_rmw). In every other case the queue has an event of its own.
void LineQueues::schedule(LineQueue& queue, u32 number, const Line& line, Time now) {
  if (queue.is_empty()) return close(number, directory_.lines()[queue.line]);
  if (queue.successor != no_cpu) {
    cpus_[queue.successor].releases_queue = static_cast<u16>(number);
    return;
  }
  // If only CPUs of the cluster just served still wait, the cluster goes on sending them copies.
  queue.only_reads = queue.writers.empty() && queue.turns.size() == 1 &&
                     queue.turns.front() == queue.cluster && queue.next_copy != LineQueue::never;
  const Time next = queue.only_reads ? queue.next_copy - cluster_copy_ : line.busy_until;
  scheduler_.release_at(number, std::max(next, now));
}

void LineQueues::close(u32 number, Line& line) {
  directory_.entry(line).queue = 0;
  queues_[number].next_free = first_free_queue_;
  first_free_queue_ = static_cast<u16>(number);
  directory_.drop_entry_if_unused(line);
}

// Chooses a writer or, after a write, the readers. Answers how long the owner still keeps the line,
// while the snoop travels.
Time LineQueues::choose(LineQueue& queue, const Line& line, Time now) {
  const bool reads = queue.writers.empty() || !Directory::has_copies(line);
  if (!queue.turns.empty() && reads) {
    const Request& first = requests_[queue.readers[queue.turns.front()].first];
    return coherence_.kept_by_owner(cpus_[first.cpu], line, first.access());
  }
  const u32 place = arbiter_.choose(queue, line, now);
  queue.chosen = queue.writers[place].request;
  queue.writers[place] = queue.writers.back();
  queue.writers.pop_back();
  arbiter_.prepare(queue, requests_);
  const Request& request = requests_[queue.chosen];
  return coherence_.kept_by_owner(cpus_[request.cpu], line, request.access());
}

// The chosen writer gets the line by a transfer that began at `start`.
void LineQueues::serve_writer(LineQueue& queue, Line& line, Time start, Time now) {
  const u32 number = std::exchange(queue.chosen, 0);
  const Request& request = requests_[number];
  Cpu& cpu = cpus_[request.cpu];
  const u32 waiting = queue.readers[queue.cluster].count;
  // A CPU may own the line already, by an access that was served before its prefetch.
  const bool owns = request.prefetch && Directory::is_exclusive(cpu, line);
  const Time complete =
      owns ? now : coherence_.queued_transfer(cpu, line, request.access(), request.asked, start);
  if (waiting != 0) serve_passing_readers(queue, line, waiting, now, complete);
  queue.next_copy = LineQueue::never;
  if (request.posted) {
    stores_.complete_oldest(cpu, request, complete);
    if (cpu.stores.waiting != 0) send_stores(cpu, now, complete);
  } else if (request.prefetch) {
    cpu.is_prefetching = false;
    cpu.prefetched_at = request.address;
    cpu.prefetched = complete;
  } else {
    queue.successor = request.cpu;
    scheduler_.make_ready(cpu, complete);
  }
  free_request(number);
}

// Takes the first reader out of the list. It goes on at the time that `give` answers, when it has
// its copy.
template <class Give>
void LineQueues::serve_reader(RequestList& list, Give&& give) {
  const u32 number = take_first(list);
  const Request& request = requests_[number];
  cpus_[requests_[list.first].cpu].fetch_hot();
  Cpu& cpu = cpus_[request.cpu];
  scheduler_.make_ready_late(cpu, give(cpu, request));
  free_request(number);
}

// Serves one cluster, whose CPUs get their copies one after the other. While a writer queues, only
// one CPU gets its copy here; serve_passing_readers() serves the others of the cluster.
void LineQueues::serve_readers(LineQueue& queue, Line& line, Time now) {
  if (line.state == State::invalid) return serve_cold_reader(queue, line, now);
  const u16 cluster = queue.turns.front();
  queue.turns.erase(queue.turns.begin());
  RequestList& list = queue.readers[cluster];
  const bool has_line = directory_.cluster_has_copy(cluster, line);
  const bool by_home = !has_line || (!Directory::has_copies(line) && !queue.turns.empty());
  u32 most = queue.writers.empty() && Directory::has_copies(line) ? copies_at_once : 1;
  line.busy_until = now + (by_home ? home_copy_ : coherence_.copy_interval(cluster, line));
  Time sent = by_home ? line.busy_until : now + cluster_copy_;
  serve_reader(list, [&](Cpu& cpu, const Request& request) {
    return coherence_.give_copy(cpu, line, request.access(), request.asked, sent);
  });
  sent = std::max(sent, line.busy_until) + cluster_copy_;
  // The cluster has a copy now.
  for (; list.count != 0 && --most != 0; sent += cluster_copy_)
    serve_reader(list, [&](Cpu& cpu, const Request& request) {
      return coherence_.give_cluster_copy(cpu, line, request.access(), request.asked, sent);
    });
  if (list.count != 0) queue.turns.push_back(cluster);
  queue.cluster = cluster;
  // A cluster that has the line sends further copies while the home is still busy.
  queue.next_copy = by_home && has_line ? now + 2 * cluster_copy_ : sent;
}

// The line comes from memory, and the reader becomes its owner.
void LineQueues::serve_cold_reader(LineQueue& queue, Line& line, Time now) {
  const u16 cluster = queue.turns.front();
  RequestList& list = queue.readers[cluster];
  const u32 number = take_first(list);
  const Request& request = requests_[number];
  Cpu& cpu = cpus_[request.cpu];
  if (list.count == 0) queue.turns.erase(queue.turns.begin());
  scheduler_.make_ready(
      cpu, coherence_.queued_transfer(cpu, line, request.access(), request.asked, now));
  free_request(number);
}

// A writer takes the line away from the cluster that got copies last. Until the line is gone, at
// `gone`, the cluster sends copies to the first `waiting` readers of its list. The readers behind
// them are spinners that the write has woken; they need the new value.
void LineQueues::serve_passing_readers(LineQueue& queue, const Line& line, u32 waiting, Time now,
                                       Time gone) {
  RequestList& list = queue.readers[queue.cluster];
  u32 served = 0;
  for (; served < waiting && queue.next_copy < gone; ++served, queue.next_copy += cluster_copy_) {
    serve_reader(list, [&](Cpu& cpu, const Request& request) {
      return coherence_.give_passing_copy(cpu, line, request.access(), request.asked,
                                          std::max(queue.next_copy, now));
    });
  }
  if (served != 0 && list.count == 0) std::erase(queue.turns, queue.cluster);
}

void Arbiter::prepare(LineQueue& queue, const LazyArray<Request>& requests) {
  if (queue.writers.empty()) return;
  queue.drawn = below(static_cast<u32>(queue.writers.size()));
  const WaitingWriter& writer = queue.writers[queue.drawn];
  __builtin_prefetch(&requests[writer.request]);
  __builtin_prefetch(&cpus_[writer.cpu], 1);
  __builtin_prefetch(reinterpret_cast<const std::byte*>(&cpus_[writer.cpu]) + cache_line, 1);
}

u32 Arbiter::rank(const LineQueue& queue, u32 place, const Line& line, bool by_distance,
                  Time now) const {
  const WaitingWriter& writer = queue.writers[place];
  const Cpu& cpu = cpus_[writer.cpu];
  u32 rank = 0;
  if (by_distance)
    rank =
        std::max(machine_.between(cpus_[line.owner].place, cpu.place), same_cluster) - same_cluster;
  const LineAccess access = {u64{queue.line} * Arena::line_bytes, 1, writer.kind};
  return coherence_.arrival(cpu, line, access, writer.asked) > now ? rank + under_way : rank;
}

u32 Arbiter::choose(const LineQueue& queue, const Line& line, Time now) {
  const u32 count = static_cast<u32>(queue.writers.size());
  if (count == 1) return 0;
  const bool nearest = machine_.nearest_share != 0 && line.owner != no_cpu &&
                       (random_.next() >> 54) < machine_.nearest_share;
  u32 best = std::min(queue.drawn, count - 1);
  u32 best_rank = rank(queue, best, line, nearest, now);
  for (u32 i = 1; best_rank != 0 && i < (nearest ? draws_nearby : draws); ++i) {
    const u32 place = below(count);
    const u32 other = rank(queue, place, line, nearest, now);
    if (other < best_rank) best = place, best_rank = other;
  }
  return best;
}

}  // namespace faultline::sim
