#include "harness/sim/engine/directory.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <stdexcept>

namespace faultline::sim {

namespace {
bool has_bit(const u64* words, u32 bit) {
  return (words[bit / 64] >> (bit % 64)) & 1;
}
}  // namespace

Directory::Directory(const Machine& machine, const Arena& arena, std::span<Cpu> cpus)
    : machine_(machine),
      arena_(arena),
      cpus_(cpus),
      lines_(Arena::size / Arena::line_bytes),
      entries_(max_entries),
      sharer_words_(static_cast<u32>(cpus.size() + 63) / 64),
      cluster_words_(machine.clusters / 64 + 1) {}

void Directory::get_shared(Cpu& cpu, Line& line, u64 mask) {
  if (line.state == State::invalid) return own(cpu, line, State::exclusive, mask);
  Residency::take_in(cpu);
  DirectoryEntry& sharers = make_entry(line);
  sharers.add(line.owner, cpus_[line.owner].place);
  const bool dirty = line.state == State::modified || line.state == State::owned;
  if (dirty && machine_.protocol == Protocol::moesi) {
    line.state = State::owned;
  } else {
    line.state = State::shared;
    line.owner = no_cpu;
  }
  sharers.add(cpu.index, cpu.place);
  sharers.read |= mask;
}

void Directory::get_exclusive(Cpu& cpu, Line& line, u64 mask) {
  invalidate(line);
  own(cpu, line, State::modified, mask);
}

void Directory::invalidate(Line& line) {
  line.state = State::invalid;
  line.owner = no_cpu;
  if (line.entry == 0) return;
  DirectoryEntry& sharers = entry(line);
  if (sharers.nodes != 0) {  // without a sharer all of this is zero already
    for (u32 word = 0; word < sharer_words_; ++word) sharers.sharers[word] = 0;
    for (u32 word = 0; word < cluster_words_; ++word) sharers.clusters[word] = 0;
    sharers.nodes = 0;
    sharers.read = 0;
  }
  drop_entry_if_unused(line);
}

void Directory::own(Cpu& cpu, Line& line, State state, u64 mask) {
  line.state = state;
  line.owner = static_cast<u16>(cpu.index);
  line.used = mask;
  Residency::take_in_as_owner(cpu, line);
}

Directory::Source Directory::source_for(const Cpu& cpu, const Line& line, LineAccess access) const {
  if (line.state == State::invalid)
    return {line.state, machine_.to_node(cpu.place, arena_.home(access.at)), Reason::cold};
  const bool writes = access.kind != Kind::load;
  const u64 read = writes && line.entry != 0 ? entry(line).read : 0;
  const Reason reason =
      ((line.used | read) & access.mask()) != 0 ? Reason::true_sharing : Reason::false_sharing;
  if (line.state == State::shared) return {line.state, farthest_copy(cpu, line), reason};
  Distance distance = machine_.between(cpu.place, cpus_[line.owner].place);
  if (writes && line.state == State::owned) distance = std::max(distance, farthest_copy(cpu, line));
  return {line.state, distance, reason};
}

Distance Directory::nearest_copy(const Cpu& cpu, const DirectoryEntry& entry) const {
  if (has_bit(entry.clusters, cpu.place.cluster)) return same_cluster;
  if ((entry.nodes >> cpu.place.node) & 1) return same_node;
  Distance nearest = distances - 1;
  for (u64 left = entry.nodes; left != 0; left &= left - 1)
    nearest =
        std::min(nearest, machine_.to_node(cpu.place, static_cast<u32>(std::countr_zero(left))));
  return nearest;
}

// The distance is same_cluster where no other cluster has a copy: then the requester waits for the
// directory alone.
Distance Directory::farthest_copy(const Cpu& cpu, const Line& line) const {
  const DirectoryEntry& sharers = entry(line);
  Distance farthest = same_cluster;
  for (u64 left = sharers.nodes & ~(u64{1} << cpu.place.node); left != 0; left &= left - 1)
    farthest =
        std::max(farthest, machine_.to_node(cpu.place, static_cast<u32>(std::countr_zero(left))));
  if (farthest > same_cluster) return farthest;
  for (u32 word = 0; word < cluster_words_; ++word) {
    u64 others = sharers.clusters[word];
    if (cpu.place.cluster / 64 == word) others &= ~(u64{1} << (cpu.place.cluster % 64));
    if (others != 0) return same_node;
  }
  return same_cluster;
}

u32 Directory::free_entry() {
  if (first_free_ == 0) return next_number(entries_made_, max_entries, "lines that CPUs share");
  const u32 number = first_free_;
  first_free_ = entries_[number].next_free;
  return number;
}

void Directory::drop_entry_if_unused(Line& line) {
  DirectoryEntry& unused = entry(line);
  if (unused.nodes != 0 || unused.spinners != 0 || unused.queue != 0) return;
  unused.next_free = first_free_;
  first_free_ = line.entry;
  line.entry = 0;
}

u32 next_number(u32& made, u32 capacity, const char* things) {
  if (made + 1 >= capacity)
    throw std::length_error(
        fmt::format("simulator: more than {} {} at once", capacity - 1, things));
  return ++made;
}

}  // namespace faultline::sim
