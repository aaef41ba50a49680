#include "harness/sim/engine/coherence.hpp"

#include <algorithm>

#include "harness/sim/engine/spin_parking.hpp"

namespace faultline::sim {

Coherence::Coherence(const Machine& machine, const Arena& arena, std::span<Cpu> cpus,
                     Directory& directory, LineQueues& queues, StoreBuffers& stores,
                     SpinParking& spinning, Scheduler& scheduler, Accounting& accounting)
    : cpus_(cpus),
      directory_(directory),
      queues_(queues),
      stores_(stores),
      spinning_(spinning),
      scheduler_(scheduler),
      accounting_(accounting),
      interconnect_(machine, arena),
      residency_(machine),
      hit_{machine.hit[0], machine.hit[1], machine.hit[2]},
      prefetch_pairs_(machine.prefetch_pairs) {}

// The protocol: a load asks for a copy (GETS), a store or an RMW for the only copy (GETX), which
// invalidates all others (INV).
Time Coherence::transfer(Cpu& cpu, Line& line, LineAccess access, Time now, u32 requesters) {
  if (access.kind == Kind::load && line.state == State::shared)
    return read_clean(cpu, line, directory_.entry(line), access, now);

  const Directory::Source source = directory_.source_for(cpu, line, access);
  if (line.state != State::invalid && !line.ever_shared) {
    // Its owner used the line without taking turns, so it may be ahead: by no more than the
    // lookahead with this line, by more with others.
    now = std::max(now, std::min(cpus_[line.owner].clock, now + Scheduler::lookahead));
    line.ever_shared = true;
  }
  const Interconnect::Timing timing =
      interconnect_.transfer(cpu, access, source.state, source.distance, now, requesters);
  accounting_.count_transfer(line, access, source.distance, source.reason);

  if (access.kind == Kind::load) {
    directory_.get_shared(cpu, line, access.mask());
  } else {
    spinning_.wake_spinners(line, access.at, timing.complete);
    directory_.get_exclusive(cpu, line, access.mask());
  }
  line.busy_until = timing.released;
  if (prefetch_pairs_) prefetch_adjacent(cpu, access.at, timing.complete);
  return timing.complete;
}

// The adjacent-line prefetcher: the other line of the 128-byte pair comes along for reading, unless
// another CPU is asking for it.
void Coherence::prefetch_adjacent(Cpu& cpu, u64 at, Time complete) {
  const u64 other = at ^ Arena::line_bytes;
  Line& pair = directory_.line_at(other);
  if (pair.busy_until > cpu.clock || queues_.is_queued(pair) || directory_.has_copy(cpu, pair))
    return;
  if (pair.state != State::invalid) pair.ever_shared = true;
  if (pair.state == State::shared)
    directory_.entry(pair).add(cpu.index, cpu.place);
  else
    directory_.get_shared(cpu, pair, 0);
  cpu.cannot_park = true;  // it may be newer than what this turn has read of it
  pair.busy_until = complete;
  accounting_.count_prefetch();
}

void Coherence::load_shared(Cpu& cpu, Line& line, u64 at, usize bytes) {
  scheduler_.take_turn(cpu);
  const bool store_is_first = queues_.awaits_store(line);
  if (cpu.retry_at / Arena::line_bytes == at / Arena::line_bytes && !store_is_first) {
    // A spinner queued for this very load and got the line, which may have moved on since.
    cpu.retry_at = 0;
    ++cpu.misses;
    cpu.clock += hit_[static_cast<usize>(Kind::load)];
    return;
  }
  if (store_is_first || !directory_.has_copy(cpu, line))
    return obtain(cpu, line, {at, static_cast<u32>(bytes), Kind::load});
  if (line.owner == cpu.index) {
    refill_if_dropped(cpu, line, at);
    line.used |= byte_mask(at, bytes);
  } else {
    directory_.entry(line).read |= byte_mask(at, bytes);
  }
  cpu.clock += hit_[static_cast<usize>(Kind::load)];
}

void Coherence::before_rmw(Cpu& cpu, const void* address, usize bytes) {
  begin_access(cpu);
  cpu.note_write();
  const u64 at = Arena::place_of(address);
  Line& line = directory_.line_at(at);
  stores_.drain(cpu);
  if (!Directory::is_private(cpu, line)) {
    scheduler_.take_turn(cpu);
    if (!Directory::is_exclusive(cpu, line) || queues_.awaits_store(line))
      return obtain(cpu, line, {at, static_cast<u32>(bytes), Kind::rmw});
  }
  write_hit(cpu, line, at, byte_mask(at, bytes));
  cpu.clock += hit_[static_cast<usize>(Kind::rmw)];
}

bool Coherence::store_shared(Cpu& cpu, Line& line, u64 at, usize bytes, u64 value) {
  stores_.make_room(cpu);
  scheduler_.take_turn(cpu);
  cpu.clock += hit_[static_cast<usize>(Kind::store)];
  // A hit, unless another CPU's posted store comes first.
  if (cpu.stores.waiting == 0 && Directory::is_exclusive(cpu, line) &&
      !queues_.awaits_store(line)) {
    write_hit(cpu, line, at, byte_mask(at, bytes));
    return true;
  }
  ++cpu.misses;
  const LineAccess access = {at, static_cast<u32>(bytes), Kind::store};
  // TSO: it also waits behind the CPU's older stores that have not got their lines.
  if (cpu.stores.waiting != 0 || line.busy_until > cpu.clock || queues_.is_queued(line)) {
    queues_.enqueue_store(cpu, line, access, value);
    return false;
  }
  // The CPU goes on at once; other CPUs wait until the transfer is complete.
  StoreBuffers::post_granted(cpu, transfer(cpu, line, access, cpu.clock, 1));
  return true;
}

// Blocks until the CPU has the line, and the access is done.
void Coherence::obtain(Cpu& cpu, Line& line, LineAccess access) {
  const Time since = cpu.clock;
  ++cpu.misses;
  if (line.busy_until > cpu.clock || queues_.is_queued(line)) {
    queues_.enqueue(cpu, line, access);
    cpu.awaited = access.at;
    scheduler_.block(cpu, Status::queued);
  } else {
    cpu.clock = transfer(cpu, line, access, cpu.clock, 1);
  }
  accounting_.charge_stall(cpu, line, access.at, since);
  // Once the line is here the access takes as long as a load's hit; meanwhile it may move on.
  cpu.clock += hit_[static_cast<usize>(Kind::load)];
}

void Coherence::refill(Cpu& cpu, Line& line, u64 at) {
  const Time since = cpu.clock;
  cpu.clock += interconnect_.refill(cpu);
  Residency::take_in_as_owner(cpu, line);
  ++cpu.misses;
  accounting_.count_transfer(line, {at, 1, Kind::load}, same_cluster, Reason::capacity);
  accounting_.charge_stall(cpu, line, at, since);
}

void Coherence::outside_store(const void* address) {
  const u64 at = Arena::place_of(address);
  Line& line = directory_.line_at(at);
  line.ever_shared = true;
  if (line.state == State::invalid && line.entry == 0) return;
  spinning_.wake_spinners(line, at, std::max(scheduler_.now(), line.busy_until));
  directory_.invalidate(line);
}

}  // namespace faultline::sim
