// An address space whose mappings are values of its pages, in a tree that is also the lock of the
// pages: what the schemes `lock_in_tree` and `page_table_lock` share. A fault locks its page. map,
// unmap and protect lock their range, holes included, and keep it until the pages are zapped and
// shot down. The lock of a page also guards the page's entry in the page table, whose own locks are
// not taken.
//
// How the model differs from the kernel:
// - A mapping is a value of each of its pages, so nothing is split or merged: the merge option has
//   no effect.
// - The anon_vma is a bit of the value. The first write fault on a page sets it, under the page's
//   lock, which the fault holds anyway.
// - Each thread places mappings without a hint in a region of its own (OwnRegion).
//
// Not linearizable: scan and walk take no lock, so a scan may count what was never mapped at one
// time, and a walk may find a page that a call still at work takes away.
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "locks/address_space/break.hpp"
#include "locks/address_space/own_region.hpp"
#include "locks/address_space/page_table.hpp"
#include "locks/address_space/violations.hpp"
#include "locks/events.hpp"
#include "locks/per_thread.hpp"
#include "locks/schemes/scheme_base.hpp"

namespace faultline {

// A page's value, above the tree's control bits. All zero means a hole.
struct PageValue {
  static constexpr u64 mapped_bit = 8, anon_bit = 16;
  static constexpr u32 prot_shift = 5, flags_shift = 8, instance_shift = 16;
  static constexpr u64 prot_mask = u64{3} << prot_shift;

  // `instance` numbers the map call; it wraps after 2^48 of them.
  static u64 make(u32 prot, u32 flags, u64 instance) {
    return mapped_bit | u64{prot} << prot_shift | u64{flags & 15} << flags_shift |
           instance << instance_shift;
  }
  static bool mapped(u64 value) { return (value & mapped_bit) != 0; }
  static bool anon(u64 value) { return (value & anon_bit) != 0; }
  static u32 prot(u64 value) { return static_cast<u32>((value & prot_mask) >> prot_shift); }
  static u64 with_prot(u64 value, u32 prot) {
    return (value & ~prot_mask) | u64{prot} << prot_shift;
  }
  static u32 flags(u64 value) { return static_cast<u32>(value >> flags_shift) & 15; }
  static bool has(u64 value, u32 flag) { return (value >> flags_shift & flag) != 0; }
  static u64 instance(u64 value) { return value >> instance_shift; }
  static bool permits(u64 value, Access access) { return prot_permits(prot(value), access); }
};

// `Tree` has the public functions that RadixTree and PageTableNodes share.
template <class P, class Tree>
class PerPageSpace : public SchemeBase<P, PerPageSpace<P, Tree>> {
 public:
  explicit PerPageSpace(const AddressSpaceOptions& options)
      : options_(options), table_(options, violations_) {}

  void enter() override {
    table_.enter();
    tree_.reserve(options_.frames_per_thread / Tree::leaf_pages + options_.tables_per_thread);
    regions_.here();
  }

  void append_events(Events& events) const override {
    counters_.append_to(events);
    tree_.append_events(events);
  }
  std::vector<std::string> holders() const override {
    std::vector<std::string> lines;
    for (const auto& [first, end] : tree_.locked())
      lines.push_back(std::string(Tree::scheme) + ": pages " + std::to_string(first) + " to " +
                      std::to_string(end - 1) + " are locked; their lock does not say by whom");
    if (lines.empty()) lines.push_back(std::string(Tree::scheme) + ": no page is locked");
    return lines;
  }

  std::string check() override {
    if (std::string error = violations_.report(); !error.empty()) return error;
    if (!tree_.locked().empty()) return "a page is locked with all threads at rest";
    std::string error = table_.check();
    table_.for_each_entry([&](u64 address, Pte pte) {
      tree_.for_each(address / page_size, address / page_size + 1, [&](u64 value, u64, u64) {
        if (!PageValue::mapped(value))
          error = "a page is mapped outside every mapping";
        else if ((pte.prot() & ~hardware_prot(PageValue::prot(value))) != 0)
          error = "a page is mapped with more than its mapping permits";
        return true;
      });
    });
    return error;
  }
  std::optional<Observation> observe() override {
    Observation seen;
    seen.runs = true;
    u64 before = 0;
    tree_.for_each(0, pages, [&](u64 value, u64 first, u64 end) {
      auto& runs = seen.mappings;
      const Range range{first * page_size, end * page_size};
      if (value == before && !runs.empty() && runs.back().range.end == range.start)
        runs.back().range.end = range.end;
      else if (PageValue::mapped(value))
        runs.push_back({range, PageValue::prot(value), PageValue::flags(value),
                        PageValue::instance(value), PageValue::anon(value)});
      before = value;
      return true;
    });
    seen.pages = table_.mapped_pages();
    seen.program_break = break_.load();
    return seen;
  }

 private:
  friend SchemeBase<P, PerPageSpace>;

  static constexpr u64 pages =
      address_space_end / page_size > Tree::pages ? Tree::pages : address_space_end / page_size;

  enum Event : usize { placements_retried, stack_growth, event_count };
  static constexpr std::array<const char*, event_count> event_names = Tree::space_events;

  bool do_touch(u64 address, Access access, u64* word) {
    return table_.touch(address, access, word);
  }

  Error do_fault(u64 address, Access access) {
    const u64 page = address / page_size;
    for (;;) {
      const u64 value = tree_.lock_page(page);
      const bool mapped = PageValue::mapped(value);
      const Error served = mapped ? serve(address, access, value) : Error::none;
      tree_.unlock(page, page + 1);
      if (mapped) return served;
      if (const auto error = grow(address, access)) return *error;
    }
  }

  MapResult do_map(u64 hint, u64 length, u32 prot, u32 flags) {
    const bool fixed = (flags & map_fixed) != 0;
    const u64 value = PageValue::make(prot, flags & ~map_fixed, fresh_instance());
    if (fixed) return map_over({hint, hint + length}, value);
    hint = page_floor(hint);
    if (can_hold(hint, length) && take_hole({hint, hint + length}, value))
      return {hint, Error::none};
    return place(length, value);
  }

  Error do_unmap(Range range) {
    const Locked locked(tree_, range);
    P::kernel_work(KernelWork::edit);
    clear(range);
    regions_.here().freed(range);
    return Error::none;
  }

  Error do_protect(Range range, u32 prot) {
    const Locked locked(tree_, range);
    const u64 stop = mapped_until(range);
    if (stop > range.start) {
      P::kernel_work(KernelWork::edit);
      tree_.edit(range.start / page_size, stop / page_size,
                 [&](u64 value) { return PageValue::with_prot(value, prot); });
      table_.restrict({range.start, stop}, prot);
    }
    return stop == range.end ? Error::none : Error::nomem;
  }

  MapResult do_brk(i64 delta) {
    const LockedBreak locked(tree_);
    const MapResult result = move_break(
        break_.load(), delta, break_limits,
        [&](Range range) {
          const u64 value = PageValue::make(prot_read | prot_write, 0, fresh_instance());
          return take_hole(range, value) ? Error::none : Error::nomem;
        },
        [&](Range range) {
          const Locked lowered(tree_, range);
          P::kernel_work(KernelWork::edit);
          clear(range);
          return Error::none;
        });
    break_.store(result.address);
    return result;
  }

  Error do_discard(Range range) {
    const Locked locked(tree_, range);
    table_.zap(range);  // holes have no pages
    return mapped_throughout(range) ? Error::none : Error::nomem;
  }

  bool do_walk(u64 address) { return table_.walk(address); }

  // Takes no lock. A VMA is a run of pages of one map call and one protection, as their values were
  // when the walk passed them.
  u64 do_scan() {
    u64 vmas = 0;
    u64 before = 0;
    tree_.for_each(0, pages, [&](u64 value, u64, u64) {
      const u64 identity = value & ~PageValue::anon_bit;
      if (PageValue::mapped(value) && identity != before) ++vmas;
      before = identity;
      return true;
    });
    return vmas;
  }

  // The pages of a range, locked.
  class Locked {
   public:
    Locked(Tree& tree, Range range) : tree_(tree), range_(range) {
      tree_.lock(range.start / page_size, range.end / page_size);
    }
    ~Locked() { tree_.unlock(range_.start / page_size, range_.end / page_size); }
    Locked(const Locked&) = delete;
    Locked& operator=(const Locked&) = delete;

   private:
    Tree& tree_;
    const Range range_;
  };
  // The pages from the first address to the last.
  class LockedAdjacent {
   public:
    LockedAdjacent(Tree& tree, std::array<u64, 4> edges) : tree_(tree), edges_(edges) {
      for (u64& edge : edges_) edge /= page_size;
      tree_.lock_adjacent(edges_);
    }
    ~LockedAdjacent() { tree_.unlock_adjacent(edges_); }
    LockedAdjacent(const LockedAdjacent&) = delete;
    LockedAdjacent& operator=(const LockedAdjacent&) = delete;

   private:
    Tree& tree_;
    std::array<u64, 4> edges_;
  };
  // The right to move the break. A thread may lock pages above break_start while it has it.
  class LockedBreak {
   public:
    explicit LockedBreak(Tree& tree) : tree_(tree) { tree_.lock_break(page_below); }
    ~LockedBreak() { tree_.unlock_break(page_below); }
    LockedBreak(const LockedBreak&) = delete;
    LockedBreak& operator=(const LockedBreak&) = delete;

   private:
    static constexpr u64 page_below = break_start / page_size - 1;
    Tree& tree_;
  };

  struct Instances {
    u64 last = 0;
  };

  u64 fresh_instance() { return u64{P::self()} << 37 | ++instances_.here().last; }

  // The caller holds the page, which is mapped and has the value `value`.
  Error serve(u64 address, Access access, u64 value) {
    if (!PageValue::permits(value, access)) return Error::segv;
    const u64 page = address / page_size;
    const bool file = PageValue::has(value, map_file);
    const bool own = !PageValue::has(value, map_shared) && (access == Access::write || !file);
    if (own && access == Access::write && !PageValue::anon(value))
      tree_.fill(page, page + 1, value | PageValue::anon_bit);
    const u32 prot = PageValue::prot(value);
    const bool mapped = table_.fault_in(address, access, prot, new_page(access, prot, file, own));
    // Oracle: the page's lock must have kept the mapping in place since the caller took it.
    if (options_.oracle && ((value_at(address) ^ value) & ~PageValue::anon_bit) != 0)
      violations_.note("a fault was served for a page whose value another thread changed");
    return mapped ? Error::none : Error::nomem;
  }

  // The caller holds `range`. Makes it a hole without pages.
  void clear(Range range) {
    tree_.fill(range.start / page_size, range.end / page_size, 0);
    table_.zap(range);
  }

  MapResult map_over(Range range, u64 value) {
    const Locked locked(tree_, range);
    P::kernel_work(KernelWork::edit);
    clear(range);
    tree_.fill(range.start / page_size, range.end / page_size, value);
    return {range.start, Error::none};
  }

  bool take_hole(Range range, u64 value) {
    const Locked locked(tree_, range);
    if (first_mapped(range) != range.end) return false;
    P::kernel_work(KernelWork::edit);
    tree_.fill(range.start / page_size, range.end / page_size, value);
    return true;
  }

  MapResult place(u64 length, u64 value) {
    const u64 start = regions_.here().place(
        length, [&](Range in) { return find_hole(in, length); },
        [&](u64 hole) {
          const bool taken = take_hole({hole, hole + length}, value);
          if (!taken) counters_.add(placements_retried);
          return taken;
        });
    return {start, start == 0 ? Error::nomem : Error::none};
  }

  // 0: no hole is long enough. Racy: the caller locks the hole and checks it again.
  u64 find_hole(Range in, u64 length) const {
    u64 begin = in.start / page_size;
    u64 found = 0;
    tree_.for_each(begin, in.end / page_size, [&](u64 value, u64, u64 end) {
      if (PageValue::mapped(value))
        begin = end;
      else if (end > begin && (end - begin) * page_size >= length)
        found = begin * page_size;
      return found == 0;
    });
    return found != 0 && found + length <= in.end ? found : 0;
  }

  // Where the first mapped page of `range` begins, or the range's end. Racy unless the caller holds
  // the range.
  u64 first_mapped(Range range) const {
    u64 found = range.end;
    tree_.for_each(range.start / page_size, range.end / page_size, [&](u64 value, u64 first, u64) {
      if (!PageValue::mapped(value)) return true;
      found = first * page_size > range.start ? first * page_size : range.start;
      return false;
    });
    return found;
  }
  // Where the first hole of `range` begins, or the range's end.
  u64 mapped_until(Range range) const {
    u64 found = range.end;
    tree_.for_each(range.start / page_size, range.end / page_size, [&](u64 value, u64 first, u64) {
      if (PageValue::mapped(value)) return true;
      found = first * page_size > range.start ? first * page_size : range.start;
      return false;
    });
    return found;
  }
  bool mapped_throughout(Range range) const { return mapped_until(range) == range.end; }

  u64 value_at(u64 address) const {
    u64 at = 0;
    tree_.for_each(address / page_size, address / page_size + 1, [&](u64 value, u64, u64) {
      at = value;
      return false;
    });
    return at;
  }

  // A fault found a hole: grows the stack above it down to the page, and serves the fault before
  // another thread can change the page. Answers the fault's answer, which is SEGV where no stack
  // above may grow to the page. Nothing: the caller looks again. A first look takes no lock. It
  // only says how much to lock: the guard gap, and all from the page to the first page that is
  // mapped above, or as far as a stack may reach. A look without a lock could see the hole that a
  // map leaves for a moment in what it replaces.
  std::optional<Error> grow(u64 address, Access access) {
    const u64 start = page_floor(address);
    const u64 next = start + page_size;
    if (start < lowest_address) return Error::segv;
    const u64 limit = std::min(start + stack_limit, pages * page_size);
    const u64 seen = first_mapped({start, limit});
    if (seen == start) return {};
    const u64 gap = start < stack_guard_gap ? 0 : start - stack_guard_gap;
    const u64 end = std::min(seen + page_size, limit);
    const LockedAdjacent locked(tree_, {gap, start, next, end});
    const u64 bottom = first_mapped({start, end});
    if (bottom == start) return {};
    if (bottom == end) return seen == limit ? std::optional(Error::segv) : std::nullopt;
    const u64 above = value_at(bottom);
    if (!PageValue::has(above, map_growsdown)) return Error::segv;
    if (stack_end(bottom, above) - start > stack_limit) return Error::segv;
    if (first_mapped({gap, start}) != start) return Error::segv;
    counters_.add(stack_growth);
    const u64 value = above & ~PageValue::anon_bit;
    tree_.fill(start / page_size, bottom / page_size, value);
    return serve(address, access, value);
  }

  u64 stack_end(u64 from, u64 value) const {
    u64 end = from;
    tree_.for_each(from / page_size, pages, [&](u64 other, u64, u64 last) {
      if (!PageValue::mapped(other) || PageValue::instance(other) != PageValue::instance(value))
        return false;
      end = last * page_size;
      return true;
    });
    return end;
  }

  const AddressSpaceOptions options_;
  Violations<P> violations_;
  PageTable<P, true> table_;
  Tree tree_;
  PerThread<P, OwnRegion<P>> regions_;
  PerThread<P, Instances> instances_;
  typename P::template data<u64> break_{break_start};  // LockedBreak guards it
  EventCounters<P, event_count> counters_{event_names};
};

}  // namespace faultline
