// What the checked threads do: each takes and releases the lock some times. Small enough that all
// executions can be run.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "harness/check/common/types.hpp"

namespace faultline::check {

enum class Hold : u8 {
  exclusive,
  shared,
  downgraded,  // exclusive, then shared
  shrunk,      // a range: exclusive, then of its first cell only
  moved,       // refcount: the VMA is detached, lives in another address space, and dies with it
};

// What a thread does to an address space.
enum class Call : u8 {
  none,
  fault_read,
  fault_write,
  map,
  map_stack,
  unmap,
  protect,
  discard,
  walk,         // pins the first page without a lock
  place,        // a map without a hint, and a write fault there
  raise_break,  // by a page
  lower_break,
};

// One acquisition. A lock guards cells; all but a range lock have only the first. Or one call: the
// cells are pages.
struct Act {
  Hold hold = Hold::exclusive;
  Call call = Call::none;
  bool tries = false;
  // Inside, once nothing is exclusive any more that was, it waits for the others to have come in
  // too, or to have failed a try.
  bool meets = false;
  u8 first = 0, end = 1;
};

using Script = std::vector<Act>;

// The answers of a program's calls, thread by thread, and what is then seen of each page.
struct History {
  std::array<u32, 32> values{};
  u32 count = 0;
  void add(u32 value) { values[count++] = value; }
  bool operator==(const History&) const = default;
};

struct Program {
  std::vector<Script> threads;
  // Of calls: no page is there yet, and all threads but the first enter as they start, so that the
  // others meet what they have just made.
  bool late = false;
  bool enters_late(u32 thread) const { return late && thread != 0; }
  std::vector<History> sequential = {};  // of calls: what their orders, one after the other, answer
  bool meets() const;
};

std::string to_string(const Act& act);
// "write, read | try write"
std::string to_string(const Program& program);

// What is checked in one kind of lock.
enum class Family : u8 { mutex, shared, range, queue, refcount, space };

// All pairs of acquisitions, one by each of two threads; and what must be able to meet inside.
std::vector<Program> programs_of_pairs(Family family);
// Two acquisitions by each of two threads.
std::vector<Program> programs_of_two(Family family);
// Two and one or two, of those that wait for each other: for a lock of fewer steps.
std::vector<Program> programs_of_two_long(Family family);
// Calls on an address space whose pages 0 and 1 are mapped, by two, three or four threads.
std::vector<Program> programs_of_calls(u32 threads);
// By two threads that make what they share while they run.
std::vector<Program> programs_of_late();
// By two and three threads, also on what lies far from those pages: the break, and what is placed.
std::vector<Program> programs_of_places();
// In sequential.cpp: what may come out of a program of calls.
std::vector<History> sequential_histories(const Program& program);
// One by each of so many threads.
std::vector<Program> programs_of_many(Family family, u32 threads);

}  // namespace faultline::check
