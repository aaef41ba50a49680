#include "harness/sim/engine/coherence.hpp"

#include <algorithm>
#include <utility>

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
      prefetch_pairs_(machine.prefetch_pairs),
      residency_share_(machine.residency),
      queued_share_(machine.queued_residency),
      cluster_copy_(machine.cluster_copy),
      home_copy_(machine.home_copy),
      owner_copy_(interconnect_.service(
          interconnect_.latency(Kind::load, State::modified, same_cluster), same_cluster)) {}

Time Coherence::lone_transfer(Cpu& cpu, Line& line, LineAccess access, Time asked) {
  const bool reads_copy = access.kind == Kind::load && line.state != State::invalid;
  Time sent = cpu.clock;
  if (line.state != State::invalid && !line.ever_shared) {
    // The owner used the line without taking turns, so its clock may be ahead. It used this line at
    // most the lookahead into the future; other lines may have moved its clock farther.
    sent = std::max(sent, std::min(cpus_[line.owner].clock, sent + Scheduler::lookahead));
    asked = sent;
    line.ever_shared = true;
  }
  if (reads_copy) {
    const Time released = sent + copy_interval(cpu.place.cluster, line);
    const Time complete = give_copy(cpu, line, access, asked, sent);
    line.busy_until = std::min(released, complete);
    return complete;
  }
  const Directory::Source source = directory_.source_for(cpu, line, access);
  const Time complete =
      std::max(sent, interconnect_.lone(cpu, access, source.state, source.distance, asked));
  accounting_.count_transfer(line, access, source.distance, source.reason);
  change_state(cpu, line, access, complete);
  return complete;
}

Time Coherence::queued_transfer(Cpu& cpu, Line& line, LineAccess access, Time asked, Time start) {
  const Directory::Source source = directory_.source_for(cpu, line, access);
  const Time complete =
      interconnect_.queued(cpu, access, source.state, source.distance, asked, start);
  accounting_.count_transfer(line, access, source.distance, source.reason);
  change_state(cpu, line, access, complete);
  return complete;
}

// The protocol: a load asks for a copy (GETS), a store or an RMW for the only copy (GETX), which
// invalidates all others (INV).
void Coherence::change_state(Cpu& cpu, Line& line, LineAccess access, Time complete) {
  if (access.kind == Kind::load) {
    directory_.get_shared(cpu, line, access.mask());
  } else {
    spinning_.wake_spinners(line, access.at, complete);
    directory_.get_exclusive(cpu, line, access.mask());
  }
  line.busy_until = complete;
  if (prefetch_pairs_) prefetch_adjacent(cpu, access.at, complete);
}

Time Coherence::give_copy(Cpu& cpu, Line& line, LineAccess access, Time asked, Time sent) {
  if (!Directory::has_copies(line)) return give_first_copy(cpu, line, access, asked, sent);
  DirectoryEntry& entry = directory_.entry(line);
  const Distance distance = directory_.nearest_copy(cpu, entry);
  const Time complete = interconnect_.copied(cpu, access, line.state, distance, asked, sent);
  take_copy(cpu, access);
  count_copy(line, access, distance);
  entry.read |= access.mask();
  entry.add(cpu.index, cpu.place);
  Residency::take_in(cpu);
  if (prefetch_pairs_) prefetch_adjacent(cpu, access.at, complete);
  return complete;
}

Time Coherence::give_first_copy(Cpu& cpu, Line& line, LineAccess access, Time asked, Time sent) {
  if (line.owner == cpu.index) return std::max(asked, sent);
  const Distance distance = directory_.source_for(cpu, line, access).distance;
  const Time complete = interconnect_.copied(cpu, access, line.state, distance, asked, sent);
  take_copy(cpu, access);
  count_copy(line, access, distance);
  directory_.get_shared(cpu, line, access.mask());
  if (prefetch_pairs_) prefetch_adjacent(cpu, access.at, complete);
  return complete;
}

Time Coherence::give_passing_copy(Cpu& cpu, const Line& line, LineAccess access, Time asked,
                                  Time sent) {
  take_copy(cpu, access);
  count_copy(line, access, same_cluster);
  Residency::take_in(cpu);
  return interconnect_.copied(cpu, access, State::shared, same_cluster, asked, sent);
}

// The adjacent-line prefetcher: the CPU also gets a copy of the other line of the 128-byte pair,
// unless another CPU is asking for that line.
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
  cpu.cannot_park = true;  // the copy may be newer than what this turn has read of the line
  pair.busy_until = complete;
  accounting_.count_prefetch();
}

void Coherence::prefetch_write(Cpu& cpu, const void* address) {
  begin_access(cpu);
  cpu.note_write();
  const u64 at = Arena::place_of(address);
  Line& line = directory_.line_at(at);
  if (Directory::is_private(cpu, line)) return;
  scheduler_.take_turn(cpu);
  if (cpu.is_prefetching || Directory::is_exclusive(cpu, line)) return;
  ++cpu.misses;
  line.ever_shared = true;  // so that the CPU's next access waits for the line
  const LineAccess access = {at, sizeof(u64), Kind::store};
  if (is_taken(line, cpu.clock)) return queues_.enqueue_prefetch(cpu, line, access);
  cpu.prefetched_at = at;
  cpu.prefetched = lone_transfer(cpu, line, access, cpu.clock);
}

// The CPU has the line in the directory, but the line is still on its way. When it arrives, the
// requests of other CPUs may come first.
void Coherence::stall_for_prefetch(Cpu& cpu, const Line& line, u64 at) {
  const Time since = cpu.clock;
  cpu.clock = cpu.prefetched;
  accounting_.charge_stall(cpu, line, at, since);
  scheduler_.take_turn(cpu);
}

bool Coherence::load_shared(Cpu& cpu, Line& line, u64 at, usize bytes) {
  if (!scheduler_.is_earliest(cpu) || awaits_prefetch(cpu, at)) [[unlikely]]
    return load_after_wait(cpu, line, at, bytes);
  return load_in_turn(cpu, line, at, bytes);
}

bool Coherence::load_after_wait(Cpu& cpu, Line& line, u64 at, usize bytes) {
  scheduler_.take_turn(cpu);
  await_prefetch(cpu, line, at);
  return load_in_turn(cpu, line, at, bytes);
}

inline bool Coherence::load_in_turn(Cpu& cpu, Line& line, u64 at, usize bytes) {
  if (cpu.retry_at / Arena::line_bytes == at / Arena::line_bytes) {
    // A spinner queued for this very load and got the line, which may have moved to another CPU
    // since. If this turn has made another access before, the copy's value is too old: loads happen
    // in program order.
    const bool is_first = cpu.retry_at == at && cpu.read_count == 1 && !cpu.cannot_park;
    cpu.retry_at = 0;
    ++cpu.misses;
    cpu.clock += hit_[static_cast<usize>(Kind::load)];
    return is_first && cpu.has_copy;
  }
  if (!directory_.has_copy(cpu, line)) return load_missing(cpu, line, at, bytes);
  if (line.owner == cpu.index) return load_owned(cpu, line, at, bytes);
  directory_.entry(line).read |= byte_mask(at, bytes);
  cpu.clock += hit_[static_cast<usize>(Kind::load)];
  return false;
}

bool Coherence::load_missing(Cpu& cpu, Line& line, u64 at, usize bytes) {
  obtain(cpu, line, {at, static_cast<u32>(bytes), Kind::load});
  return cpu.has_copy;
}

bool Coherence::load_owned(Cpu& cpu, Line& line, u64 at, usize bytes) {
  refill_if_dropped(cpu, line, at);
  line.used |= byte_mask(at, bytes);
  cpu.clock += hit_[static_cast<usize>(Kind::load)];
  return false;
}

void Coherence::before_rmw(Cpu& cpu, const void* address, usize bytes) {
  begin_access(cpu);
  cpu.note_write();
  const u64 at = Arena::place_of(address);
  Line& line = directory_.line_at(at);
  stores_.drain(cpu);
  if (!Directory::is_private(cpu, line)) {
    scheduler_.take_turn(cpu);
    await_prefetch(cpu, line, at);
    if (!Directory::is_exclusive(cpu, line))
      return obtain(cpu, line, {at, static_cast<u32>(bytes), Kind::rmw});
  }
  write_hit(cpu, line, at, byte_mask(at, bytes));
  cpu.clock += hit_[static_cast<usize>(Kind::rmw)];
}

bool Coherence::store_shared(Cpu& cpu, Line& line, u64 at, usize bytes, u64 value) {
  stores_.make_room(cpu);
  scheduler_.take_turn(cpu);
  cpu.clock += hit_[static_cast<usize>(Kind::store)];
  if (cpu.stores.waiting == 0 && Directory::is_exclusive(cpu, line)) {
    write_hit(cpu, line, at, byte_mask(at, bytes));
    return true;
  }
  ++cpu.misses;
  const LineAccess access = {at, static_cast<u32>(bytes), Kind::store};
  // TSO: the store also waits behind the CPU's older stores that have not got their lines.
  if (cpu.stores.waiting != 0 || is_taken(line, cpu.clock)) {
    queues_.enqueue_store(cpu, access, value);
    return false;
  }
  // The CPU goes on at once; other CPUs wait until the transfer is complete.
  StoreBuffers::post_granted(cpu, lone_transfer(cpu, line, access, cpu.clock));
  return true;
}

// Blocks until the CPU has the line and has performed the access.
void Coherence::obtain(Cpu& cpu, Line& line, LineAccess access) {
  const Time asked = cpu.clock;
  ++cpu.misses;
  cpu.has_copy = false;
  if (residency_share_ != 0 && !is_taken(line, asked)) leave_to_owner(cpu, line, access);
  if (is_taken(line, cpu.clock)) {
    queues_.enqueue(cpu, line, access, asked);
    cpu.awaited = access.at;
    scheduler_.block(cpu, Status::queued);
  } else {
    cpu.clock = lone_transfer(cpu, line, access, asked);
  }
  accounting_.charge_stall(cpu, line, access.at, asked);
  // After the line has arrived, the access takes as long as a load's hit. The line may move on
  // meanwhile.
  cpu.clock += hit_[static_cast<usize>(Kind::load)];
}

// The CPU got its line while others queued for it, and it has written the value that they get.
void Coherence::pass_on(Cpu& cpu) {
  queues_.release(std::exchange(cpu.releases_queue, u16{0}), scheduler_.now());
  scheduler_.fetch_next();
}

// The owner goes on with the line while the request travels.
void Coherence::leave_to_owner(Cpu& cpu, const Line& line, LineAccess access) {
  const bool owned = line.state == State::modified || line.state == State::exclusive;
  if (!owned || !line.ever_shared) return;
  const Directory::Source source = directory_.source_for(cpu, line, access);
  cpu.clock +=
      interconnect_.latency(access.kind, source.state, source.distance) * residency_share_ >> 10;
  scheduler_.take_turn(cpu);
}

Time Coherence::kept_by_owner(const Cpu& cpu, const Line& line, LineAccess access) const {
  if (queued_share_ == 0 || access.kind == Kind::store || line.owner == cpu.index) return 0;
  if (line.state != State::modified && line.state != State::exclusive) return 0;
  const Directory::Source source = directory_.source_for(cpu, line, access);
  // The threads of one core share its cache, so no snoop travels between them.
  if (source.distance < same_cluster) return 0;
  const Time latency = interconnect_.latency(access.kind, source.state, source.distance);
  const Time kept = latency * queued_share_ >> 10;
  return std::min(kept, interconnect_.service(latency, source.distance));
}

void Coherence::refill(Cpu& cpu, Line& line, u64 at) {
  const Time since = cpu.clock;
  cpu.clock += interconnect_.refill(cpu);
  Residency::take_in_as_owner(cpu, line);
  ++cpu.misses;
  accounting_.count_transfer(line, {at, 1, Kind::load}, same_cluster, Reason::capacity);
  accounting_.charge_stall(cpu, line, at, since);
}

void Coherence::move_to_handler(Cpu& cpu, const void* address) {
  const LineAccess access = {Arena::place_of(address), sizeof(u64), Kind::rmw};
  Line& line = directory_.line_at(access.at);
  if (queues_.is_queued(line) || line.state == State::invalid) return;
  line.ever_shared = true;
  const Directory::Source source = directory_.source_for(cpu, line, access);
  accounting_.count_transfer(line, access, source.distance, source.reason);
  directory_.get_exclusive(cpu, line, access.mask());
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
