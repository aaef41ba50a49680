// Spinning, without the host spinning along: a CPU that has only looked at lines since its last
// pause, and still has copies of all of them, would see the same again, so it is parked until one
// of them is written. The time is spinning all the same, and it goes on at the end of a whole turn,
// as a CPU that was really spinning would.
//
// A spin that has asked for the time or who is running can end without a write. It looks again by
// itself: after one turn, then two, then three. So what it is late by stays small beside the time
// that it has spun: after n looks, the last of n turns, n * n / 2 turns have passed.
#include <algorithm>

#include "harness/sim/simulation.hpp"

namespace faultline::sim {

void Simulation::pause(Cpu& cpu) {
  take_turn(cpu);
  const Time since = cpu.clock;
  cpu.clock += machine_.pause;
  cpu.looked_again = 0;
  if (can_park(cpu))
    park(cpu);
  else
    cpu.park_turns = 1;
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

bool Simulation::can_park(const Cpu& cpu) const {
  if (cpu.changed || cpu.posted != 0 || cpu.read_count == 0 || cpu.read_count > Watch::per_cpu)
    return false;
  for (u32 i = 0; i < cpu.read_count; ++i) {
    const Line& line = lines_[cpu.reads[i] / Arena::line_bytes];
    if (!holds(cpu, line) || awaits_store(line)) return false;
  }
  return true;
}

void Simulation::park(Cpu& cpu) {
  for (u32 i = 0; i < cpu.read_count; ++i) {
    const u32 number = cpu.index * Watch::per_cpu + i + 1;
    Watch& watch = watches_[number];
    Line& line = lines_[cpu.reads[i] / Arena::line_bytes];
    Side& side = side_of(line);
    watch = {.side = line.side, .previous = 0, .next = side.watchers};
    if (side.watchers != 0) watches_[side.watchers].previous = static_cast<u16>(number);
    side.watchers = static_cast<u16>(number);
  }
  cpu.watching = cpu.read_count;
  cpu.parked_turn = machine_.pause + cpu.read_count * machine_.hit[0];
  cpu.woken = false;
  if (cpu.timed) {
    queue_.push(make_key(cpu.clock + cpu.park_turns * cpu.parked_turn, cpu.index));
    ++cpu.park_turns;
  }
  block(cpu, Status::parked);
  if (cpu.woken) cpu.park_turns = 1;
  unwatch(cpu);
}

// A spinner that has been woken looks at its lines again, and mostly finds that it must queue for
// the one that was written: that is done for it here, without a switch to its fiber and back. True:
// it goes on when it has the line.
bool Simulation::look_again(Cpu& cpu) {
  for (u32 i = 0; i < cpu.read_count; ++i) {
    Line& line = lines_[cpu.reads[i] / Arena::line_bytes];
    if (holds(cpu, line) && !awaits_store(line)) continue;
    if (line.until <= cpu.clock && !is_queued(line)) return false;
    cpu.status = Status::queued;
    cpu.blocked_since = cpu.clock;
    cpu.looked_again = cpu.reads[i];
    enqueue(cpu, line, cpu.reads[i], 1, Kind::load, nullptr);
    return true;
  }
  return false;
}

void Simulation::unwatch(Cpu& cpu) {
  for (; cpu.watching != 0; --cpu.watching) {
    Watch& watch = watches_[cpu.index * Watch::per_cpu + cpu.watching];
    if (watch.previous != 0)
      watches_[watch.previous].next = watch.next;
    else
      sides_[watch.side].watchers = watch.next;
    if (watch.next != 0) watches_[watch.next].previous = watch.previous;
  }
}

void Simulation::wake_watchers(Side& side, Time complete) {
  while (side.watchers != 0) wake_parked(cpus_[(side.watchers - 1) / Watch::per_cpu], complete);
}

// At the end of the turn in which the write completes.
void Simulation::wake_parked(Cpu& cpu, Time complete) {
  unwatch(cpu);
  Time time = cpu.clock;
  if (complete > time) {
    const Time turns = (complete - time + cpu.parked_turn - 1) / cpu.parked_turn;
    time += turns * cpu.parked_turn;
  }
  cpu.woken = true;
  make_ready(cpu, time);
}

// All threads have been waiting for something for too long: spinning, or sleeping and waking in
// vain.
void Simulation::look_for_progress(const Cpu& cpu) {
  if (waiting_ == live_ && cpu.clock > progress_ + options_.progress_limit_ns * ps_per_ns)
    fail("livelock");
}

}  // namespace faultline::sim
