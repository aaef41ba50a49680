// Programs of calls on an address space of a few pages, for both explorers: how the space is
// prepared, how a call is made, and how an execution is judged. The oracle must hold, and the
// answers and pages must equal those of some interleaving of the calls (sequential consistency;
// real-time order is not required).
#pragma once

#include <algorithm>
#include <array>
#include <string>

#include "harness/check/common/program.hpp"
#include "harness/check/common/translations.hpp"
#include "locks/address_space/interface.hpp"
#include "locks/address_space/radix_tree.hpp"

namespace faultline::check {

// The first two pages lie in one table page of the checkers' platforms, the others in the next.
inline constexpr u64 space_base = lowest_address + 2 * page_size;

// A tree of 256 pages in nodes of two slots, so that two pages share a slot until an expansion. The
// programs' pages lie within the tree; the break and the area for placement do not.
template <class P>
using SmallTree = RadixTree<P, 1, 8>;
template <class P>
using SmallSv6Tree = RadixTree<P, 1, 8, Sv6Slot>;

// `Scheme` with a page table for each CPU, and with shootdowns of a page's users alone. So the sets
// of users and the CPUs' own tables are explored too.
template <class Scheme>
class WithOwnTables : public Scheme {
 public:
  explicit WithOwnTables(AddressSpaceOptions options) : Scheme(changed(options)) {}

 private:
  static AddressSpaceOptions changed(AddressSpaceOptions options) {
    options.shootdown = shootdown_precise;
    options.page_table = page_table_per_cpu;
    return options;
  }
};

// The address space is small, since every execution makes one. It has enough frames for a thread
// that maps all pages after other threads have taken frames from this thread's pool.
inline AddressSpaceOptions small_space(u64 frames_per_thread = 4) {
  AddressSpaceOptions options;
  options.threads = 2;
  options.frames_per_thread = frames_per_thread;
  options.vmas_per_thread = 6;
  options.clear_pages = false;
  return options;
}

inline u32 break_of(const MapResult& result) {
  return static_cast<u32>((result.address - break_start) / page_size * 16) +
         static_cast<u32>(result.error);
}

// The access to a page, whose translation the CPU keeps.
inline void touch_page(AddressSpace& space, u32 page) {
  const u64 address = space_base + page * page_size;
  if (!space.touch(address, Access::write)) space.touch(address, Access::read);
}

// The answer of one call, as a number.
inline u32 answer_of(AddressSpace& space, const Act& act) {
  const u64 start = space_base + act.first * page_size;
  const u64 length = (u64{act.end} - act.first) * page_size;
  switch (act.call) {
    case Call::none:
      return 0;
    case Call::fault_read:
      return static_cast<u32>(space.fault(start, Access::read));
    case Call::fault_write:
      return static_cast<u32>(space.fault(start, Access::write));
    case Call::map:
      return static_cast<u32>(space.map(start, length, prot_read | prot_write, map_fixed).error);
    case Call::map_read:
      return static_cast<u32>(space.map(start, length, prot_read, map_fixed).error);
    case Call::map_hinted: {
      const MapResult placed = space.map(start, length, prot_read | prot_write, 0);
      if (placed.error != Error::none) return static_cast<u32>(placed.error);
      return placed.address == start ? 16 : 17;
    }
    case Call::map_stack:
      return static_cast<u32>(
          space.map(start, length, prot_read | prot_write, map_fixed | map_growsdown).error);
    case Call::unmap:
      return static_cast<u32>(space.unmap(start, length));
    case Call::protect:
      return static_cast<u32>(space.protect(start, length, prot_read));
    case Call::protect_none:
      return static_cast<u32>(space.protect(start, length, prot_none));
    case Call::protect_write:
      return static_cast<u32>(space.protect(start, length, prot_read | prot_write));
    case Call::discard:
      return static_cast<u32>(space.discard(start, length));
    case Call::walk:
      return space.walk(start) ? 1U : 0U;
    case Call::place: {
      const MapResult placed = space.map(0, length, prot_read | prot_write, 0);
      if (placed.error != Error::none) return static_cast<u32>(placed.error);
      return 16 + static_cast<u32>(space.fault(placed.address, Access::write));
    }
    case Call::raise_break:
      return break_of(space.brk(page_size));
    case Call::lower_break:
      return break_of(space.brk(-static_cast<i64>(page_size)));
    case Call::scan:
      space.scan();
      return 0;
    case Call::touch:
      touch_page(space, act.first);
      return 0;
  }
  return 0;
}

// The rights that a call leaves to the pages that it names, where it succeeds.
inline u32 rights_after(Call call) {
  switch (call) {
    case Call::map:
    case Call::map_read:
    case Call::map_stack:
    case Call::unmap:
    case Call::protect_none:
    case Call::discard:
      return prot_none;
    case Call::protect:
      return prot_read;
    default:
      return prot_read | prot_write;
  }
}

// Makes the call and holds it to what it promises of the CPUs' translations.
inline u32 call_space(AddressSpace& space, const Act& act) {
  const u64 began = translations.now();
  const u32 answer = answer_of(space, act);
  const u64 first = space_base / page_size;
  if (answer == 0)
    translations.check(first + act.first, first + act.end, rights_after(act.call), began);
  return answer;
}

// Maps pages 0 and 1, and faults page 0 in unless the program is late. Then makes the calls that
// the program begins with.
inline void prepare_space(AddressSpace& space, const Program& program) {
  translations.reset();
  space.map(space_base, 2 * page_size, prot_read | prot_write, map_fixed);
  if (program.late) return;
  space.fault(space_base, Access::write);
  touch_page(space, 0);
  for (const Act& act : program.before) call_space(space, act);
}

// Adds what can be observed of the space to the history, with all threads at rest: the number of
// mappings, the rights of each page, what faults answer, and which mappings merge once all have one
// protection. Only mappings of one anon_vma do. The faults map the pages in.
inline void look_at_pages(AddressSpace& space, const Program& program, History& history) {
  history.mappings[0] = space.scan();
  for (u32 page = 0; page < program.pages; ++page)
    for (const Access access : {Access::read, Access::write})
      if (space.touch(space_base + page * page_size, access))
        history.rights |= 1U << (2 * page + (access == Access::write ? 1 : 0));
  for (u32 page = 0; page < program.pages; ++page) {
    const u64 address = space_base + page * page_size;
    history.add(space.walk(address) ? 1U : 0U);
    history.add(static_cast<u32>(space.fault(address, Access::read)));
    history.add(static_cast<u32>(space.fault(address, Access::write)));
  }
  history.mappings[1] = space.scan();
  history.add(static_cast<u32>(
      space.protect(space_base, program.pages * page_size, prot_read | prot_write)));
  history.mappings[2] = space.scan();
}

// The answers that the threads of an execution got.
class Answers {
 public:
  void add(u32 thread, u32 answer) { answers_[thread][made_[thread]++] = answer; }

  // The caller waits until all threads have ended. Answers what is wrong, or an empty string.
  std::string judge(AddressSpace& space, const Program& program) const {
    if (std::string wrong = space.check(); !wrong.empty()) return wrong;
    History history;
    for (u32 thread = 0; thread < program.threads.size(); ++thread)
      for (u32 i = 0; i < made_[thread]; ++i) history.add(answers_[thread][i]);
    look_at_pages(space, program, history);
    const auto& orders = program.sequential;
    const bool merging = !program.reserves();
    const auto matches = [&](const History& model) { return history.matches(model, merging); };
    if (std::none_of(orders.begin(), orders.end(), matches))
      return "no interleaving of the calls gives these answers";
    return "";
  }

 private:
  std::array<std::array<u32, 4>, most_threads> answers_{};
  std::array<u32, most_threads> made_{};
};

}  // namespace faultline::check
