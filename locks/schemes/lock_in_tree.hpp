// Scheme `lock_in_tree`: its only locks are the slots of the radix tree that holds the mappings,
// after RadixVM (Clements, Kaashoek, Zeldovich, EuroSys 2013, section 3). A fault locks the slot of
// its page. map, unmap and protect lock the slots of their range from left to right, holes
// included, and keep them until the pages are zapped and shot down. Operations on disjoint ranges
// share no lock word. The slot's lock also guards the page's entry in the page table, whose own
// locks are not taken.
//
// How the model differs from RadixVM and from the kernel:
// - A mapping is a value in each of its slots, so nothing is split or merged: the merge option has
//   no effect.
// - The anon_vma is a bit of the slot. The first write fault on a page sets it, under the slot's
//   lock, which the fault holds anyway.
// - First-fit placement would be the only thing that all threads contend for, so each thread places
//   mappings without a hint in a region of its own.
// - A slot also guards the break: the slot of the page below the break's start.
// - A fault expands the tree down to a leaf slot for its page, since all faults of 2 MiB would wait
//   for one another on a folded slot.
//
// Not linearizable: scan and walk take no lock, so a scan may count what was never mapped at one
// time, and a walk may find a page that a call still at work takes away.
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "locks/address_space/break.hpp"
#include "locks/address_space/page_table.hpp"
#include "locks/address_space/radix_tree.hpp"
#include "locks/address_space/violations.hpp"
#include "locks/events.hpp"
#include "locks/per_thread.hpp"
#include "locks/schemes/scheme_base.hpp"
#include "locks/star.hpp"

namespace faultline {

// A slot's value, above the tree's control bits. All zero means a hole.
struct SlotValue {
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

// `Tree` has the public functions of RadixTree. Only tests pass another class.
template <class P, class Tree = RadixTree<P>>
class LockInTree : public SchemeBase<P, LockInTree<P, Tree>> {
 public:
  explicit LockInTree(const AddressSpaceOptions& options)
      : options_(options), table_(options, violations_) {}

  void enter() override {
    table_.enter();
    tree_.reserve(options_.frames_per_thread / Tree::leaf_pages + options_.tables_per_thread);
    cursors_.here();
  }

  void append_events(Events& events) const override {
    counters_.append_to(events);
    tree_.append_events(events);
  }
  std::vector<std::string> holders() const override {
    std::vector<std::string> lines;
    for (const auto& [first, end] : tree_.locked())
      lines.push_back("lock_in_tree: locked by a thread that the slots do not name: pages " +
                      std::to_string(first) + " to " + std::to_string(end - 1));
    if (lines.empty()) lines.emplace_back("lock_in_tree: no slot is locked");
    return lines;
  }

  std::string check() override {
    if (std::string error = violations_.report(); !error.empty()) return error;
    if (!tree_.locked().empty()) return "a slot is locked with all threads at rest";
    std::string error = table_.check();
    table_.for_each_entry([&](u64 address, Pte pte) {
      tree_.for_each(address / page_size, address / page_size + 1, [&](u64 value, u64, u64) {
        if (!SlotValue::mapped(value))
          error = "a page is mapped outside every mapping";
        else if ((pte.prot() & ~hardware_prot(SlotValue::prot(value))) != 0)
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
      else if (SlotValue::mapped(value))
        runs.push_back({range, SlotValue::prot(value), SlotValue::flags(value),
                        SlotValue::instance(value), SlotValue::anon(value)});
      before = value;
      return true;
    });
    seen.pages = table_.mapped_pages();
    seen.program_break = break_.load();
    return seen;
  }

 private:
  friend SchemeBase<P, LockInTree>;

  static constexpr u64 pages =
      address_space_end / page_size > Tree::pages ? Tree::pages : address_space_end / page_size;

  enum Event : usize { placements_retried, stack_growth, event_count };
  static constexpr std::array<const char*, event_count> event_names = {
      "lock_in_tree.placement_retries", "lock_in_tree.stack_growth"};

  bool do_touch(u64 address, Access access, u64* word) {
    return table_.touch(address, access, word);
  }

  Error do_fault(u64 address, Access access) {
    const u64 page = address / page_size;
    for (;;) {
      u64 first = 0;
      u64 end = 0;
      const u64 value = tree_.lock_folded(page, first, end);
      if (SlotValue::mapped(value)) {
        if (end - first > 1) tree_.narrow_to(page, page + 1);
        const Error error = serve(address, access, value);
        tree_.unlock(page, page + 1);
        return error;
      }
      tree_.unlock(first, first + 1);
      if (const auto error = grow(address, access)) return *error;
    }
  }

  MapResult do_map(u64 hint, u64 length, u32 prot, u32 flags) {
    const bool fixed = (flags & map_fixed) != 0;
    const u64 value = SlotValue::make(prot, flags & ~map_fixed, fresh_instance());
    if (fixed) return map_over({hint, hint + length}, value);
    const Range wanted{page_floor(hint), page_floor(hint) + length};
    if (wanted.start >= lowest_address && wanted.end <= address_space_end &&
        wanted.start < wanted.end && take_hole(wanted, value))
      return {wanted.start, Error::none};
    return place(length, value);
  }

  Error do_unmap(Range range) {
    const Locked locked(tree_, range);
    P::kernel_work(KernelWork::edit);
    clear(range);
    cursors_.here().freed(range);
    return Error::none;
  }

  Error do_protect(Range range, u32 prot) {
    const Locked locked(tree_, range);
    const u64 stop = mapped_until(range);
    if (stop > range.start) {
      P::kernel_work(KernelWork::edit);
      tree_.edit(range.start / page_size, stop / page_size,
                 [&](u64 value) { return SlotValue::with_prot(value, prot); });
      table_.restrict({range.start, stop}, prot);
    }
    return stop == range.end ? Error::none : Error::nomem;
  }

  MapResult do_brk(i64 delta) {
    // This slot lies left of all slots that are locked below, as the order of locking requires.
    const Locked locked(tree_, {break_start - page_size, break_start});
    const MapResult result = move_break(
        break_.load(), delta, break_limits,
        [&](Range range) {
          const u64 value = SlotValue::make(prot_read | prot_write, 0, fresh_instance());
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

  // Takes no lock. A VMA is a run of slots of one map call and one protection, as the slots were
  // when the walk passed them.
  u64 do_scan() {
    u64 vmas = 0;
    u64 before = 0;
    tree_.for_each(0, pages, [&](u64 value, u64, u64) {
      const u64 identity = value & ~SlotValue::anon_bit;
      if (SlotValue::mapped(value) && identity != before) ++vmas;
      before = identity;
      return true;
    });
    return vmas;
  }

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

  // Where a thread places mappings: in a region of 32 GiB of its own, from the lowest place that it
  // knows to be free.
  struct Cursor {
    Cursor()
        : region{region_start + P::self() * region_size,
                 region_start + (P::self() + 1) * region_size},
          next(region.start) {}
    void freed(Range range) {
      if (region.contains(range.start) && range.start < next) next = range.start;
    }
    // The small page tables of the checkers' platforms tell addresses apart by their low bits
    // alone.
    static constexpr u64 skew = table_level_bits<P>() == 9 ? 0 : 32 * page_size;
    static constexpr u64 region_start = (u64{1} << 45) + skew;
    static constexpr u64 region_size = (u64{1} << 35) + skew;
    static_assert(region_start + P::max_threads * region_size <= address_space_end);
    const Range region;
    u64 next;
  };
  struct Instances {
    u64 last = 0;
  };

  u64 fresh_instance() { return u64{P::self()} << 37 | ++instances_.here().last; }

  // The caller holds the lock of the page's slot. The slot is mapped and has the value `value`.
  Error serve(u64 address, Access access, u64 value) {
    if (!SlotValue::permits(value, access)) return Error::segv;
    const u64 page = address / page_size;
    const bool file = SlotValue::has(value, map_file);
    const bool own = !SlotValue::has(value, map_shared) && (access == Access::write || !file);
    if (own && access == Access::write && !SlotValue::anon(value))
      tree_.fill(page, page + 1, value | SlotValue::anon_bit);
    const u32 prot = SlotValue::prot(value);
    const bool mapped = table_.fault_in(address, access, prot, new_page(access, prot, file, own));
    // Oracle: the slot's lock must have kept the mapping in place since the caller took it.
    if (options_.oracle && ((value_at(address) ^ value) & ~SlotValue::anon_bit) != 0)
      violations_.note("a fault was served in a slot that another thread changed");
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

  // First fit in the thread's own region. Another thread may put a fixed mapping there between the
  // look and the lock; then the search goes on.
  MapResult place(u64 length, u64 value) {
    Cursor& cursor = cursors_.here();
    for (u64 from : {cursor.next, cursor.region.start})
      while (const u64 start = find_hole({from, cursor.region.end}, length)) {
        if (take_hole({start, start + length}, value)) {
          cursor.next = start + length;
          return {start, Error::none};
        }
        counters_.add(placements_retried);
      }
    return {0, Error::nomem};
  }

  // 0: no hole is long enough. Racy: the caller locks the hole and checks it again.
  u64 find_hole(Range in, u64 length) const {
    u64 begin = in.start / page_size;
    u64 found = 0;
    tree_.for_each(begin, in.end / page_size, [&](u64 value, u64, u64 end) {
      if (SlotValue::mapped(value))
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
      if (!SlotValue::mapped(value)) return true;
      found = first * page_size > range.start ? first * page_size : range.start;
      return false;
    });
    return found;
  }
  // Where the first hole of `range` begins, or the range's end.
  u64 mapped_until(Range range) const {
    u64 found = range.end;
    tree_.for_each(range.start / page_size, range.end / page_size, [&](u64 value, u64 first, u64) {
      if (SlotValue::mapped(value)) return true;
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
    // Each edge is a slot's edge afterwards.
    const Locked below(tree_, {gap, start}), own(tree_, {start, next}), rest(tree_, {next, end});
    const u64 bottom = first_mapped({start, end});
    if (bottom == start) return {};
    if (bottom == end) return seen == limit ? std::optional(Error::segv) : std::nullopt;
    const u64 above = value_at(bottom);
    if (!SlotValue::has(above, map_growsdown)) return Error::segv;
    if (stack_end(bottom, above) - start > stack_limit) return Error::segv;
    if (first_mapped({gap, start}) != start) return Error::segv;
    counters_.add(stack_growth);
    const u64 value = above & ~SlotValue::anon_bit;
    tree_.fill(start / page_size, bottom / page_size, value);
    return serve(address, access, value);
  }

  u64 stack_end(u64 from, u64 value) const {
    u64 end = from;
    tree_.for_each(from / page_size, pages, [&](u64 other, u64, u64 last) {
      if (!SlotValue::mapped(other) || SlotValue::instance(other) != SlotValue::instance(value))
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
  PerThread<P, Cursor> cursors_;
  PerThread<P, Instances> instances_;
  typename P::template data<u64> break_{break_start};  // the slot that brk() locks guards it
  EventCounters<P, event_count> counters_{event_names};
};

// RadixVM's tree on sv6, whose leaves have 64 slots. It takes one level more to reach all pages.
template <class P>
using Sv6Tree = RadixTree<P, 9, 5, Sv6Slot, 6>;

// Frames as RadixVM's Refcache frees them. A CPU flushes its cache of reference counts at its next
// tick, and frees what is still unused two epochs later. An epoch is a tick of 10 ms
// (kernel/refcache.cc, kernel/trap.cc and QUANTUM in param.h of sv6). A thread uses a frame again
// after 20 to 40 ms, so it has frames for 40 ms of maps and unmaps of 2.5 us.
template <class Base>
class RefcachedFrames final : public Base {
 public:
  explicit RefcachedFrames(AddressSpaceOptions options) : Base(delayed(std::move(options))) {}

 private:
  static constexpr u64 tick_ns = 10'000'000, delay_ns = 2 * tick_ns;
  static constexpr u64 most_frames = 16384, most_times = 256;

  // A small space of the checker stays small.
  static AddressSpaceOptions delayed(AddressSpaceOptions options) {
    const u64 most = std::min(options.frames_per_thread * most_times, most_frames);
    options.frame_delay = {.ns = delay_ns, .tick = tick_ns, .most = most};
    options.fault_work = false;
    return options;
  }
};

struct lock_in_tree_scheme {
  template <class P, Choices choices>
  using OverTree = LockInTree<P, std::conditional_t<choices[0] == 0, RadixTree<P>, Sv6Tree<P>>>;
  template <class P, Choices choices>
  using Made = std::conditional_t<choices[1] == 0, OverTree<P, choices>,
                                  RefcachedFrames<OverTree<P, choices>>>;
};

}  // namespace faultline
