#include "harness/sim/engine/line_queues.hpp"

#include <algorithm>

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
      clusters_(machine.clusters),
      requests_(max_requests),
      queues_(1) {}

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

// No request overtakes a posted store that joined the queue earlier, since the store's CPU has gone
// on as if the store were done.
void LineQueues::add(LineQueue& queue, u32 number) {
  if (queue.store != 0)
    append(queue.later, number);
  else
    admit(queue, number);
}

void LineQueues::admit(LineQueue& queue, u32 number) {
  const Request& request = requests_[number];
  if (request.kind != Kind::load) {
    queue.writers.push_back({request.asked, number, request.cpu, request.kind, request.posted});
    if (request.posted) queue.store = number;
    return;
  }
  RequestList& readers = queue.readers[request.cluster];
  if (readers.count == 0) queue.turns.push_back(request.cluster);
  append(readers, number);
}

void LineQueues::admit_later_ones(LineQueue& queue) {
  while (queue.store == 0 && queue.later.count != 0) admit(queue, take_first(queue.later));
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

void LineQueues::enqueue_store(Cpu& cpu, Line& line, LineAccess access, u64 value) {
  line.ever_shared = true;
  LineQueue& queue = open(line, access.at, std::max(line.busy_until, cpu.clock));
  const u32 number = make_request(cpu, access, cpu.clock);
  ++queue.posted;
  Request& request = requests_[number];
  request.posted = true;
  request.value = value;
  request.slot = static_cast<u16>(cpu.stores.next);
  StoreBuffers::post_waiting(cpu, access.at, number);
  add(queue, number);
  hasten(queue, line, cpu.clock);
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
  cpu.awaited = at;
  cpu.status = Status::queued;
  cpu.blocked_since = asked;
  add(queue, make_request(cpu, {at, 1, Kind::load}, asked));
}

// A store holds the queue up if it is the only request that could be served and its CPU has older
// stores without lines, since TSO makes stores visible in program order. Two such stores never wait
// for each other, since each waits for older stores alone.
void LineQueues::release(u32 number, Time now) {
  LineQueue& queue = queues_[number];
  Line& line = directory_.lines()[queue.line];
  queue.successor = no_cpu;
  queue.only_reads = false;
  if (const u32 place = next_writer(queue, line, now); place != none) {
    serve_writer(queue, line, place, now);
  } else if (!queue.turns.empty()) {
    serve_readers(queue, line, now);
  } else {
    requests_[queue.store].held_queue = static_cast<u16>(number);
    return;
  }
  schedule(queue, number, line, now);
}

// A blocked CPU that got the line while other CPUs still queue releases the line itself as soon as
// it runs (Scheduler::next_to_run). In every other case the queue has an event of its own.
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

void LineQueues::unhold(u32 number, Time now) {
  Request& request = requests_[number];
  if (request.held_queue != 0) scheduler_.release_at(request.held_queue, now);
  request.held_queue = 0;
}

void LineQueues::close(u32 number, Line& line) {
  directory_.entry(line).queue = 0;
  queues_[number].next_free = first_free_queue_;
  first_free_queue_ = static_cast<u16>(number);
  directory_.drop_entry_if_unused(line);
}

// The place of the writer that is served next. `none` if readers go first or the only writer is
// held.
u32 LineQueues::next_writer(const LineQueue& queue, const Line& line, Time now) {
  const bool readers_wait = !queue.turns.empty();
  if (queue.writers.empty() || (readers_wait && !Directory::has_copies(line))) return none;
  const u32 place = arbiter_.choose(queue, line, now);
  if (!arbiter_.is_held(queue.writers[place], requests_)) return place;
  // The held writer is the only posted store, so the next one is not held.
  return queue.writers.size() == 1 ? none : (place + 1) % static_cast<u32>(queue.writers.size());
}

void LineQueues::serve_writer(LineQueue& queue, Line& line, u32 place, Time now) {
  const u32 number = queue.writers[place].request;
  queue.writers[place] = queue.writers.back();
  queue.writers.pop_back();
  arbiter_.prepare(queue, requests_);
  const Request& request = requests_[number];
  Cpu& cpu = cpus_[request.cpu];
  const u32 waiting = queue.readers[queue.cluster].count;
  if (request.posted) {
    // The requests behind the store come before the reads of the spinners that the store wakes.
    queue.store = 0;
    --queue.posted;
    admit_later_ones(queue);
  }
  // The CPU may own the line already, by an older store of its own that was served before.
  const Time complete =
      Directory::is_exclusive(cpu, line)
          ? now
          : coherence_.queued_transfer(cpu, line, request.access(), request.asked, now);
  serve_passing_readers(queue, line, waiting, now, complete);
  if (request.posted) {
    stores_.complete_oldest(cpu, request, now, complete);
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
  Time sent = now + (by_home ? home_copy_ : cluster_copy_);
  line.busy_until = sent;
  do {
    const u32 number = take_first(list);
    const Request& request = requests_[number];
    __builtin_prefetch(&cpus_[requests_[list.first].cpu], 1);  // the host needs it in the next turn
    Cpu& cpu = cpus_[request.cpu];
    scheduler_.make_ready_late(
        cpu, coherence_.give_copy(cpu, line, request.access(), request.asked, sent));
    free_request(number);
    sent += cluster_copy_;
  } while (list.count != 0 && --most != 0);
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
    const u32 number = take_first(list);
    const Request& request = requests_[number];
    Cpu& cpu = cpus_[request.cpu];
    scheduler_.make_ready_late(
        cpu, coherence_.give_passing_copy(cpu, line, request.access(), request.asked,
                                          std::max(queue.next_copy, now)));
    free_request(number);
  }
  if (served != 0 && list.count == 0) std::erase(queue.turns, queue.cluster);
  queue.next_copy = LineQueue::never;
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
