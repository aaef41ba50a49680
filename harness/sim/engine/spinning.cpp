// Spinning, without the host spinning along: a CPU that has only looked at lines since its last
// pause, at the same ones as in the turn before, and still has copies of all of them, would see the
// same again, so it is parked until one of them is written. The time is spinning all the same, and
// it goes on at the end of a turn, as a CPU that was really spinning would.
//
// A spin that has asked for the time or who is running can end without a write. It looks again by
// itself: after one turn, then two, then three. So what it is late by stays small beside the time
// that it has spun: after n looks, the last of n turns, n * n / 2 turns have passed.
#include <algorithm>

#include "harness/sim/engine/simulation.hpp"

namespace faultline::sim {

// It need not be this CPU's turn: a write that is still to come finds it among the watchers.
void Simulation::pause(Cpu& cpu) {
  const Time since = cpu.clock;
  cpu.clock += machine_.pause;
  cpu.looked_again = 0;
  u64 places = 0;
  for (u32 i = 0; i < cpu.read_count && i < Watch::per_cpu; ++i)
    places = places * 0x9E3779B97F4A7C15ULL + cpu.reads[i];
  const bool only_looked = !cpu.changed && cpu.posted == 0 && cpu.read_count != 0 &&
                           cpu.read_count <= Watch::per_cpu && places == cpu.places;
  cpu.places = places;
  if (!only_looked) cpu.park_turns = 1;
  // What is on the stack while others run is as little as can be: see `Cpu`.
  const Status status = only_looked ? prepare_spin(cpu) : Status::ready;
  if (status != Status::ready) block(cpu, status);
  end_pause(cpu, since);
}

void Simulation::end_pause(Cpu& cpu, Time since) {
  unwatch(cpu);
  if (cpu.looked_again == 0) {
    cpu.spinning += cpu.clock - since;
  } else {
    cpu.spinning += cpu.blocked_since - since;
    stall(cpu, label_of(lines_[cpu.looked_again / Arena::line_bytes], cpu.looked_again),
          cpu.blocked_since);
  }
  cpu.read_count = 0;
  cpu.changed = false;
  look_for_progress(cpu);
}

// What a spinner is to wait as, for what the next turn would see: for a write; or, where a line is
// gone already and others queue for it, for that line. Where it is gone and nobody queues, the next
// turn must see to it.
Status Simulation::prepare_spin(Cpu& cpu) {
  for (u32 i = 0; i < cpu.read_count; ++i) {
    Line& line = lines_[cpu.reads[i] / Arena::line_bytes];
    if (holds(cpu, line) && !awaits_store(line)) continue;
    if (!is_queued(line)) return Status::ready;
    queue_for(cpu, queues_[sides_[line.side].queue].list, cpu.reads[i], cpu.clock);
    return Status::queued;
  }
  park(cpu);
  return Status::parked;
}

// Puts a spinner's next look at that place into the list.
void Simulation::queue_for(Cpu& cpu, RequestList& list, u64 at, Time arrival) {
  Request& request = append(list);
  request.address = at;
  request.cpu = static_cast<u16>(cpu.index);
  request.bytes = 1;
  request.arrival = arrival;
  cpu.looked_again = at;
  cpu.awaited = at;
  cpu.status = Status::queued;
  cpu.blocked_since = arrival;
}

void Simulation::park(Cpu& cpu) {
  for (u32 i = 0; i < cpu.read_count; ++i) watch(cpu, lines_[cpu.reads[i] / Arena::line_bytes]);
  cpu.parked_turn = machine_.pause + cpu.read_count * machine_.hit[0];
  if (cpu.timed) {
    queue_.push(make_key(cpu.clock + cpu.park_turns * cpu.parked_turn, cpu.index));
    ++cpu.park_turns;
  }
}

// Puts the CPU at one end of the line's ring of watchers or the other, as chance has it, since
// which spinner of many comes first is chance as well.
void Simulation::watch(Cpu& cpu, Line& line) {
  const u16 number = static_cast<u16>(cpu.index * Watch::per_cpu + ++cpu.watching);
  Watch& fresh = watches_[number];
  Side& side = side_of(line);
  fresh.side = line.side;
  ++side.watching;
  if (side.watchers == 0) {
    fresh.previous = fresh.next = side.watchers = number;
    return;
  }
  Watch& first = watches_[side.watchers];
  fresh.next = side.watchers;
  fresh.previous = first.previous;
  watches_[first.previous].next = number;
  first.previous = number;
  if (draw() & 1) side.watchers = number;
}

void Simulation::unwatch(Cpu& cpu) {
  for (; cpu.watching != 0; --cpu.watching) {
    const u16 number = static_cast<u16>(cpu.index * Watch::per_cpu + cpu.watching);
    const Watch& watch = watches_[number];
    Side& side = sides_[watch.side];
    watches_[watch.previous].next = watch.next;
    watches_[watch.next].previous = watch.previous;
    if (side.watchers == number) side.watchers = watch.next;
    if (--side.watching == 0) side.watchers = 0;
  }
}

// All that spin on the line will look at it again: each at the end of the turn in which the write
// completes, and these ends are spread over a turn. They find that they must queue, so that is done
// for them here, without a switch to their fibers and back.
void Simulation::wake_watchers(Line& line, u64 at, Time complete) {
  if (line.side == 0 || sides_[line.side].watchers == 0) return;
  const bool fresh = !is_queued(line);
  LineQueue& queue = queue_of(line, at);
  Side& side = sides_[line.side];
  if (fresh) queue_.push(make_key(complete, first_queue_actor + side.queue));
  const u32 number = side.watching;
  for (u32 i = 0; side.watchers != 0; ++i) {  // a CPU may have read the line twice in its turn
    Cpu& cpu = cpus_[(side.watchers - 1u) / Watch::per_cpu];
    const u32 which = (side.watchers - 1u) % Watch::per_cpu;
    unwatch(cpu);
    cpu.park_turns = 1;
    if (queue_.has(cpu.index)) queue_.remove(cpu.index);
    queue_for(cpu, queue.woken, cpu.reads[which],
              std::max(cpu.clock, complete + cpu.parked_turn * i / number));
  }
}

// All threads have been waiting for something for too long: spinning, or sleeping and waking in
// vain.
void Simulation::look_for_progress(const Cpu& cpu) {
  if (waiting_ == live_ && cpu.clock > progress_ + options_.progress_limit_ns * ps_per_ns)
    fail("livelock");
}

}  // namespace faultline::sim
