// The coherence model: who has a line, what it costs to bring it elsewhere, and why it had to move.
//
// A line moves from one CPU to the next, one transfer after another: while one is under way
// (`until`), others queue (requests.cpp). A transfer's time is the machine's latency for what is
// done to the line, its state and the distance, times what contention makes of it, plus the wait
// for the home node's directory. Reads of a clean copy overlap: each keeps the line for the
// directory's response alone.
#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "harness/sim/engine/simulation.hpp"

namespace faultline::sim {

void Simulation::refuse_address(const void*) {
  throw std::logic_error(
      "simulator: an access to memory outside of the arena, expected memory from P::allocate, a "
      "thread's stack, Simulation::make, or made within an ArenaScope");
}

void Simulation::refill(Cpu& cpu, Line& line, u64 at) {
  const Time since = cpu.clock;
  // Its own cluster's cache, or the home node's, has kept it: a clean copy nearby.
  const Time latency = machine_.latency[0][static_cast<usize>(State::shared)][same_cluster];
  cpu.clock += jittered(cpu, latency);
  line.filled = ++cpu.fills;
  ++cpu.misses;
  count_transfer(line, at, Kind::load, same_cluster, Reason::capacity);
  stall(cpu, label_of(line, at), since);
}

void Simulation::load_met(Cpu& cpu, Line& line, u64 at, usize bytes) {
  take_turn(cpu);
  if (cpu.looked_again / Arena::line_bytes == at / Arena::line_bytes && !awaits_store(line)) {
    // The line has been fetched for this very load, and may be gone again.
    cpu.looked_again = 0;
    ++cpu.misses;
    cpu.clock += machine_.hit[0];
    return;
  }
  if (!holds(cpu, line) || awaits_store(line)) return obtain(cpu, line, at, bytes, Kind::load);
  if (line.owner == cpu.index) {
    refresh(cpu, line, at);
    line.used |= bytes_of(at, bytes);
  } else {
    sides_[line.side].read |= bytes_of(at, bytes);
  }
  cpu.clock += machine_.hit[0];
}

void Simulation::before_exclusive(Cpu& cpu, const void* address, usize bytes, Kind kind) {
  begin_access(cpu);
  cpu.changed = true;
  cpu.timed = false;
  const u64 at = place_of(address);
  Line& line = lines_[at / 64];
  if (cpu.posted != 0 || cpu.drained > cpu.clock) drain(cpu);
  if (!is_private(cpu, line)) {
    take_turn(cpu);
    if (!owns_alone(cpu, line) || awaits_store(line)) return obtain(cpu, line, at, bytes, kind);
  }
  refresh(cpu, line, at);
  line.state = State::modified;
  line.used |= bytes_of(at, bytes);
  cpu.clock += machine_.hit[static_cast<usize>(kind)];
}

bool Simulation::store_met(Cpu& cpu, Line& line, u64 at, usize bytes, u64 value) {
  if (oldest_slot(cpu).complete > cpu.clock) await_slot(cpu);
  take_turn(cpu);
  cpu.clock += machine_.hit[1];
  // Not before a store that another CPU has posted for it: that one has its place already.
  if (cpu.posted == 0 && owns_alone(cpu, line) && !awaits_store(line)) {
    refresh(cpu, line, at);
    line.state = State::modified;
    line.used |= bytes_of(at, bytes);
    return true;
  }
  ++cpu.misses;
  // Behind older stores that have not got their lines it waits as well.
  if (cpu.posted != 0 || line.until > cpu.clock || is_queued(line)) {
    enqueue(cpu, line, at, bytes, Kind::store, &value);
    return false;
  }
  // Granted at once, but still posted: only the others have to wait until it is complete.
  const Time complete = grant(cpu, line, at, bytes, Kind::store, cpu.clock, 1);
  cpu.ring[cpu.ring_at].complete = complete;
  cpu.ring_at = cpu.slot(~u32{0});
  cpu.drained = std::max(cpu.drained, complete);
  return true;
}

void Simulation::obtain(Cpu& cpu, Line& line, u64 at, usize bytes, Kind kind) {
  const Time since = cpu.clock;
  ++cpu.misses;
  if (line.until > cpu.clock || is_queued(line)) {
    enqueue(cpu, line, at, bytes, kind, nullptr);
    cpu.awaited = at;
    block(cpu, Status::queued);
  } else {
    cpu.clock = grant(cpu, line, at, bytes, kind, cpu.clock, 1);
  }
  stall(cpu, label_of(line, at), since);
  cpu.clock += machine_.hit[0];  // the access itself; meanwhile the line may move on
}

// Gives the line to the CPU: state and counts change now, `now` being when the transfer starts; the
// answer is when it is complete.
Time Simulation::grant(Cpu& cpu, Line& line, u64 at, usize bytes, Kind kind, Time now,
                       u32 requesters) {
  const u64 mask = bytes_of(at, bytes);
  if (kind == Kind::load && line.state == State::shared) {
    Side& side = sides_[line.side];
    const Time complete = read_clean(cpu, line, at, bytes, nearest_copy(cpu, side), now);
    add_sharer(side, cpu);
    return complete;
  }
  const Source source = source_of(cpu, line, at, mask, kind);
  Time latency =
      machine_.latency[static_cast<usize>(kind)][static_cast<usize>(source.state)][source.distance];
  if (requesters > 1)
    latency =
        latency *
            machine_.contention[source.distance][std::min(requesters, Machine::max_requesters)] >>
        10;
  // The only owner so far may have run ahead, since its own accesses had no need of turns; if by
  // more than the lead, then with other things than this line.
  if (!line.met && line.state != State::invalid)
    now = std::max(now, std::min(cpus_[line.owner].clock, now + lead));
  const Time complete = begin_transfer(at, source.distance, now) + jittered(cpu, latency);
  count_transfer(line, at, kind, source.distance, source.reason);
  if (line.state != State::invalid) line.met = true;
  if (kind == Kind::load)
    take_copy(cpu, line, mask);
  else
    take_over(cpu, line, at, mask, complete);
  line.until = complete;
  if (machine_.prefetch_pairs) bring_pair(cpu, at, complete);
  return complete;
}

// The rest of a read of a line that some have clean copies of: not the CPU's entry among them.
Time Simulation::read_clean(Cpu& cpu, Line& line, u64 at, usize bytes, Distance distance,
                            Time now) {
  const u64 mask = bytes_of(at, bytes);
  const Time start = begin_transfer(at, distance, now);
  const Time complete =
      start + jittered(cpu, machine_.latency[0][static_cast<usize>(State::shared)][distance]);
  count_transfer(line, at, Kind::load, distance,
                 (line.used & mask) != 0 ? Reason::true_sharing : Reason::false_sharing);
  ++cpu.fills;
  sides_[line.side].read |= mask;
  line.until = start + machine_.directory_response;
  if (machine_.prefetch_pairs) bring_pair(cpu, at, complete);
  return complete;
}

// When a transfer that could begin now does: a home node has finite throughput.
Time Simulation::begin_transfer(u64 at, Distance distance, Time now) {
  if (distance < same_node) return now;
  Time& until = home_until_[arena_.home(at)];
  const Time start = std::max(now, until);
  until = start + machine_.directory_transaction;
  return start;
}

void Simulation::count_transfer(const Line& line, u64 at, Kind kind, Distance distance,
                                Reason reason) {
  ++transfer_count_;
  ++transfers_[label_of(line, at)]
        .count[static_cast<usize>(kind)][distance][static_cast<usize>(reason)];
}

Simulation::Source Simulation::source_of(const Cpu& cpu, const Line& line, u64 at, u64 mask,
                                         Kind kind) const {
  if (line.state == State::invalid)
    return {line.state, machine_.to_node(cpu.place, arena_.home(at)), Reason::cold};
  const u64 read = kind != Kind::load && line.side != 0 ? sides_[line.side].read : 0;
  const Reason reason =
      ((line.used | read) & mask) != 0 ? Reason::true_sharing : Reason::false_sharing;
  if (line.state == State::shared) return {line.state, farthest_copy(cpu, line), reason};
  Distance distance = machine_.between(cpu.place, cpus_[line.owner].place);
  if (kind != Kind::load && line.state == State::owned)
    distance = std::max(distance, farthest_copy(cpu, line));
  return {line.state, distance, reason};
}

namespace {
bool has_bit(const u64* words, u32 bit) {
  return (words[bit / 64] >> (bit % 64)) & 1;
}
}  // namespace

Distance Simulation::nearest_copy(const Cpu& cpu, const Side& side) const {
  if (has_bit(side.clusters, cpu.place.cluster)) return same_cluster;
  if ((side.nodes >> cpu.place.node) & 1) return same_node;
  Distance nearest = distances - 1;
  for (u64 left = side.nodes; left != 0; left &= left - 1)
    nearest =
        std::min(nearest, machine_.to_node(cpu.place, static_cast<u32>(std::countr_zero(left))));
  return nearest;
}

// All copies must be told: the farthest decides. With no other copy it is the directory's word.
Distance Simulation::farthest_copy(const Cpu& cpu, const Line& line) const {
  const Side& side = sides_[line.side];
  Distance farthest = same_cluster;
  for (u64 left = side.nodes & ~(u64{1} << cpu.place.node); left != 0; left &= left - 1)
    farthest =
        std::max(farthest, machine_.to_node(cpu.place, static_cast<u32>(std::countr_zero(left))));
  if (farthest > same_cluster) return farthest;
  for (u32 word = 0; word < cluster_words_; ++word) {
    u64 others = side.clusters[word];
    if (cpu.place.cluster / 64 == word) others &= ~(u64{1} << (cpu.place.cluster % 64));
    if (others != 0) return same_node;
  }
  return same_cluster;
}

// A copy of a line that is not clean yet, or that nobody has.
void Simulation::take_copy(Cpu& cpu, Line& line, u64 mask) {
  ++cpu.fills;
  if (line.state == State::invalid) {
    line.state = State::exclusive;
    line.owner = static_cast<u16>(cpu.index);
    line.used = mask;
    line.filled = cpu.fills;
    return;
  }
  Side& side = side_of(line);
  add_sharer(side, cpus_[line.owner]);
  const bool dirty = line.state == State::modified || line.state == State::owned;
  if (dirty && machine_.protocol == Protocol::moesi) {
    line.state = State::owned;
  } else {
    line.state = State::shared;
    line.owner = no_cpu;
  }
  add_sharer(side, cpu);
  side.read |= mask;
}

void Simulation::take_over(Cpu& cpu, Line& line, u64 at, u64 mask, Time complete) {
  wake_watchers(line, at, complete);
  if (line.side != 0) {
    Side& side = sides_[line.side];
    for (u32 word = 0; word < sharer_words_; ++word) side.sharers[word] = 0;
    for (u32 word = 0; word < cluster_words_; ++word) side.clusters[word] = 0;
    side.nodes = 0;
    side.read = 0;
    drop_side(line);
  }
  line.state = State::modified;
  line.owner = static_cast<u16>(cpu.index);
  line.used = mask;
  line.filled = ++cpu.fills;
}

// The other line of a pair comes along for reading, unless somebody is just asking for it.
void Simulation::bring_pair(Cpu& cpu, u64 at, Time complete) {
  Line& pair = lines_[at / 64 ^ 1];
  if (pair.until > cpu.clock || is_queued(pair) || holds(cpu, pair)) return;
  if (pair.state != State::invalid) pair.met = true;
  if (pair.state == State::shared)
    add_sharer(sides_[pair.side], cpu);
  else
    take_copy(cpu, pair, 0);
  cpu.changed = true;  // may be newer than what this turn has read of it: no parking
  pair.until = complete;
  ++prefetches_;
}

void Simulation::outside_store(const void* address) {
  const u64 at = place_of(address);
  Line& line = lines_[at / 64];
  line.met = true;
  if (line.state == State::invalid && line.side == 0) return;
  Cpu nobody;
  nobody.index = no_cpu;
  take_over(nobody, line, at, ~u64{0}, std::max(now_, line.until));
  line.state = State::invalid;
  line.owner = no_cpu;
}

u32 Simulation::fresh_number(u32& made, u32 capacity, const char* things) {
  if (made + 1 >= capacity)
    throw std::length_error(
        fmt::format("simulator: more than {} {} at once", capacity - 1, things));
  return ++made;
}

Side& Simulation::side_of(Line& line) {
  if (line.side != 0) return sides_[line.side];
  if (free_side_ != 0) {
    line.side = free_side_;
    free_side_ = sides_[line.side].next_free;
  } else {
    line.side = fresh_number(sides_made_, max_sides, "lines that several CPUs use");
  }
  return sides_[line.side];
}

void Simulation::drop_side(Line& line) {
  Side& side = sides_[line.side];
  if (side.nodes != 0 || side.watchers != 0 || side.queue != 0) return;
  side.next_free = free_side_;
  free_side_ = line.side;
  line.side = 0;
}

u64 Simulation::draw() {
  random_ ^= random_ << 13;  // xorshift64, Marsaglia 2003
  random_ ^= random_ >> 7;
  return random_ ^= random_ << 17;
}

Time Simulation::jittered(Cpu& cpu, Time latency) {
  if (machine_.jitter == 0) return latency;
  u64& x = cpu.jitter;  // xorshift64, Marsaglia 2003
  x ^= x << 13;
  x ^= x >> 7;
  x ^= x << 17;
  const i64 deviation = static_cast<i64>(x >> 53) - 1024;  // from -1024 to 1023
  const i64 part = static_cast<i64>(latency) * machine_.jitter * deviation / (1024 * 1024);
  return static_cast<Time>(static_cast<i64>(latency) + part);
}

u32 Simulation::label_of(const Line& line, u64 at) const {
  const u32 label = labels_.of(line, at);
  return label == Labels::other && arena_.is_stack(at) ? Labels::stack : label;
}

void Simulation::stall(Cpu& cpu, u32 label, Time since) {
  stall_of(label, cpu.index) += cpu.clock - since;
  cpu.stalled += cpu.clock - since;
}

}  // namespace faultline::sim
