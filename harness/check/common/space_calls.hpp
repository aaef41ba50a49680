// Programs of calls on an address space of a few pages, for both explorers: how the space is
// prepared, how a call is made, and how an execution is judged. The oracle must hold, and the
// answers and pages must equal those of some interleaving of the calls, in the calls' real-time
// order where it is known.
#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "harness/check/common/looks.hpp"
#include "harness/check/common/meetings.hpp"
#include "harness/check/common/program.hpp"
#include "harness/check/common/split_space.hpp"
#include "harness/check/common/translations.hpp"
#include "locks/address_space/interface.hpp"
#include "locks/address_space/page_table_nodes.hpp"
#include "locks/address_space/radix_tree.hpp"

namespace faultline::check {

// The first two pages lie in one table page of the checkers' platforms, the others in the next.
inline constexpr u64 space_base = lowest_address + 2 * page_size;
inline u64 base_of(const Program& program) {
  return program.at_top ? address_space_end - program.pages * page_size : space_base;
}

// Where the upper one of two spaces begins.
inline u64 split_of(const Program& program) {
  return base_of(program) + program.pages / 2 * page_size;
}

// A tree of 256 pages in nodes of two slots, so that two pages share a slot until an expansion. The
// programs' pages lie within the tree; the break and the area for placement do not.
template <class P>
using SmallTree = RadixTree<P, 1, 8>;
template <class P>
using SmallSv6Tree = RadixTree<P, 1, 8, Sv6Slot>;

// A tree of all pages, in nodes of two slots too.
template <class P>
using TallTree = RadixTree<P, 1, 35>;

// The same for the nodes of the page table.
template <class P, template <class> class Spinlock, CoverSteps steps = CoverSteps{}>
using SmallNodes = PageTableNodes<P, 1, 8, Spinlock, steps>;
template <class P, template <class> class Spinlock>
using TallNodes = PageTableNodes<P, 1, 35, Spinlock>;

// Whether the scheme keeps the values of pages in such a tree.
inline bool has_page_tree(std::string_view scheme) {
  return scheme.starts_with("lock_in_tree") || scheme.starts_with("page_table_lock");
}
// Whether each thread places mappings in a region of its own.
inline bool places_apart(std::string_view scheme) {
  return has_page_tree(scheme) || scheme.starts_with("lock_in_maple");
}

// The address space is small, since every execution makes one. It has enough frames for a thread
// that maps all pages after other threads have taken frames from this thread's pool.
inline AddressSpaceOptions small_space(const Program& program, u64 frames_per_thread) {
  AddressSpaceOptions options;
  options.threads = 2;
  options.frames_per_thread = frames_per_thread;
  options.vmas_per_thread = 6;
  options.clear_pages = false;
  options.shootdown = program.shootdown;
  options.page_table = program.page_table;
  options.merge = program.merge;
  return options;
}

inline u32 break_of(const MapResult& result) {
  return static_cast<u32>((result.address - break_start) / page_size * 16) +
         static_cast<u32>(result.error);
}

// The access to a page, whose translation the CPU keeps.
inline void touch_page(AddressSpace& space, const Program& program, const Act& act) {
  const u64 address = base_of(program) + act.first * page_size + act.skew;
  if (!space.touch(address, Access::write)) space.touch(address, Access::read);
}

// Where a call without a fixed address has mapped: which page, if that is one of the highest.
inline u32 place_of(const MapResult& placed, const Program& program) {
  constexpr u64 further_down = 8;
  if (placed.error != Error::none) return static_cast<u32>(placed.error);
  const u64 lowest = base_of(program) - further_down * page_size;
  return 16 +
         static_cast<u32>(placed.address < lowest ? 31 : (placed.address - lowest) / page_size);
}

// At the top other threads may change the new mapping before a fault in it.
inline u32 place(AddressSpace& space, const Program& program, const Act& act, u64 length) {
  const MapResult placed = space.map(0, length, act.prot, 0);
  if (program.at_top) return place_of(placed, program);
  if (placed.error != Error::none) return static_cast<u32>(placed.error);
  return 16 + static_cast<u32>(space.fault(placed.address, Access::write));
}

inline u32 map_hinted(AddressSpace& space, const Program& program, const Act& act, u64 hint,
                      u64 length) {
  const MapResult placed = space.map(hint, length, act.prot, 0);
  if (program.at_top) return place_of(placed, program);
  if (placed.error != Error::none) return static_cast<u32>(placed.error);
  return placed.address == page_floor(hint) ? 16 : 17;
}

// The answer of one call, as a number.
inline u32 answer_of(AddressSpace& space, const Program& program, const Act& act) {
  const u64 start = base_of(program) + act.first * page_size + act.skew;
  const u64 length = (u64{act.end} - act.first) * page_size - act.cut;
  switch (act.call) {
    case Call::none:
      return 0;
    case Call::fault_read:
      return static_cast<u32>(space.fault(start, Access::read));
    case Call::fault_write:
      return static_cast<u32>(space.fault(start, Access::write));
    case Call::map:
      return static_cast<u32>(space.map(start, length, act.prot, map_fixed).error);
    case Call::map_hinted:
      return map_hinted(space, program, act, start, length);
    case Call::map_stack:
      return static_cast<u32>(space.map(start, length, act.prot, map_fixed | map_growsdown).error);
    case Call::unmap:
      return static_cast<u32>(space.unmap(start, length));
    case Call::protect:
      return static_cast<u32>(space.protect(start, length, act.prot));
    case Call::discard:
      return static_cast<u32>(space.discard(start, length));
    case Call::walk:
      return space.walk(start) ? 1U : 0U;
    case Call::place:
      return place(space, program, act, length);
    case Call::raise_break:
      return break_of(space.brk(static_cast<i64>(page_size + act.skew)));
    case Call::lower_break:
      return break_of(space.brk(-static_cast<i64>(page_size + act.skew)));
    case Call::scan:
      space.scan();
      return 0;
    case Call::touch:
      touch_page(space, program, act);
      return 0;
    case Call::close:
      static_cast<SplitSpace&>(space).close();
      return 0;
  }
  return 0;
}

// The rights that a call leaves to the pages that it names, where it succeeds.
inline u32 rights_after(const Act& act) {
  switch (act.call) {
    case Call::map:
    case Call::map_stack:
    case Call::unmap:
    case Call::discard:
      return prot_none;
    case Call::protect:
      return hardware_prot(act.prot);
    default:
      return prot_read | prot_write;
  }
}

// The pages below the program's that grants know, since placements at the top may lie there.
inline constexpr u32 pages_below = Grants::window / 2;

// The pages to which a call may give rights. A fault may grow a stack, down to its page.
inline Grants::Pages pages_granted(const Program& program, const Act& act) {
  const auto upwards = [](u32 first) { return Grants::all << (pages_below + first) & Grants::all; };
  const Grants::Pages own = upwards(act.first) & ~upwards(act.end);
  switch (act.call) {
    case Call::map:
    case Call::map_stack:
    case Call::unmap:
    case Call::protect:
      return own;
    case Call::map_hinted:
    case Call::place:
      return program.at_top ? Grants::all : own;
    case Call::fault_read:
    case Call::fault_write:
      return upwards(act.first);
    default:
      return 0;
  }
}

inline Grants::Number begin_grant(const Program& program, const Act& act) {
  Grants& grants = translations.grants;
  const Grants::Pages pages = pages_granted(program, act);
  if (act.call == Call::map_stack) grants.map_stack();
  if (act.call == Call::fault_read || act.call == Call::fault_write)
    return grants.begin_fault(pages);
  return grants.begin(pages, act.call == Call::unmap ? prot_none : hardware_prot(act.prot));
}

inline Grants::Outcome outcome_of(const Act& act, u32 answer) {
  if (answer == static_cast<u32>(Error::inval)) return Grants::Outcome::refused;
  const bool replaces = act.call == Call::map || act.call == Call::map_stack ||
                        act.call == Call::unmap || act.call == Call::protect;
  return replaces && answer == 0 ? Grants::Outcome::replaced : Grants::Outcome::partly;
}

// Makes the call and holds it to what it promises of the CPUs' translations.
inline u32 call_space(AddressSpace& space, const Program& program, const Act& act, u32 thread) {
  const auto grant = begin_grant(program, act);
  const u64 began = translations.now();
  const Meetings::Scope scope(meetings, act, thread);
  const u32 answer = answer_of(space, program, act);
  translations.grants.end(grant, outcome_of(act, answer));
  if (act.call == Call::map_stack && answer != 0) translations.grants.refuse_stack();
  const u64 first = base_of(program) / page_size;
  if (answer == 0) translations.check(first + act.first, first + act.end, rights_after(act), began);
  return answer;
}

// Maps pages 0 and 1, and faults page 0 in unless the program is late. Then makes the calls that
// the program begins with.
inline void prepare_space(AddressSpace& space, const Program& program) {
  const u64 base = base_of(program);
  translations.reset(base / page_size - pages_below);
  meetings.begin_execution(program);
  call_space(space, program, {.call = Call::map, .end = 2}, 0);
  if (program.late) return;
  space.fault(base, Access::write);
  touch_page(space, program, {.call = Call::touch});
  for (const Act& act : program.before) call_space(space, program, act, 0);
}

// The most faults that the calls of a program make.
inline u64 faults_of(const Program& program) {
  u64 faults = 1;
  const auto add = [&](const Script& script) {
    for (const Act& act : script)
      faults +=
          act.call == Call::fault_read || act.call == Call::fault_write || act.call == Call::place;
  };
  add(program.before);
  for (const Script& script : program.threads) add(script);
  return faults;
}

inline Events events_of(const AddressSpace& space) {
  Events events;
  space.append_events(events);
  return events;
}

// Adds the rights of each page to the history, what faults answer, and which mappings merge once
// all have one protection. Only mappings of one anon_vma do. The faults map the pages in.
inline void look_at_pages(AddressSpace& space, const Program& program, History& history) {
  history.mappings[0] = space.scan();
  for (u32 page = 0; page < program.pages; ++page)
    for (const Access access : {Access::read, Access::write})
      if (space.touch(base_of(program) + page * page_size, access))
        history.rights |= 1U << (2 * page + (access == Access::write ? 1 : 0));
  for (u32 page = 0; page < program.pages; ++page) {
    const u64 address = base_of(program) + page * page_size;
    history.add(space.walk(address) ? 1U : 0U);
    history.add(static_cast<u32>(space.fault(address, Access::read)));
    history.add(static_cast<u32>(space.fault(address, Access::write)));
  }
  history.mappings[1] = space.scan();
  history.add(static_cast<u32>(
      space.protect(base_of(program), program.pages * page_size, prot_read | prot_write)));
  history.mappings[2] = space.scan();
}

// Adds all that can be observed of the space to the history, with all threads at rest: besides what
// look_at_pages() adds, what an observer sees before and after it, and what it made the scheme
// count. Answers what is wrong whatever the order of calls was, or an empty string.
inline std::string look_closely(AddressSpace& space, const Program& program, History& history) {
  const auto before = space.observe();
  if (!before) return "the scheme does not say what an observer sees";
  history.is_close = true;
  history.after = seen_of(*before, program);
  const Events counted = events_of(space);
  look_at_pages(space, program, history);
  history.last = seen_of(*space.observe(), program);
  std::string wrong = wrong_counts(counted, faults_of(program));
  history.counted = Counted::between(counted, events_of(space), wrong);
  return wrong.empty() ? space.check() : wrong;
}

// The answers that the threads of an execution got.
class Answers {
 public:
  // The calls' moments are known if begin() stands before each call, and add() behind it.
  void begin(u32 thread) { moments_.begin(next_call(thread)); }
  void add(u32 thread, u32 answer) {
    if (moments_.known()) moments_.end(next_call(thread));
    answers_[thread][made_[thread]++] = answer;
  }

  // The caller waits until all threads have ended. Answers what is wrong, or an empty string.
  std::string judge(AddressSpace& space, const Program& program) const {
    if (std::string wrong = space.check(); !wrong.empty()) return wrong;
    History history;
    for (u32 thread = 0; thread < program.threads.size(); ++thread)
      for (u32 i = 0; i < made_[thread]; ++i) history.add(answers_[thread][i]);
    if (!looks.is_next_close())
      look_at_pages(space, program, history);
    else if (std::string wrong = look_closely(space, program, history); !wrong.empty())
      return wrong;
    return judge(history, program);
  }
  // The same for what has been observed.
  std::string judge(const History& history, const Program& program) const {
    const std::vector<u32> open = open_answers(program);
    const CallOrder* other = nullptr;
    bool answers = false;
    History seen = history;
    for (const Sequential& one : program.sequential) {
      seen.values = history.values;
      for (u32 i : open) seen.values[i] = one.history.values[i];
      answers |= seen.answers_as(one.history);
      if (!seen.matches(one.history, program)) continue;
      other = &one.orders.front();
      const auto allows = [&](const CallOrder& order) { return moments_.allow(order); };
      if (!moments_.known() || std::any_of(one.orders.begin(), one.orders.end(), allows)) return "";
    }
    if (other != nullptr)
      return "only against their real-time order do the calls give these answers, as in: " +
             to_string(program, *other);
    return answers
               ? "no interleaving of the calls that gives these answers leaves what is seen here: "
                 "mappings, pages, the break, counts"
               : "no interleaving of the calls gives these answers";
  }

 private:
  CallName next_call(u32 thread) const {
    return {static_cast<u8>(thread), static_cast<u8>(made_[thread])};
  }

  // Where the history has the answers of walks that another thread may have taken the page from.
  std::vector<u32> open_answers(const Program& program) const {
    std::vector<u32> open;
    u32 place = 0;
    for_each_call(program, [&](CallName walker, const Act& walk) {
      if (walk.races && is_raced(program, walker, walk)) open.push_back(place);
      ++place;
    });
    return open;
  }
  bool is_raced(const Program& program, CallName walker, const Act& walk) const {
    bool raced = false;
    for_each_call(program, [&](CallName other, const Act& act) {
      raced |=
          other.thread != walker.thread && takes_page(act, walk) && moments_.overlap(walker, other);
    });
    return raced;
  }
  template <class F>
  static void for_each_call(const Program& program, const F& visit) {
    for (usize thread = 0; thread < program.threads.size(); ++thread)
      for (usize i = 0; i < program.threads[thread].size(); ++i)
        visit({static_cast<u8>(thread), static_cast<u8>(i)}, program.threads[thread][i]);
  }

  std::array<std::array<u32, 4>, most_threads> answers_{};
  std::array<u32, most_threads> made_{};
  Moments moments_;
};

}  // namespace faultline::check
