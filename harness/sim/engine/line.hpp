// What the directory knows of a line of memory, and who is waiting for it.
#pragma once

#include "harness/sim/machine/machine.hpp"

namespace faultline::sim {

inline constexpr u16 no_cpu = 0xffff;

// One a line of the arena, so it is kept to half a line itself.
struct Line {
  Time until;  // before that it cannot move on: a transfer is under way
  u64 used;    // which of its bytes its last owner has used, a bit a byte
  u32 side;    // its Side; 0: none
  u32 filled;  // the owner's count of fills when it took the line
  u32 label;   // Labels
  u16 owner;   // in state exclusive, owned, modified
  State state;
  bool met;  // a second CPU has touched it: until then no access to it can matter to another CPU
};
static_assert(sizeof(Line) == 32);

// The rest, for lines that more than one CPU is interested in. CPUs are threads' numbers here.
struct Side {
  u64 sharers[max_cpus / 64];   // who has a copy, the owner included
  u64 clusters[max_cpus / 64];  // in which clusters there may be copies
  u64 nodes;                    // and in which nodes
  u64 read;                     // which bytes the other sharers have read since the last write
  u32 next_free;
  u16 watchers;  // Watch: the first of the CPUs that spin on the line; 0: none
  u16 watching;  // how many they are
  u16 queue;     // LineQueue; 0: none

  bool has(u32 cpu) const { return (sharers[cpu / 64] >> (cpu % 64)) & 1; }
};

// A place in the ring of a line's watchers. A CPU has `per_cpu` of them; their numbers start at 1.
struct Watch {
  static constexpr u32 per_cpu = 8;
  u32 side;
  u16 previous, next;
};

// An access that waits for its line.
struct Request {
  u64 address = 0;   // in the arena
  u64 value = 0;     // of a posted store
  Time arrival = 0;  // not served before
  u32 next = 0;      // in the line's queue
  u16 cpu = 0;
  u16 slot = 0;  // of a posted store in its CPU's buffer
  u16 held = 0;  // the queue in which it is next, while its CPU's older stores are not done
  Kind kind = Kind::load;
  bool posted = false;
  u8 bytes = 0;
};

// Requests in the order of their coming.
struct RequestList {
  u32 first = 0, last = 0;
  u32 count = 0;
};

// The requests that queue for one line.
struct LineQueue {
  u32 line = 0;
  RequestList list;
  RequestList woken;  // of spinners that come when the write under way is complete
  u32 posted = 0;     // of them
  u16 next_free = 0;
  u16 successor = no_cpu;  // who got the line last and goes on when it has it
};

}  // namespace faultline::sim
