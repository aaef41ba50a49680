// The directory: which CPUs have copies of a line, which state the line is in, and how the
// coherence protocol answers a request. It knows neither time nor queues.
#pragma once

#include <span>

#include "harness/sim/engine/arena.hpp"
#include "harness/sim/engine/counts.hpp"
#include "harness/sim/engine/residency.hpp"

namespace faultline::sim {

class Directory {
 public:
  // The supplier of a line for a requester, and why the requester lacks the line.
  struct Source {
    State state;
    Distance distance;
    Reason reason;
  };

  Directory(const Machine& machine, const Arena& arena, std::span<Cpu> cpus);

  LazyArray<Line>& lines() { return lines_; }
  Line& line_at(u64 at) { return lines_[at / Arena::line_bytes]; }
  const Line& line_at(u64 at) const { return lines_[at / Arena::line_bytes]; }

  // True if only this CPU has ever touched the line, and its cache has taken the line.
  static bool is_private(const Cpu& cpu, const Line& line) {
    return line.owner == cpu.index && !line.ever_shared && line.state != State::invalid;
  }
  bool has_copy(const Cpu& cpu, const Line& line) const {
    return line.state != State::invalid &&
           (line.owner == cpu.index || (line.entry != 0 && entries_[line.entry].has(cpu.index)));
  }
  // Whether the CPU may write without a request.
  static bool is_exclusive(const Cpu& cpu, const Line& line) {
    return line.owner == cpu.index &&
           (line.state == State::modified || line.state == State::exclusive);
  }
  // Whether several caches may have the line.
  static bool has_copies(const Line& line) {
    return line.state == State::shared || line.state == State::owned;
  }
  // Whether a cache of the cluster has the line. Some cache must have the line.
  bool cluster_has_copy(u32 cluster, const Line& line) const {
    if (!has_copies(line)) return cpus_[line.owner].place.cluster == cluster;
    return (entry(line).clusters[cluster / 64] >> (cluster % 64)) & 1;
  }
  u16 queue_of(const Line& line) const { return line.entry == 0 ? u16{0} : entry(line).queue; }

  // The line must have an entry.
  DirectoryEntry& entry(const Line& line) { return entries_[line.entry]; }
  const DirectoryEntry& entry(const Line& line) const { return entries_[line.entry]; }
  DirectoryEntry& entry(u32 number) { return entries_[number]; }
  DirectoryEntry& make_entry(Line& line) {
    if (line.entry == 0) line.entry = free_entry();
    return entries_[line.entry];
  }
  void drop_entry_if_unused(Line& line);

  Source source_for(const Cpu& cpu, const Line& line, LineAccess access) const;
  // The distances of copies of a clean line. The nearest copy answers a reader; the farthest is
  // invalidated last.
  Distance nearest_copy(const Cpu& cpu, const DirectoryEntry& entry) const;
  Distance farthest_copy(const Cpu& cpu, const Line& line) const;

  // GETS of a line that is not clean: `cpu` gets a copy.
  void get_shared(Cpu& cpu, Line& line, u64 mask);
  // GETX: `cpu` gets the only copy.
  void get_exclusive(Cpu& cpu, Line& line, u64 mask);
  // INV: no CPU has a copy any more.
  void invalidate(Line& line);

 private:
  static constexpr u32 max_entries = 1U << 24;

  u32 free_entry();
  void own(Cpu& cpu, Line& line, State state, u64 mask);

  const Machine& machine_;
  const Arena& arena_;
  const std::span<Cpu> cpus_;
  LazyArray<Line> lines_;
  LazyArray<DirectoryEntry> entries_;
  u32 entries_made_ = 0, first_free_ = 0;
  const u32 sharer_words_;  // the words of DirectoryEntry::sharers that are in use
  const u32 cluster_words_;
};

// The next number for an object of which there are fewer than `capacity`. Numbers begin at 1.
// Throws std::length_error when `capacity` is reached.
u32 next_number(u32& made, u32 capacity, const char* things);

}  // namespace faultline::sim
