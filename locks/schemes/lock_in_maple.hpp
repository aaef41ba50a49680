// Scheme `lock_in_maple`: the lock inside the maple tree. Matthew Wilcox announced it at the summit
// of 2019 ("build the locking into the tree itself", LWN, "How to get rid of mmap_sem"), and nobody
// has built it. The only locks of VMAs are those of the tree's entries, VMAs and holes
// (locks/vmas/locking_maple.hpp). The page table has its own locks, as in the kernel, since faults
// of one VMA run side by side.
//
// The holds of each operation:
//   fault, and discard within one VMA   the VMA, shared
//   map, unmap, protect, brk, discard   the entries of the range exclusively, holes included. map,
//                                       protect and brk also hold the VMAs beside it with which
//                                       they may merge
//   stack growth                        the stack, the hole below it down to the page, and the
//                                       guard gap, exclusively
//   walk, scan                          nothing
//
// An unmap gives up what remains of the VMAs at its edges, and then zaps. It holds its range until
// the pages are gone. brk also holds the page below the break that it has seen, and looks at the
// break again when it does.
//
// An edit holds a VMA beside its range only if that VMA looks mergeable beforehand. A VMA that
// becomes mergeable later is not held, so it stays apart (EntryHooks::mergeable). So two calls at
// work side by side may leave two VMAs where one after the other leaves one.
//
// Each thread places mappings without a hint in a region of its own (OwnRegion). Linux takes the
// highest hole of all, which the tree finds by the largest hole below each node. Each change of a
// hole may have to renew those sizes up to the root, a line that all threads would write. So this
// tree keeps none.
//
// The first write fault of a VMA takes over the anon_vma of a neighbour only if it can hold that
// neighbour at once. Linux falls back to mmap_lock there, and waits. So two VMAs that could merge
// in Linux may have an anon_vma each.
//
// The limit of VMAs holds roughly (SplitVmaCount).
//
// Not linearizable: a discard holds its VMA shared, so faults may come between its pages; scan and
// walk hold nothing.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "locks/address_space/mm.hpp"
#include "locks/address_space/own_region.hpp"
#include "locks/per_thread.hpp"
#include "locks/schemes/scheme_base.hpp"
#include "locks/star.hpp"
#include "locks/vmas/entry_lock.hpp"
#include "locks/vmas/locking_maple.hpp"

namespace faultline {

// The hooks of `lock_in_maple`.
template <class P, vmas::Words words = vmas::Words::in_vmas>
class EntryHooks : public NoHooks {
 public:
  static constexpr bool edits_concurrently = true;

  struct State {
    static constexpr Layout layout = Layout::linux_6_18;
    // A line on which a fault touches no other field, as that of vm_refcnt.
    struct WithWord {
      alignas(line_size) typename P::template atomic<u64> entry{vmas::EntryWord::exclusive};
      WithWord() { P::label(&entry, "vma.entry"); }
    };
    struct WithoutWord {};
    using Hot = std::conditional_t<words == vmas::Words::in_vmas, WithWord, WithoutWord>;
    struct MostlyRead {};
    State(Hot&, MostlyRead&) {}
  };

  // The calling thread holds `range` exclusively from now on.
  void set_held(Range range) { held_.here().range = range; }

  template <class V>
  bool mergeable(const V& vma) {
    // One load: in no life does a VMA of this space's pool that is not held begin within the held
    // range.
    return held_.here().range.contains(vma.start.load(std::memory_order_relaxed));
  }

 private:
  struct Held {
    Range range{};
  };
  PerThread<P, Held> held_;
};

// The hooks of `Mm` are EntryHooks, and its container has locks of entries.
template <class Mm>
class LockInMaple : public SchemeBase<typename Mm::Platform, LockInMaple<Mm>> {
  using P = typename Mm::Platform;
  using V = typename Mm::V;

 public:
  explicit LockInMaple(const AddressSpaceOptions& options)
      : options_(options), mm_(options, hooks_, pool_) {}

  void enter() override {
    mm_.enter();
    regions_.here();
  }
  void append_events(Events& events) const override {
    events_.append_to(events);
    mm_.vmas().append_events(events);
  }
  std::vector<std::string> holders() const override {
    std::vector<std::string> lines;
    for (const std::string& line : mm_.vmas().locked())
      lines.push_back("lock_in_maple: locked by a thread that the tree does not name: " + line);
    if (lines.empty()) lines.emplace_back("lock_in_maple: no entry is locked");
    return lines;
  }
  std::string check() override { return mm_.check(); }
  std::optional<Observation> observe() override {
    Observation seen = mm_.observe();
    seen.program_break = break_.load(std::memory_order_relaxed);  // relaxed: threads are at rest
    return seen;
  }

 private:
  friend SchemeBase<P, LockInMaple>;

  enum Event : usize { placements_retried, stack_growth, event_count };

  // The entries of `range` and what they cut, held exclusively.
  class Hold {
   public:
    Hold(LockInMaple& scheme, Range range)
        : scheme_(scheme), range_(scheme.mm_.vmas().lock(range)) {
      scheme_.hooks_.set_held(range_);
    }
    // And the VMAs beside `range` that memory of this kind may merge with.
    Hold(LockInMaple& scheme, Range range, u32 prot, u32 flags)
        : Hold(scheme, scheme.with_neighbours(range, prot, flags)) {}
    ~Hold() { scheme_.mm_.vmas().unlock(range_); }
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;

    // Unlocks all but `kept`. The edges of `kept` are edges of entries.
    void give_up_all_but(Range kept) {
      for (const Range part : {Range{range_.start, kept.start}, Range{kept.end, range_.end}})
        if (part.start < part.end) scheme_.mm_.vmas().unlock(part);
      range_ = kept;
      scheme_.hooks_.set_held(range_);
    }

   private:
    LockInMaple& scheme_;
    Range range_;
  };

  bool do_touch(u64 address, Access access, u64* word) {
    return mm_.table().touch(address, access, word);
  }

  Error do_fault(u64 address, Access access) {
    for (;;) {
      if (V* vma = mm_.vmas().lock_shared(address)) {
        const Error error = serve(*vma, address, access);
        mm_.vmas().unlock_shared(*vma);
        return error;
      }
      if (const auto error = fault_in_hole(address, access)) return *error;
    }
  }

  MapResult do_map(u64 hint, u64 length, u32 prot, u32 flags) {
    if ((flags & map_fixed) != 0) {
      mm_.reserve();
      return map_at({hint, hint + length}, prot, flags);
    }
    MapResult result{0, Error::nomem};
    // True: there is a result.
    const auto take = [&](u64 start) {
      mm_.reserve();
      const MapResult tried = map_at({start, start + length}, prot, flags);
      if (tried.error == Error::inval) return false;
      result = tried;
      return true;
    };
    hint = page_floor(hint);
    const bool free = can_hold(hint, length) && mm_.first_in({hint, hint + length}) == nullptr;
    if (free && take(hint)) return result;
    regions_.here().place(
        length, [&](Range in) { return mm_.vmas().find_hole(in, length); },
        [&](u64 start) {
          if (take(start)) return true;
          events_.add(placements_retried);
          return false;
        });
    return result;
  }

  Error do_unmap(Range range) {
    mm_.reserve();
    Hold hold(*this, range);
    regions_.here().freed(range);
    return unmap_held(hold, range);
  }

  Error do_protect(Range range, u32 prot) {
    mm_.reserve();
    const Hold hold(*this, range, prot, 0);
    return mm_.protect(range, prot);
  }

  // Each try holds the page below the break that it has seen, so that two calls exclude each other.
  MapResult do_brk(i64 delta) {
    for (;;) {
      mm_.reserve();
      // relaxed: looked at again under the lock of the page below.
      const u64 old = break_.load(std::memory_order_relaxed);
      bool current = true;
      const MapResult result = move_break(
          old, delta, break_limits, [&](Range range) { return extend_break(range, current); },
          [&](Range range) { return lower_break(range, current); });
      if (current) return result;
    }
  }

  Error do_discard(Range range) {
    if (V* vma = mm_.vmas().lock_shared(range.start)) {
      const bool covers = range.end <= vma->range().end;
      if (covers) mm_.discard_in(*vma, range);
      mm_.vmas().unlock_shared(*vma);
      if (covers) return Error::none;
    }
    mm_.reserve();
    const Hold hold(*this, range);
    return mm_.discard(range);
  }

  bool do_walk(u64 address) { return mm_.table().walk(address); }

  u64 do_scan() { return mm_.vmas().count_vmas(); }

  // The caller holds the VMA.
  Error serve(V& vma, u64 address, Access access) {
    return Mm::to_error(mm_.serve_fault(&vma, address, access, [&] { prepare_anon_vma(vma); }));
  }
  void prepare_anon_vma(V& vma) {
    const Range own = vma.range();
    V* below = hold_if_alike(vma, own.start - 1);
    V* above = hold_if_alike(vma, own.end);
    mm_.prepare_anon_vma(vma, {below, above});
    for (V* held : {below, above})
      if (held != nullptr) mm_.vmas().unlock_shared(*held);
  }
  // The VMA of the address, held shared, or null if it is not like `vma`, or if another thread
  // holds it exclusively or waits for that.
  V* hold_if_alike(const V& vma, u64 address) {
    if (vma.flag_bits() != 0 || !is_alike(address, vma.protection())) return nullptr;
    return mm_.vmas().try_lock_shared(address);
  }

  // --- edits ---

  // The caller holds `range`, and maybe more.
  Error unmap_held(Hold& hold, Range range) {
    typename Mm::Detached detached;
    const Error error = mm_.detach(range, detached);
    if (error != Error::none) return error;
    hold.give_up_all_but(range);
    mm_.zap(range);
    mm_.release(detached);
    return Error::none;
  }

  // `range` begins at the break. Sets `current` to false if the break has moved since it was read;
  // then nothing has been done.
  Error extend_break(Range range, bool& current) {
    constexpr u32 prot = prot_read | prot_write;
    const Range below{range.start - page_size, range.end};
    const Hold hold(*this, below, prot, 0);
    current = is_break(range.start);
    if (!current || mm_.first_in(range) != nullptr) return Error::nomem;
    const Error error = mm_.map(range.start, range.length(), prot, 0).error;
    if (error == Error::none) set_break(range.end);
    return error;
  }
  // `range` ends at the break. `current`: as in extend_break.
  Error lower_break(Range range, bool& current) {
    Hold hold(*this, range);
    current = is_break(range.end);
    if (!current) return Error::nomem;
    const Error error = unmap_held(hold, range);
    if (error == Error::none) set_break(range.start);
    return error;
  }
  // relaxed, both: the caller holds the page below the break.
  bool is_break(u64 address) const { return break_.load(std::memory_order_relaxed) == address; }
  void set_break(u64 address) { break_.store(address, std::memory_order_relaxed); }

  // Without map_fixed answers EINVAL, and has done nothing, where `range` is not a hole.
  MapResult map_at(Range range, u32 prot, u32 flags) {
    const bool fixed = (flags & map_fixed) != 0;
    const Hold hold(*this, range, prot, flags & ~map_fixed);
    if (!fixed && mm_.first_in(range) != nullptr) return {0, Error::inval};
    return mm_.map(range.start, range.length(), prot, flags);
  }

  // `range`, and a page of each VMA beside it that memory of this kind may merge with.
  Range with_neighbours(Range range, u32 prot, u32 flags) const {
    if (!options_.merge || flags != 0) return range;
    if (range.start > lowest_address && is_alike(range.start - 1, prot)) range.start -= page_size;
    if (is_alike(range.end, prot)) range.end += page_size;
    return range;
  }
  bool is_alike(u64 address, u32 prot) const {
    const V* vma = mm_.find_rcu(address);
    return vma != nullptr && Mm::is_plain(*vma, prot);
  }

  // A fault has found a free hole. Grows the stack above, if there is one that may grow. Nothing
  // comes back if the caller has to look again.
  std::optional<Error> fault_in_hole(u64 address, Access access) {
    const u64 page = page_floor(address);
    const u64 limit = std::min(page + stack_limit, address_space_end);
    const u64 above = mm_.vmas().first_taken({page, limit});
    if (above == page) return std::nullopt;
    if (nothing_grows({page, limit}, above)) return Error::segv;
    const u64 gap = page < stack_guard_gap ? 0 : page - stack_guard_gap;
    const u64 end = std::min(above + page_size, limit);
    mm_.reserve();
    const Hold hold(*this, {gap, end});
    V* vma = mm_.first_in({page, end});
    if (vma == nullptr && end != limit) return std::nullopt;
    if (vma != nullptr && vma->range().contains(address)) return std::nullopt;
    if (vma == nullptr || !Mm::may_grow(vma, address)) return Error::segv;
    if (!mm_.grow(*vma, address)) return Error::segv;
    events_.add(stack_growth);
    return serve(*vma, address, access);
  }
  // Whether at one moment there was no stack that could grow down to the start of `below`. `above`:
  // the first address in that range that is taken, or its end. False does not mean that there was
  // one.
  bool nothing_grows(Range below, u64 above) {
    if (above == below.end) return mm_.vmas().is_free_slot(below);
    V* vma = mm_.vmas().lock_shared(above);
    if (vma == nullptr) return false;
    const bool nothing = !Mm::may_grow(vma, below.start) && vma->range().start > below.start &&
                         mm_.vmas().is_free_slot({below.start, vma->range().start});
    mm_.vmas().unlock_shared(*vma);
    return nothing;
  }

  const AddressSpaceOptions options_;
  typename Mm::Hooks hooks_;
  typename Mm::VmaPool pool_;
  Mm mm_;
  typename P::template atomic<u64> break_{break_start};  // the lock of the page below guards it
  PerThread<P, OwnRegion<P>> regions_;
  EventCounters<P, event_count> events_{
      {"lock_in_maple.placement_retries", "lock_in_maple.stack_growth"}};
};

struct lock_in_maple_scheme {
  template <class P, vmas::Words words, class Tree = vmas::LockingMapleOf<words>>
  using Over = LockInMaple<Mm<P, Tree, EntryHooks<P, words>>>;
  template <class P, Choices choices>
  using Made = Over<P, choices[0] == 0 ? vmas::Words::in_vmas : vmas::Words::in_nodes>;
};

}  // namespace faultline
