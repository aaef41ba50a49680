// Programs for the checked threads. Each thread acquires and releases the lock a few times, or
// makes a few calls. Programs are small enough for a search to run all their executions.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "harness/check/common/real_time.hpp"
#include "harness/check/common/seen.hpp"
#include "harness/check/common/types.hpp"
#include "locks/types.hpp"

namespace faultline::check {

enum class Hold : u8 {
  exclusive,
  shared,
  downgraded,  // exclusive, then shared
  shrunk,      // a range: exclusive, then of its first cell only
  raised,      // a range: exclusive, then of its last cell only
  moved,  // a tree: a walk. The refcount: the VMA moves to another address space, which then ends
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
  protect,
  discard,
  walk,   // pins the first page without a lock
  place,  // a map without a hint, and a write fault in the new mapping, unless it is at the top
  raise_break,  // by a page
  lower_break,
  scan,   // its answer is left out, since not every scheme promises a moment of which it is true
  touch,  // an access to the first page, without a fault
  close,  // ends the upper space of two; no other thread uses it
};
inline constexpr usize call_count = static_cast<usize>(Call::close) + 1;

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
  // Of a call: the protection, the bytes by which its start lies above the first page's, and the
  // bytes by which it ends below the last page's end.
  u8 prot = prot_read | prot_write;
  u32 skew = 0, cut = 0;
  // A walk that other threads may take the page from. It may still find the page after the edit of
  // a call that has not returned, in which other calls see no mapping any more. So its answer is
  // left out where it overlaps such a call.
  bool races = false;
};

// Whether the holder of a range gives up all but one cell, and which one it keeps.
inline bool shrinks(const Act& act) {
  return act.hold == Hold::shrunk || act.hold == Hold::raised;
}
inline u32 kept_cell(const Act& act) {
  return act.hold == Hold::raised ? act.end - 1U : act.first;
}

// Whether two threads may not both hold what these acts acquire.
inline bool conflict(const Act& one, const Act& other) {
  return one.first < other.end && other.first < one.end &&
         (one.hold != Hold::shared || other.hold != Hold::shared);
}

using Script = std::vector<Act>;

// The answers of a program's calls, thread by thread, and after them the state of each page.
struct History {
  std::array<u32, 64> values{};
  u32 count = 0;
  // A bit for each page and access: whether the page table permits it without a fault.
  u32 rights = 0;
  // How many mappings there are after the calls, after the faults, and once all have one
  // protection.
  std::array<u64, 3> mappings{};
  // Of an execution that was looked at closely: what an observer saw after the calls, and at the
  // end, and what was counted in between.
  bool is_close = false;
  Seen after, last;
  Counted counted;
  void add(u32 value) { values[count++] = value; }
  bool operator==(const History&) const = default;
  // Whether an execution of the program may have this history where a model has `model`. A page
  // table may always permit less than the model, since a fault grants the rest.
  bool matches(const History& model, const Program& program) const;
  // The same of the answers and rights alone.
  bool answers_as(const History& model) const {
    return values == model.values && count == model.count && (rights & ~model.rights) == 0;
  }
};

// A history, and the interleavings of the calls that give it.
struct Sequential {
  History history;
  std::vector<CallOrder> orders;
};

struct Program {
  std::vector<Script> threads;
  // For programs of calls: no page is mapped in yet, and all threads but the first enter the
  // address space when they start. So other threads meet objects that a thread has just made.
  bool late = false;
  bool enters_late(u32 thread) const { return late && thread != 0; }
  // For programs of calls that are not late: calls that thread 0 makes before all threads start.
  Script before = {};
  u32 pages = 4;  // of the space, at most 8
  // The pages are the highest ones of the address space, so that calls without a hint take them.
  bool at_top = false;
  // Calls may reach other addresses than the pages: they place mappings or move the break.
  bool far = false;
  // Two spaces over one pool of VMAs have half of the pages each.
  bool split = false;
  // What threads map may stay apart from what lies beside it, since the scheme reserves a place
  // before it maps there. A write in it then gives it an anon_vma of its own. So the number of
  // mappings and their anon_vmas need not be those of any interleaving.
  bool apart = false;
  // Each thread places mappings in a region of its own.
  bool places_apart = false;
  // The seed has drawn the calls, or the options.
  bool is_drawn = false;
  // The options of the space.
  u32 shootdown = 0, page_table = 0;
  bool merge = true;
  // The scheme's discards take effect page by page (Entry of locks/catalogue.hpp).
  bool discards_by_page = false;
  // For programs of calls: the history of each interleaving of the calls, run one after the other.
  std::vector<Sequential> sequential = {};
  bool meets() const;
  bool maps_anywhere() const;  // threads map where the scheme chooses
};

inline bool History::matches(const History& model, const Program& program) const {
  if (!answers_as(model) || (!program.apart && mappings != model.mappings)) return false;
  if (!is_close) return true;
  return after.matches(model.after, false, program.merge) &&
         last.matches(model.last, true, program.merge) &&
         (program.apart || counted.matches(model.counted));
}

std::string to_string(const Act& act);
// For example "write, read | try write".
std::string to_string(const Program& program);
// For example "thread 1: walk [0, 1); thread 0: unmap [0, 2)".
std::string to_string(const Program& program, const CallOrder& order);

// The kinds of subjects.
enum class Family : u8 { mutex, shared, range, queue, refcount, tree, space };

// Two threads acquire once each: all pairs of acts, and the pairs that must be able to meet inside.
std::vector<Program> programs_of_pairs(Family family);
// Two threads acquire twice each.
std::vector<Program> programs_of_two(Family family);
// One thread acquires twice, the other once or twice, chosen so that they block each other. These
// programs are for light locks, whose executions have fewer steps.
std::vector<Program> programs_of_two_long(Family family);
// Calls on an address space whose pages 0 and 1 are mapped, by two, three or four threads. These
// programs and those below have no histories yet.
std::vector<Program> programs_of_calls(u32 threads);
// What the seed may draw for a scheme.
struct Drawn {
  bool far = true;     // placements and the break
  bool top = true;     // programs at the top: the scheme places mappings in the highest hole
  bool split = false;  // two spaces
};
// Programs that the seed draws: the calls, their arguments, and the options of the space.
std::vector<Program> programs_drawn(u32 programs, const Drawn& may, u64 seed);
// Each pair of calls on one range: two threads make one call each.
std::vector<Program> programs_of_met(const Drawn& may, u64 seed);
// Two spaces over one pool of VMAs, one of which ends.
std::vector<Program> programs_of_split();
// Draws options of the space for each program.
void draw_options(std::vector<Program>& programs, u64 seed);
// What a call does to several pages or mappings at once, and two threads that look at it one after
// the other.
std::vector<Program> programs_of_real_time();
// A call makes VMAs merge under a fault.
std::vector<Program> programs_of_absorbed();
// Two threads make what they share while they run.
std::vector<Program> programs_of_late();
// Two or three threads also call brk and map without a hint, which lie far from pages 0 and 1.
std::vector<Program> programs_of_places();
// Whether the call may take the page of `walker` from it.
bool takes_page(const Act& act, const Act& walker);
// Whether the call answers an error, or nothing, before it looks at its range.
bool is_refused(const Act& act);
// The histories of all interleavings of a program's calls, under the options with which it runs.
// sequential.cpp defines it.
std::vector<Sequential> sequential_histories(const Program& program);
// Two threads acquire once or twice each, and a third again and again: a waiter may be passed
// often.
std::vector<Program> programs_of_passers(Family family);
// One thread edits a tree; one or two others look up and walk.
std::vector<Program> programs_of_readers(u32 threads);
// `threads` threads acquire once each.
std::vector<Program> programs_of_many(Family family, u32 threads);

}  // namespace faultline::check
