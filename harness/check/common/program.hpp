// Programs for the checked threads. Each thread acquires and releases the lock a few times, or
// makes a few calls. Programs are small enough for a search to run all their executions.
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
  moved,       // the refcount: the VMA moves to another address space, which then ends
};

// What a thread calls on an address space.
enum class Call : u8 {
  none,
  fault_read,
  fault_write,
  map,         // fixed
  map_hinted,  // a map whose first page is only a hint
  map_stack,
  unmap,
  protect,  // to read only
  protect_none,
  discard,
  walk,         // pins the first page without a lock
  place,        // a map without a hint, and a write fault in the new mapping
  raise_break,  // by a page
  lower_break,
};

// One acquisition, or one call. A range lock guards three cells, every other lock only the first. A
// call's cells are pages.
struct Act {
  Hold hold = Hold::exclusive;
  Call call = Call::none;
  bool tries = false;
  // The thread stays inside, after its change of hold, until every other thread has entered or
  // failed a try.
  bool meets = false;
  u8 first = 0, end = 1;
};

using Script = std::vector<Act>;

// The answers of a program's calls, thread by thread, and after them the state of each page.
struct History {
  std::array<u32, 32> values{};
  u32 count = 0;
  void add(u32 value) { values[count++] = value; }
  bool operator==(const History&) const = default;
};

struct Program {
  std::vector<Script> threads;
  // For programs of calls: no page is mapped in yet, and all threads but the first enter the
  // address space when they start. So other threads meet objects that a thread has just made.
  bool late = false;
  bool enters_late(u32 thread) const { return late && thread != 0; }
  // For programs of calls: the history of each interleaving of the calls, run one after the other.
  std::vector<History> sequential = {};
  bool meets() const;
};

std::string to_string(const Act& act);
// For example "write, read | try write".
std::string to_string(const Program& program);

// The kinds of subjects.
enum class Family : u8 { mutex, shared, range, queue, refcount, space };

// Two threads acquire once each: all pairs of acts, and the pairs that must be able to meet inside.
std::vector<Program> programs_of_pairs(Family family);
// Two threads acquire twice each.
std::vector<Program> programs_of_two(Family family);
// One thread acquires twice, the other once or twice, chosen so that they block each other. These
// programs are for light locks, whose executions have fewer steps.
std::vector<Program> programs_of_two_long(Family family);
// Calls on an address space whose pages 0 and 1 are mapped, by two, three or four threads.
std::vector<Program> programs_of_calls(u32 threads);
// Two threads make what they share while they run.
std::vector<Program> programs_of_late();
// Two or three threads also call brk and map without a hint, which lie far from pages 0 and 1.
std::vector<Program> programs_of_places();
// The history of each interleaving of a program's calls. sequential.cpp defines it.
std::vector<History> sequential_histories(const Program& program);
// `threads` threads acquire once each.
std::vector<Program> programs_of_many(Family family, u32 threads);

}  // namespace faultline::check
