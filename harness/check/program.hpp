// What the checked threads do: each takes and releases the lock some times. Small enough that all
// executions can be run.
#pragma once

#include <string>
#include <vector>

#include "harness/check/types.hpp"

namespace faultline::check {

enum class Hold : u8 {
  exclusive,
  shared,
  downgraded,  // exclusive, then shared
  shrunk,      // a range: exclusive, then of its first cell only
  moved,       // refcount: the VMA is detached, lives in another address space, and dies with it
};

// One acquisition. A lock guards cells; all but a range lock have only the first.
struct Act {
  Hold hold = Hold::exclusive;
  bool tries = false;
  // Inside, once nothing is exclusive any more that was, it waits for the others to have come in
  // too, or to have failed a try.
  bool meets = false;
  u8 first = 0, end = 1;
};

using Script = std::vector<Act>;

struct Program {
  std::vector<Script> threads;
  bool meets() const;
};

std::string to_string(const Act& act);
// "write, read | try write"
std::string to_string(const Program& program);

// What is checked in one kind of lock.
enum class Family : u8 { mutex, shared, range, queue, refcount };

// All pairs of acquisitions, one by each of two threads; and what must be able to meet inside.
std::vector<Program> programs_of_pairs(Family family);
// Two acquisitions by each of two threads.
std::vector<Program> programs_of_two(Family family);
// Two and one or two, of those that wait for each other: for a lock of fewer steps.
std::vector<Program> programs_of_two_long(Family family);
// One by each of so many threads.
std::vector<Program> programs_of_many(Family family, u32 threads);

}  // namespace faultline::check
