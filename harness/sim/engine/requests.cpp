// Those that wait for a line, and the store buffers.
#include <algorithm>
#include <cstring>

#include "harness/sim/engine/simulation.hpp"

namespace faultline::sim {

namespace {
constexpr Time not_known = ~Time{0};  // when a posted store that has not got its line completes
constexpr u32 window = 16;            // so many requests does an arbiter see
}  // namespace

// The line's queue, made where there is none.
LineQueue& Simulation::queue_of(Line& line, u64 at) {
  Side& side = side_of(line);
  if (side.queue == 0) {
    if (free_queue_ != 0)
      free_queue_ = queues_[side.queue = free_queue_].next_free;
    else
      side.queue = static_cast<u16>(fresh_number(queues_made_, max_queues, "lines with a queue"));
    queues_[side.queue] = {};
    queues_[side.queue].line = static_cast<u32>(at / Arena::line_bytes);
  }
  return queues_[side.queue];
}

// A fresh one at the list's end. It is filled where it stands: a copy made of the fields just
// stored would be a store-forwarding stall of the host's.
Request& Simulation::append(RequestList& list) {
  u32 place = free_request_;
  if (place != 0)
    free_request_ = requests_[place].next;
  else
    place = fresh_number(requests_made_, max_requests, "accesses that wait");
  (list.count == 0 ? list.first : requests_[list.last].next) = place;
  list.last = place;
  ++list.count;
  Request& request = requests_[place];
  request = {};
  return request;
}

// Puts the access at the end of the line's queue: posted where there is a value, else the CPU's own
// to block for.
void Simulation::enqueue(Cpu& cpu, Line& line, u64 at, usize bytes, Kind kind,
                         const u64* posted_value) {
  line.met = true;
  const bool fresh = !is_queued(line);
  LineQueue& queue = queue_of(line, at);
  if (fresh)
    queue_.push(
        make_key(std::max(line.until, cpu.clock), first_queue_actor + sides_[line.side].queue));
  Request& request = append(queue.list);
  request.address = at;
  request.cpu = static_cast<u16>(cpu.index);
  request.kind = kind;
  request.bytes = static_cast<u8>(bytes);
  if (posted_value == nullptr) return;
  ++queue.posted;
  request.posted = true;
  request.value = *posted_value;
  request.slot = static_cast<u16>(cpu.ring_at);
  cpu.ring[cpu.ring_at] = {not_known, queue.list.last};
  cpu.ring_at = cpu.slot(~u32{0});
  cpu.posted_filter |= Cpu::filter_bit(at);
  ++cpu.posted;
}

// Takes the next request out of the queue: the oldest, or, as often as the machine does so, the one
// nearest to who has the line now. Nothing overtakes a posted store: its CPU has gone on as if it
// were done.
u32 Simulation::take_next(LineQueue& in, const Line& line) {
  RequestList& queue = in.list;
  u32 chosen = queue.first, before_chosen = 0;
  if (queue.count > 1 && machine_.nearest_share != 0 && line.owner != no_cpu &&
      (draw() >> 54) < machine_.nearest_share) {
    const Machine::Place& owner = cpus_[line.owner].place;
    Distance least = distances;
    for (u32 i = 0, at = queue.first, before = 0; i < std::min(queue.count, window);
         ++i, before = at, at = requests_[at].next) {
      const Request& request = requests_[at];
      if (request.posted && i > 0) break;
      const Distance distance = machine_.between(owner, cpus_[request.cpu].place);
      if (distance < least) least = distance, chosen = at, before_chosen = before;
      if (request.posted) break;
    }
  }
  const u32 next = requests_[chosen].next;
  (before_chosen == 0 ? queue.first : requests_[before_chosen].next) = next;
  if (queue.last == chosen) queue.last = before_chosen;
  --queue.count;
  in.posted -= requests_[chosen].posted;
  return chosen;
}

// The line can move on, unless it must wait for a store that is next, but whose CPU has older ones
// under way: stores are seen in their order. (No two can wait for each other: each waits for older
// ones alone.) Reads that are next to each other are served in one go, one after the
// other. When a CPU has got the line and others are left, it releases the line itself as soon as it
// goes on (next_to_run); in every other case the queue has an event of its own.
void Simulation::release(u32 queue_number, Time now) {
  LineQueue& queue = queues_[queue_number];
  Line& line = lines_[queue.line];
  take_in_woken(queue);
  Request& next = requests_[queue.list.first];
  if (next.posted && next.slot != cpus_[next.cpu].slot(cpus_[next.cpu].posted)) {
    next.held = static_cast<u16>(queue_number);
    return;
  }
  serve(queue_number, now);
  if (line.state == State::shared) serve_readers(queue, line);
  if (queue.list.count + queue.woken.count == 0) {
    sides_[line.side].queue = 0;
    queue.next_free = free_queue_;
    free_queue_ = static_cast<u16>(queue_number);
    drop_side(line);
  } else if (queue.successor != no_cpu && line.state != State::shared) {
    cpus_[queue.successor].releases = static_cast<u16>(queue_number);
  } else {
    queue_.push(make_key(std::max(line.until, now), first_queue_actor + queue_number));
  }
}

// The write that they were waiting for is complete.
void Simulation::take_in_woken(LineQueue& queue) {
  if (queue.woken.count == 0) return;
  RequestList& list = queue.list;
  (list.count == 0 ? list.first : requests_[list.last].next) = queue.woken.first;
  list.last = queue.woken.last;
  list.count += queue.woken.count;
  queue.woken = {};
}

// Gives the line to the next request.
void Simulation::serve(u32 queue_number, Time now) {
  LineQueue& queue = queues_[queue_number];
  Line& line = lines_[queue.line];
  const u32 requesters = queue.list.count;
  const u32 number = take_next(queue, line);
  Request& request = requests_[number];
  Cpu& cpu = cpus_[request.cpu];
  // It may find its line its CPU's own: a posted store, or what has waited behind one.
  const Time start = std::max(now, request.arrival);
  const Time complete = owns_alone(cpu, line) ? start
                                              : grant(cpu, line, request.address, request.bytes,
                                                      request.kind, start, requesters);
  if (request.posted) {
    queue.successor = no_cpu;
    complete_posted(cpu, request, now, complete);
  } else {
    queue.successor = request.cpu;
    make_ready(cpu, complete);
  }
  request.next = free_request_;
  free_request_ = number;
}

// Reads of a clean line in one go: what serve() and grant() would do for each of them.
void Simulation::serve_readers(LineQueue& queue, Line& line) {
  Side& side = sides_[line.side];
  while (queue.list.count != 0 && requests_[queue.list.first].kind == Kind::load) {
    const u32 number = queue.list.first;
    Request& request = requests_[number];
    queue.list.first = request.next;
    --queue.list.count;
    Cpu& cpu = cpus_[request.cpu];
    const Distance distance = nearest_copy(cpu, side);
    const Time complete = read_clean(cpu, line, request.address, request.bytes, distance,
                                     std::max(line.until, request.arrival));
    add_sharer(side, cpu);
    queue.successor = request.cpu;
    queue_.push_late(make_key(complete, request.cpu));
    request.next = free_request_;
    free_request_ = number;
  }
}

void Simulation::write_value(u64 at, usize bytes, u64 value) {
  std::memcpy(reinterpret_cast<void*>(Arena::base + at), &value, bytes);  // little-endian
}

// The CPU's oldest posted store has got its line.
void Simulation::complete_posted(Cpu& cpu, const Request& request, Time now, Time complete) {
  write_value(request.address, request.bytes, request.value);
  cpu.ring[request.slot].complete = complete;
  cpu.drained = std::max(cpu.drained, complete);
  if (--cpu.posted != 0) {
    Request& next = requests_[cpu.ring[cpu.slot(cpu.posted)].request];
    if (next.held != 0) queue_.push(make_key(now, first_queue_actor + next.held));
    next.held = 0;
  } else {
    cpu.posted_filter = 0;
  }
  const Time slot_free = oldest_slot(cpu).complete;
  if (cpu.awaits == Cpu::Awaits::all && cpu.posted == 0)
    make_ready(cpu, std::max(cpu.clock, cpu.drained));
  else if (cpu.awaits == Cpu::Awaits::slot && slot_free != not_known)
    make_ready(cpu, std::max(cpu.clock, slot_free));
  else
    return;
  cpu.awaits = Cpu::Awaits::nothing;
}

bool Simulation::find_posted(const Cpu& cpu, u64 at, u64& value) const {
  for (u32 n = 1; n <= cpu.posted; ++n) {
    const Request& request = requests_[cpu.ring[cpu.slot(n)].request];
    if (request.address != at) continue;
    value = request.value;
    return true;
  }
  return false;
}

// All stores that the CPU has posted are complete: what an RMW and a system call wait for.
void Simulation::drain(Cpu& cpu) {
  const Time since = cpu.clock;
  if (cpu.posted != 0) {
    const u64 at = requests_[cpu.ring[cpu.slot(cpu.posted)].request].address;
    cpu.awaits = Cpu::Awaits::all;
    cpu.awaited = at;
    block(cpu, Status::queued);
    stall(cpu, label_of(lines_[at / 64], at), since);
  } else if (cpu.drained > cpu.clock) {
    cpu.clock = cpu.drained;
    stall(cpu, Labels::store_buffer, since);
  }
}

// The store buffer is full: until its oldest store is complete.
void Simulation::await_slot(Cpu& cpu) {
  const Time since = cpu.clock;
  if (oldest_slot(cpu).complete == not_known) {
    cpu.awaits = Cpu::Awaits::slot;
    cpu.awaited = 0;
    block(cpu, Status::queued);
  } else {
    cpu.clock = std::max(cpu.clock, oldest_slot(cpu).complete);
  }
  stall(cpu, Labels::store_buffer, since);
}

}  // namespace faultline::sim
