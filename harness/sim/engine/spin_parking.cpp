#include "harness/sim/engine/spin_parking.hpp"

#include <algorithm>

#include "harness/sim/engine/store_buffers.hpp"

namespace faultline::sim {

SpinParking::SpinParking(const Machine& machine, std::span<Cpu> cpus, Directory& directory,
                         LineQueues& queues, Scheduler& scheduler, Accounting& accounting,
                         Xorshift& random)
    : pause_(machine.pause),
      read_hit_(machine.hit[static_cast<usize>(Kind::load)]),
      cpus_(cpus),
      directory_(directory),
      queues_(queues),
      scheduler_(scheduler),
      accounting_(accounting),
      random_(random),
      watches_(cpus.size() * Cpu::max_reads + 1) {}

void SpinParking::pause(Cpu& cpu) {
  const Time since = cpu.clock;
  cpu.clock += pause_;
  cpu.retry_at = 0;
  u64 hash = 0;
  for (u32 i = 0; i < cpu.read_count && i < Cpu::max_reads; ++i)
    hash = hash * golden_gamma + cpu.reads[i];
  const bool only_read = !cpu.cannot_park && !StoreBuffers::has_waiting(cpu) &&
                         cpu.read_count != 0 && cpu.read_count <= Cpu::max_reads &&
                         hash == cpu.turn_hash;
  cpu.turn_hash = hash;
  if (!only_read) cpu.park_turns = 1;
  // This frame lies on the stack while other fibers run. The host's cache must hold it for each
  // CPU, so the frame of end_pause() is not part of it.
  const Status status = only_read ? prepare_spin(cpu) : Status::ready;
  if (status != Status::ready) scheduler_.block(cpu, status);
  end_pause(cpu, since);
}

void SpinParking::end_pause(Cpu& cpu, Time since) {
  unwatch(cpu);
  if (cpu.retry_at == 0) {
    cpu.spinning += cpu.clock - since;
  } else {
    cpu.spinning += cpu.blocked_since - since;
    accounting_.charge_stall(cpu, directory_.line_at(cpu.retry_at), cpu.retry_at,
                             cpu.blocked_since);
  }
  cpu.read_count = 0;
  cpu.cannot_park = false;
  scheduler_.look_for_progress(cpu);
}

// Decides how the spinner blocks. Parked: until a write. Queued: another CPU has already taken a
// line, and requests queue for that line. Ready: a line is gone and no request queues for it, so
// the next turn must fetch it.
Status SpinParking::prepare_spin(Cpu& cpu) {
  for (u32 i = 0; i < cpu.read_count; ++i) {
    const Line& line = directory_.line_at(cpu.reads[i]);
    if (directory_.has_copy(cpu, line)) continue;
    if (!queues_.is_queued(line)) return Status::ready;
    queues_.enqueue_retry(cpu, queues_.of(line), cpu.reads[i], cpu.clock);
    return Status::queued;
  }
  park(cpu);
  return Status::parked;
}

void SpinParking::park(Cpu& cpu) {
  for (u32 i = 0; i < cpu.read_count; ++i) watch(cpu, directory_.line_at(cpu.reads[i]));
  cpu.turn_time = pause_ + cpu.read_count * read_hit_;
  if (cpu.timed) {
    scheduler_.set_timer(cpu, cpu.clock + cpu.park_turns * cpu.turn_time);
    ++cpu.park_turns;
  }
}

// Puts the CPU at either end of the line's ring of spinners, at random. On a real machine too it is
// a matter of chance which of many spinners reads first after a write.
void SpinParking::watch(Cpu& cpu, Line& line) {
  const u16 number = static_cast<u16>(cpu.index * Cpu::max_reads + ++cpu.watches);
  Watch& fresh = watches_[number];
  DirectoryEntry& entry = directory_.make_entry(line);
  fresh.entry = line.entry;
  ++entry.spinner_count;
  if (entry.spinners == 0) {
    fresh.previous = fresh.next = entry.spinners = number;
    return;
  }
  Watch& first = watches_[entry.spinners];
  fresh.next = entry.spinners;
  fresh.previous = first.previous;
  watches_[first.previous].next = number;
  first.previous = number;
  if (random_.next() & 1) entry.spinners = number;
}

void SpinParking::unwatch(Cpu& cpu) {
  for (; cpu.watches != 0; --cpu.watches) {
    const u16 number = static_cast<u16>(cpu.index * Cpu::max_reads + cpu.watches);
    const Watch& watch = watches_[number];
    DirectoryEntry& entry = directory_.entry(watch.entry);
    watches_[watch.previous].next = watch.next;
    watches_[watch.next].previous = watch.previous;
    if (entry.spinners == number) entry.spinners = watch.next;
    if (--entry.spinner_count == 0) entry.spinners = 0;
  }
}

void SpinParking::wake_spinners(Line& line, u64 at, Time complete) {
  if (line.entry == 0 || directory_.entry(line).spinners == 0) return;
  LineQueue& queue = queues_.open(line, at, complete);
  DirectoryEntry& entry = directory_.entry(line);
  const u32 number = entry.spinner_count;
  // The loop may end early, since a CPU that read the line twice in its turn is in the ring twice.
  for (u32 i = 0; entry.spinners != 0; ++i) {
    Cpu& cpu = cpus_[(entry.spinners - 1u) / Cpu::max_reads];
    cpus_[(watches_[entry.spinners].next - 1u) / Cpu::max_reads].fetch_hot();
    const u32 which = (entry.spinners - 1u) % Cpu::max_reads;
    unwatch(cpu);
    cpu.park_turns = 1;
    scheduler_.cancel_timer(cpu);
    // The ends of the spinners' turns are spread evenly over one turn.
    queues_.enqueue_retry(cpu, queue, cpu.reads[which],
                          std::max(cpu.clock, complete + cpu.turn_time * i / number));
  }
}

}  // namespace faultline::sim
