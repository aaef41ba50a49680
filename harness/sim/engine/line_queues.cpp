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
      arbiter_(machine, cpus, random),
      requests_(max_requests),
      queues_(Scheduler::max_queues + 1) {}

LineQueue& LineQueues::open_fresh(DirectoryEntry& entry, u64 at, Time release) {
  if (first_free_queue_ != 0)
    first_free_queue_ = queues_[entry.queue = first_free_queue_].next_free;
  else
    entry.queue = static_cast<u16>(
        next_number(queues_made_, Scheduler::max_queues + 1, "lines with a queue"));
  LineQueue& queue = queues_[entry.queue];
  queue = {};
  queue.line = static_cast<u32>(at / Arena::line_bytes);
  scheduler_.release_at(entry.queue, release);
  return queue;
}

// A fresh request at the list's end. The caller fills it in place: the host would stall on loads
// for a copy made of fields just stored.
Request& LineQueues::append(RequestList& list) {
  u32 number = first_free_request_;
  if (number != 0)
    first_free_request_ = requests_[number].next;
  else
    number = next_number(requests_made_, max_requests, "accesses that wait");
  (list.count == 0 ? list.first : requests_[list.last].next) = number;
  list.last = number;
  ++list.count;
  Request& request = requests_[number];
  request = {};
  return request;
}

void LineQueues::free_request(u32 number) {
  requests_[number].next = first_free_request_;
  first_free_request_ = number;
}

u32 LineQueues::append_access(LineQueue& queue, const Cpu& cpu, LineAccess access) {
  Request& request = append(queue.list);
  request.address = access.at;
  request.cpu = static_cast<u16>(cpu.index);
  request.kind = access.kind;
  request.bytes = static_cast<u8>(access.bytes);
  return queue.list.last;
}

void LineQueues::enqueue(Cpu& cpu, Line& line, LineAccess access) {
  line.ever_shared = true;
  append_access(open(line, access.at, std::max(line.busy_until, cpu.clock)), cpu, access);
}

void LineQueues::enqueue_store(Cpu& cpu, Line& line, LineAccess access, u64 value) {
  line.ever_shared = true;
  LineQueue& queue = open(line, access.at, std::max(line.busy_until, cpu.clock));
  const u32 number = append_access(queue, cpu, access);
  ++queue.posted;
  Request& request = requests_[number];
  request.posted = true;
  request.value = value;
  request.slot = static_cast<u16>(cpu.stores.next);
  StoreBuffers::post_waiting(cpu, access.at, number);
}

void LineQueues::enqueue_retry(Cpu& cpu, RequestList& list, u64 at, Time arrival) {
  Request& request = append(list);
  request.address = at;
  request.cpu = static_cast<u16>(cpu.index);
  request.bytes = 1;
  request.arrival = arrival;
  cpu.retry_at = at;
  cpu.awaited = at;
  cpu.status = Status::queued;
  cpu.blocked_since = arrival;
}

// A store that is first but whose CPU has older stores without their lines holds the queue up: TSO
// makes stores visible in program order. No two such stores wait for each other, since each waits
// for older ones alone.
//
// A blocked CPU that got the line while others still queue releases the line itself as soon as it
// goes on (Scheduler::next_to_run); in every other case the queue has an event of its own.
void LineQueues::release(u32 number, Time now) {
  LineQueue& queue = queues_[number];
  Line& line = directory_.lines()[queue.line];
  take_in_woken(queue);
  Request& next = requests_[queue.list.first];
  if (next.posted && !cpus_[next.cpu].stores.is_oldest_waiting(next.slot)) {
    next.held_queue = static_cast<u16>(number);
    return;
  }
  serve(queue, line, now);
  if (line.state == State::shared) serve_readers(queue, line);
  if (queue.list.count + queue.woken.count == 0)
    close(number, line);
  else if (queue.successor != no_cpu && line.state != State::shared)
    cpus_[queue.successor].releases_queue = static_cast<u16>(number);
  else
    scheduler_.release_at(number, std::max(line.busy_until, now));
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

// The write that the spinners waited for is complete.
void LineQueues::take_in_woken(LineQueue& queue) {
  if (queue.woken.count == 0) return;
  RequestList& list = queue.list;
  (list.count == 0 ? list.first : requests_[list.last].next) = queue.woken.first;
  list.last = queue.woken.last;
  list.count += queue.woken.count;
  queue.woken = {};
}

// Gives the line to the next request.
void LineQueues::serve(LineQueue& queue, Line& line, Time now) {
  const u32 requesters = queue.list.count;
  const u32 number = take_next(queue, line);
  const Request& request = requests_[number];
  Cpu& cpu = cpus_[request.cpu];
  const Time start = std::max(now, request.arrival);
  // The CPU may own the line already, by an older store of its own that was served before.
  const Time complete = Directory::is_exclusive(cpu, line)
                            ? start
                            : coherence_.transfer(cpu, line, request.access(), start, requesters);
  if (request.posted) {
    queue.successor = no_cpu;
    stores_.complete_oldest(cpu, request, now, complete);
  } else {
    queue.successor = request.cpu;
    scheduler_.make_ready(cpu, complete);
  }
  free_request(number);
}

// Serves the reads at the head of a clean line's queue at once, one after the other: the same as
// serve() for each, with one event for all.
void LineQueues::serve_readers(LineQueue& queue, Line& line) {
  DirectoryEntry& entry = directory_.entry(line);
  while (queue.list.count != 0 && requests_[queue.list.first].kind == Kind::load) {
    const u32 number = queue.list.first;
    const Request& request = requests_[number];
    queue.list.first = request.next;
    --queue.list.count;
    Cpu& cpu = cpus_[request.cpu];
    const Time complete = coherence_.read_clean(cpu, line, entry, request.access(),
                                                std::max(line.busy_until, request.arrival));
    queue.successor = request.cpu;
    scheduler_.make_ready_late(cpu, complete);
    free_request(number);
  }
}

u32 LineQueues::take_next(LineQueue& queue, const Line& line) {
  RequestList& list = queue.list;
  const Arbiter::Choice chosen = arbiter_.choose(list, requests_, line);
  const Request& request = requests_[chosen.request];
  (chosen.before == 0 ? list.first : requests_[chosen.before].next) = request.next;
  if (list.last == chosen.request) list.last = chosen.before;
  --list.count;
  queue.posted -= request.posted;
  return chosen.request;
}

Arbiter::Choice Arbiter::choose(const RequestList& list, const LazyArray<Request>& requests,
                                const Line& line) {
  Choice choice = {list.first, 0};
  if (list.count <= 1 || machine_.nearest_share == 0 || line.owner == no_cpu ||
      (random_.next() >> 54) >= machine_.nearest_share)
    return choice;
  const Machine::Place& owner = cpus_[line.owner].place;
  Distance least = distances;
  for (u32 i = 0, at = list.first, before = 0; i < std::min(list.count, window);
       ++i, before = at, at = requests[at].next) {
    const Request& request = requests[at];
    if (request.posted && i > 0) break;
    const Distance distance = machine_.between(owner, cpus_[request.cpu].place);
    if (distance < least) least = distance, choice = {at, before};
    if (request.posted) break;
  }
  return choice;
}

}  // namespace faultline::sim
