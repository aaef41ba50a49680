// A line of simulated memory, its directory entry, and an access to it.
#pragma once

#include "harness/sim/machine/machine.hpp"

namespace faultline::sim {

inline constexpr u16 no_cpu = 0xffff;

// One bit for each byte of the line that an access of `bytes` bytes at arena offset `at` touches.
inline u64 byte_mask(u64 at, usize bytes) {
  return ((u64{1} << bytes) - 1) << (at % 64);
}

// An access: its offset in the arena, its bytes, its kind. It lies within one line.
struct LineAccess {
  u64 at;
  u32 bytes;
  Kind kind;
  u64 mask() const { return byte_mask(at, bytes); }
};

// The state of one line. There is one Line for each 64 bytes of the arena, so it is kept small.
struct Line {
  Time busy_until;  // until then a transfer is under way, and the line cannot move on
  u64 used;         // the bytes that the last owner has used, one bit for each
  u32 entry;        // the number of its DirectoryEntry; 0: none
  u32 filled;       // Residency: the owner's count of fills when it took the line
  u32 label;        // Labels
  u16 owner;        // in states exclusive, owned and modified
  State state;
  // A second CPU has touched the line. Until then no access can matter to another CPU.
  bool ever_shared;
};
static_assert(sizeof(Line) == 32);

// The directory entry of a shared line. The bits of `sharers` are numbers of threads.
struct DirectoryEntry {
  u64 sharers[max_cpus / 64];   // the CPUs that have a copy, the owner included
  u64 clusters[max_cpus / 64];  // the clusters in which there may be copies
  u64 nodes;                    // the nodes in which there may be copies
  u64 read;                     // the bytes that sharers have read since the last write
  u32 next_free;
  u16 spinners;  // SpinParking: the first place in the ring of CPUs that spin on the line
  u16 spinner_count;
  u16 queue;  // LineQueues: the number of the line's queue; 0: none

  bool has(u32 cpu) const { return (sharers[cpu / 64] >> (cpu % 64)) & 1; }
  // Adds a sharer of a cluster that has copies already.
  void add(u32 cpu) { sharers[cpu / 64] |= u64{1} << (cpu % 64); }
  void add(u32 cpu, const Machine::Place& place) {
    add(cpu);
    const u64 cluster = u64{1} << (place.cluster % 64);
    if ((clusters[place.cluster / 64] & cluster) != 0) return;
    clusters[place.cluster / 64] |= cluster;
    nodes |= u64{1} << place.node;
  }
};

}  // namespace faultline::sim
