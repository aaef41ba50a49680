// Scheme `range_lock`: narrow ranges of the address space instead of one semaphore, after Bueso's
// series (locks/range/tree_range_lock.hpp). Narrow ranges need two more things.
//
// 1. A structure lock (structure_lock.hpp). Disjoint writers still edit one container of VMAs, so
// each does its edit under an inner lock, which look-ups share if the lock can be shared. No thread
// clears a page, zaps, shoots down or waits for a range while it holds the structure lock. Order:
// range, then structure.
// 2. The neighbour rule (neighbour_rule.hpp): an edit's range reaches over VMAs beside it. The edit
// computes this reach under the structure lock, and again when it holds the range. If the reach has
// grown, the edit releases its range and tries again (range_lock.reach_retries). The last try takes
// the whole address space (range_lock.whole_space).
//
// Where the range lock has a queue (QueuedRangeLock), a map reserves its place. It chooses the
// place under the structure lock. The zap of an earlier unmap may still be at work at that place,
// so the map has to wait for the range. Until it holds the range, it keeps the place with a VMA
// that is marked reserved (RangeLockHooks). The map enters the queue of the range before it
// releases the structure lock. So a thread that holds an overlapping range and finds the
// reservation came earlier in the queue than the map; it releases its range and takes it again,
// behind the map (range_lock.reservation_waits). Other maps find the place occupied and choose
// another. No other operation changes it. What is mapped beside it may stay apart from it.
//
// Without a queue, nothing would order the map before the threads that find its reservation. So a
// map that chooses its place reserves nothing: it is an edit that chooses anew each time it
// computes its reach. Threads that map at the same time choose the same place, and all but the
// first try again. Over any range lock, a fixed map that replaces mappings reserves its place while
// it holds that exclusively.
//
// The holds of each operation: fault, its page shared; discard, its range shared; map, protect, brk
// and stack growth, the reach exclusively; unmap, the reach exclusively to detach, then its own
// range shared to zap. A scan takes the structure lock alone and walks some VMAs at a time, as
// /proc/PID/maps does. A fault sets an anon_vma under the structure lock, which keeps the
// neighbours unchanged, so its range need not include them. No thread holds two ranges at once,
// except a map that enters the queue a second time.
//
// Option `narrow` names the kinds of operation that lock these ranges. The others do the same work,
// but lock the whole address space instead of a range, as full_range does; a scan among them locks
// it shared. At the summit of 2019 Mel Gorman proposed this way from mmap_sem to ranges: all users
// lock the whole address space first, and then each of them can be evaluated and narrowed by itself
// (LWN, "How to get rid of mmap_sem"). narrow=none differs from full_range by the structure lock
// alone. A map that holds the whole address space and chooses its place reserves nothing.
//
// An edit may find its range in three other ways (RangeFinding), each of which is a scheme:
// range_downgrade.hpp, range_refine.hpp and range_descend.hpp.
//
// A protect changes the VMAs first. It restricts their pages afterwards, under the range alone.
// Between the two a fault beside the range may find the new protection of its neighbour.
//
// Not linearizable: a discard holds its range shared, so faults may come between its pages; a scan
// lets the structure lock go on its way; and a walk takes no lock, so it may find a page that a
// call still at work takes away.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "locks/address_space/mm.hpp"
#include "locks/range/concept.hpp"
#include "locks/range/tree_range_lock.hpp"
#include "locks/schemes/neighbour_rule.hpp"
#include "locks/schemes/scheme_base.hpp"
#include "locks/schemes/structure_lock.hpp"

namespace faultline {

// The hooks of `range_lock`.
template <class P>
struct RangeLockHooks : NoHooks {
  struct State {
    static constexpr Layout layout = Layout::linux_6_18;
    struct Hot {};
    // Accessed under the structure lock.
    struct MostlyRead {
      typename P::template data<bool> reserved;
    };
    State(Hot&, MostlyRead&) {}
  };
  template <class V>
  void attach(V& vma) {
    vma.mostly_read.reserved.store(false);
  }
  template <class V>
  bool mergeable(const V& vma) const {
    return !vma.mostly_read.reserved.load();
  }
};

// The kinds of operation that option `narrow` tells apart, in the order of its words (list.def). A
// map, fixed or not, is of kind map, and a fault that grows a stack is a fault.
enum class RangeKind : u32 { fault, map, unmap, protect, brk, discard, scan };
constexpr u32 bit(RangeKind kind) {
  return u32{1} << static_cast<u32>(kind);
}

// How an edit gets its range, whose size nobody knows before the look at the VMAs beside it.
enum class RangeFinding : u32 {
  looks,       // it computes its reach, locks that, and computes it again
  refines,     // it locks its own range, computes its reach, and locks that where it needs more
  downgrades,  // it locks the whole address space, computes its reach, and gives up the rest
  descends     // it computes its reach and enters the queue in one section of the structure lock
};

// The hooks of `Mm` are RangeLockHooks. `Structure` is a class of structure_lock.hpp. Only tests
// pass another `Rule`.
template <class Mm, class Structure, RangeLock Ranges = TreeRangeLock<typename Mm::Platform>,
          class Rule = NeighbourRule<Mm>>
class RangeLockScheme
    : public SchemeBase<typename Mm::Platform, RangeLockScheme<Mm, Structure, Ranges, Rule>> {
  using P = typename Mm::Platform;
  using V = typename Mm::V;
  using VmaPool = typename Mm::VmaPool;
  using Node = typename Ranges::Node;
  using Read = typename Structure::Read;
  using Write = typename Structure::Write;
  using Kind = RangeKind;

 public:
  explicit RangeLockScheme(const AddressSpaceOptions& options)
      : mm_(options, hooks_, pool_),
        rule_(mm_, options.merge),
        narrow_(options.narrow),
        finding_(static_cast<RangeFinding>(options.range_finding)),
        ranges_(lock_of<Ranges>(options)),
        structure_(options) {
    label_lock<P>(structure_, "range_lock.structure");
  }

  void enter() override { mm_.enter(); }

  void append_events(Events& events) const override {
    events_.append_to(events);
    ranges_.append_events(events);
    structure_.append_events(events);
  }

  std::vector<std::string> holders() const override {
    std::vector<std::string> lines = ranges_.describe();
    lines.push_back("structure lock: " + structure_.describe());
    return lines;
  }

  std::string check() override {
    if (std::string error = mm_.check(); !error.empty()) return error;
    for (const V* vma = mm_.find(0); vma != nullptr; vma = mm_.next(*vma))
      if (is_reserved(*vma)) return "a reserved VMA was left behind";
    return ranges_.describe().empty() ? "" : "a range is still held";
  }
  std::optional<Observation> observe() override {
    Observation seen = mm_.observe();
    seen.program_break = break_.load();
    return seen;
  }

 private:
  friend SchemeBase<P, RangeLockScheme>;

  enum Event : usize {
    reach_retries,
    refinements,  // first guesses of edits that refine and needed more
    whole_space,
    anon_vmas,
    stack_growths,  // faults below a stack, or below a reserved place that may become one
    reservation_waits,
    event_count
  };

  static constexpr u32 max_reach_tries = 3;
  static constexpr u32 scan_batch = 64;

  static constexpr Merging no_merging{prot_none, false, false};
  static Merging merges_with(u32 prot, u32 flags) { return {prot, flags == 0, false}; }

  static Range page_of(u64 address) {
    return {page_floor(address), page_floor(address) + page_size};
  }
  static bool covers(Range outer, Range inner) {
    return outer.start <= inner.start && inner.end <= outer.end;
  }

  bool is_narrow(Kind kind) const { return (narrow_ & bit(kind)) != 0; }
  // What an operation of that kind locks instead of `needed`.
  Range widened(Kind kind, Range needed) const {
    return is_narrow(kind) ? needed : whole_address_space;
  }

  // The caller holds the structure lock.
  Range reach(Range range, Merging merging) const { return rule_.reach(range, merging); }

  // --- operations ---

  bool do_touch(u64 address, Access access, u64* word) {
    return mm_.table().touch(address, access, word);
  }

  Error do_fault(u64 address, Access access) {
    for (;;) {
      Node node;
      ranges_.lock(node, widened(Kind::fault, page_of(address)), false);
      Found found;
      const FaultStep step = serve(address, access, found);
      ranges_.unlock(node);
      if (found == Found::below_stack) return fault_growing(address, access);
      if (found != Found::reserved) return Mm::to_error(step);
      events_.add(reservation_waits);
    }
  }

  MapResult do_map(u64 hint, u64 length, u32 prot, u32 flags) {
    if ((flags & map_fixed) != 0) return map_fixed_at(hint, length, prot, flags & ~map_fixed);
    if constexpr (QueuedRangeLock<Ranges>)
      if (is_narrow(Kind::map) && finding_ != RangeFinding::downgrades)
        return map_reserved(hint, length, prot, flags);
    return map_unreserved(hint, length, prot, flags);
  }

  Error do_unmap(Range range) {
    Node node;
    typename Mm::Detached detached;
    Error error = Error::none;
    const Range held = edit(
        Kind::unmap, node, range, [&] { return reach(range, no_merging); },
        [&] { error = mm_.detach(range, detached); });
    if (error == Error::none)
      zap_shared(Kind::unmap, node, held, range, detached);
    else
      ranges_.unlock(node);
    return error;
  }

  Error do_protect(Range range, u32 prot) {
    Node node;
    u64 end = range.start;
    // The pages keep rights that their VMAs have lost until restrict(). No thread can fault them in
    // meanwhile, since the range is held.
    edit(
        Kind::protect, node, range,
        [&] {
          return reach(range, {prot, true, true});
        },
        [&] { end = mm_.protect_vmas(range, prot); });
    mm_.table().restrict({range.start, end}, prot);
    ranges_.unlock(node);
    return end == range.end ? Error::none : Error::nomem;
  }

  MapResult do_brk(i64 delta) {
    for (;;) {
      const u64 old = read_break();
      bool current = true;
      const MapResult result = move_break(
          old, delta, break_limits, [&](Range range) { return extend_break(range, current); },
          [&](Range range) { return lower_break(range, current); });
      if (current) return result;
    }
  }

  Error do_discard(Range range) {
    Node node;
    ranges_.lock(node, widened(Kind::discard, range), false);
    bool hole = false;
    for (u64 at = range.start; at < range.end;) {
      Range part = next_mapped({at, range.end});
      hole = hole || part.start > at;
      if (part.length() != 0) mm_.zap(part);
      at = part.end;
    }
    ranges_.unlock(node);
    return hole ? Error::nomem : Error::none;
  }

  bool do_walk(u64 address) { return mm_.table().walk(address); }

  u64 do_scan() {
    if (is_narrow(Kind::scan)) return count_vmas();
    Node node;
    ranges_.lock(node, whole_address_space, false);
    const u64 count = count_vmas();
    ranges_.unlock(node);
    return count;
  }

  // --- edits ---

  // Locks the range that `needed_now` answers exclusively, widened. Then, under the structure lock,
  // calls `change` if the held range still covers what is needed; else tries again. Answers the
  // held range, which the caller releases. `own`: what the caller itself names, inside the range
  // that is needed. Empty where it names none.
  template <class Needed, class Change>
  Range edit(Kind kind, Node& node, Range own, const Needed& needed_now, const Change& change) {
    mm_.reserve();
    Range held;
    if (finding_ == RangeFinding::descends) {
      if (descend(kind, node, held, needed_now, change)) return held;
    } else {
      held = is_narrow(kind) ? first_guess(own, needed_now) : whole_address_space;
      ranges_.lock(node, held, true);
      if (finding_ == RangeFinding::downgrades && is_narrow(kind))
        held = give_up_rest(node, needed_now);
    }
    u32 tries = guesses(own) ? 0 : 1;
    while (!change_or_release(kind, node, held, tries, needed_now, change))
      ranges_.lock(node, held, true);
    return held;
  }

  // Calls `change` under the structure lock, if `held` covers what is needed and no map waits for a
  // part of that. Else releases `held` and sets it to what the next try has to hold. The first
  // guess of an edit that refines is no try, and has number 0.
  template <class Needed, class Change>
  bool change_or_release(Kind kind, Node& node, Range& held, u32& tries, const Needed& needed_now,
                         const Change& change) {
    bool waits = false;
    {
      Write write(structure_);
      const Range needed = needed_now();
      waits = has_reservation(needed);
      if (!waits && covers(held, needed)) {
        change();
        return true;
      }
      held = widened(kind, needed);
    }
    ranges_.unlock(node);
    events_.add(waits ? reservation_waits : tries == 0 ? refinements : reach_retries);
    if (!waits) held = next_guess(held, tries);
    if (!waits || tries == 0) ++tries;
    return false;
  }

  // Computes the reach and enters the queue of the range in one section of the structure lock.
  // Where that holds the range at once, no edit or map is at work there, so the reach is right and
  // nobody has reserved a part of it: calls `change` in the same section, and answers true. Without
  // a queue a try takes the place of the entry, and an edit that fails locks the range later.
  template <class Needed, class Change>
  bool descend(Kind kind, Node& node, Range& held, const Needed& needed_now, const Change& change) {
    {
      Write write(structure_);
      held = widened(kind, needed_now());
      if (holds_at_once(node, held)) {
        change();
        return true;
      }
    }
    if constexpr (QueuedRangeLock<Ranges>)
      ranges_.wait(node);
    else
      ranges_.lock(node, held, true);
    return false;
  }
  bool holds_at_once(Node& node, Range range) {
    if constexpr (QueuedRangeLock<Ranges>)
      return ranges_.enqueue(node, range, true);
    else
      return ranges_.try_lock(node, range, true);
  }

  // The range to hold at the next try, after `tries` tries, when the reach has grown to `needed`.
  Range next_guess(Range needed, u32 tries) {
    if (tries < max_reach_tries) return needed;
    events_.add(whole_space);
    return whole_address_space;
  }

  template <class Needed>
  Range first_guess(Range own, const Needed& needed_now) {
    if (finding_ == RangeFinding::downgrades) return whole_address_space;
    return guesses(own) ? own : look(needed_now);
  }
  bool guesses(Range own) const { return finding_ == RangeFinding::refines && own.length() != 0; }
  template <class Needed>
  Range look(const Needed& needed_now) {
    Read read(structure_);
    return needed_now();
  }

  // Of a hold of the whole address space keeps what `needed_now` answers, and answers that.
  template <class Needed>
  Range give_up_rest(Node& node, const Needed& needed_now) {
    const Range kept = look(needed_now);
    if (kept.length() != whole_address_space.length()) ranges_.downgrade_range(node, kept);
    return kept;
  }

  // The VMAs are detached. The range stays held so that no map takes it before its last page is
  // gone.
  void zap_shared(Kind kind, Node& node, Range held, Range range, typename Mm::Detached& detached) {
    keep_shared(kind, node, held, range);
    mm_.zap(range);
    ranges_.unlock(node);
    mm_.release(detached);
  }

  // Downgrades the hold to `range`, widened, and shared.
  void keep_shared(Kind kind, Node& node, Range held, Range range) {
    const Range kept = widened(kind, range);
    if (held.length() != kept.length()) ranges_.downgrade_range(node, kept);
    ranges_.downgrade(node);
  }

  // --- map ---

  // Enters the queue of the range and reserves its place in one section of the structure lock. A
  // map that descends needs no reservation where it holds the range at once.
  MapResult map_reserved(u64 hint, u64 length, u32 prot, u32 flags) {
    mm_.reserve();
    Node nodes[2];
    Range range;
    Range held;
    MapResult result{0, Error::nomem};
    bool waits = false;
    bool reserved = false;
    {
      Write write(structure_);
      const u64 start = mm_.place(hint, length);
      if (start == 0) return result;
      range = {start, start + length};
      held = reach(range, merges_with(prot, flags));
      waits = !ranges_.enqueue(nodes[0], held, true);
      if (finding_ == RangeFinding::descends && !waits)
        result = mm_.map(start, length, prot, flags);
      else
        reserved = reserve(range);
    }
    if (waits) ranges_.wait(nodes[0]);
    if (!reserved) {
      ranges_.unlock(nodes[0]);
      return result;
    }
    commit_reserved(range, held, nodes, prot, flags);
    return {range.start, Error::none};
  }

  // The place is free for others until the map holds it, so the map chooses again when it does.
  MapResult map_unreserved(u64 hint, u64 length, u32 prot, u32 flags) {
    Node node;
    u64 start = 0;
    MapResult result;
    edit(
        Kind::map, node, {},
        [&] {
          start = mm_.place(hint, length);
          if (start == 0) return whole_address_space;
          return reach({start, start + length}, merges_with(prot, flags));
        },
        [&] { result = mm_.map(start, length, prot, flags); });
    ranges_.unlock(node);
    return result;
  }

  static bool is_reserved(const V& vma) { return vma.mostly_read.reserved.load(); }

  // Under the structure lock. Whether a map has reserved a part of `range`.
  bool has_reservation(Range range) const {
    if (reservations_.load() == 0) return false;
    for (const V* vma = mm_.find(range.start); vma != nullptr && vma->range().start < range.end;
         vma = mm_.next(*vma))
      if (is_reserved(*vma)) return true;
    return false;
  }

  // Under the structure lock, exclusively. `range` is a hole. False means too many VMAs.
  bool reserve(Range range) {
    P::kernel_work(KernelWork::edit);
    V* vma = mm_.add_apart(range, prot_none, 0);
    if (vma == nullptr) return false;
    vma->mostly_read.reserved.store(true);
    reservations_.store(reservations_.load() + 1);
    return true;
  }

  // nodes[0] holds `held`. Where the reach has grown meanwhile, nodes[1] enters the queue for the
  // new reach before nodes[0] leaves, so that the reservation's owner is always in the queue.
  void commit_reserved(Range range, Range held, Node (&nodes)[2], u32 prot, u32 flags) {
    for (u32 tries = 1;; ++tries) {
      Node& node = nodes[(tries - 1) % 2];
      Node& next = nodes[tries % 2];
      bool waits = false;
      bool done = false;
      {
        Write write(structure_);
        const Range needed = reach(range, merges_with(prot, flags));
        done = covers(held, needed);
        if (done) {
          commit(range, prot, flags, true);
        } else {
          held = next_guess(needed, tries);
          waits = !ranges_.enqueue(next, held, true);
        }
      }
      ranges_.unlock(node);
      if (done) return;
      events_.add(reach_retries);
      if (waits) ranges_.wait(next);
    }
  }

  // Exclusive, under the structure lock. Turns the reservation of `range` into a mapping: stretches
  // a neighbour where that is possible, else changes the reserved VMA itself.
  void commit(Range range, u32 prot, u32 flags, bool may_stretch) {
    V* vma = mm_.find(range.start);
    reservations_.store(reservations_.load() - 1);
    if (may_stretch && reach(range, merges_with(prot, flags)).length() != range.length()) {
      typename Mm::Detached detached;
      mm_.detach(range, detached);
      mm_.release(detached);
      mm_.map(range.start, range.length(), prot, flags);
      return;
    }
    vma->set_protection(prot);
    vma->set_flags(flags);
    vma->mostly_read.reserved.store(false);
  }

  // One edit detaches what lies in the way and reserves the range, so that no other map finds the
  // hole. After it the pages are zapped, and then the reservation is committed.
  MapResult map_fixed_at(u64 hint, u64 length, u32 prot, u32 flags) {
    const Range range{hint, hint + length};
    Node node;
    typename Mm::Detached detached;
    bool replaces = false;
    MapResult result;
    const auto needed = [&] { return reach(range, merges_with(prot, flags)); };
    const Range held = edit(Kind::map, node, range, needed, [&] {
      const V* first = mm_.find(range.start);
      replaces = first != nullptr && first->range().start < range.end;
      if (!replaces) {
        result = mm_.map(range.start, range.length(), prot, flags);
        return;
      }
      result = {range.start, mm_.detach(range, detached)};
      if (result.error == Error::none && !reserve(range)) result.error = Error::nomem;
    });
    if (replaces && result.error == Error::none) {
      mm_.zap(range);
      mm_.release(detached);
      Write write(structure_);
      commit(range, prot, flags, covers(held, needed()));
    }
    ranges_.unlock(node);
    return result;
  }

  // --- brk ---

  u64 read_break() {
    Read read(structure_);
    return break_.load();
  }

  // The range always includes the page below the old break, so that two calls of brk exclude each
  // other.
  Range break_reach(Range range, u64 old, Merging merging) const {
    Range result = reach(range, merging);
    result.start = std::min(result.start, old - page_size);
    return result;
  }

  // `range` begins at the break. Sets `current` to false if the break has moved since it was read;
  // then nothing has been done.
  Error extend_break(Range range, bool& current) {
    Node node;
    Error error = Error::none;
    const Merging merging = merges_with(prot_read | prot_write, 0);
    edit(
        Kind::brk, node, Range{range.start - page_size, range.end},
        [&] { return break_reach(range, range.start, merging); },
        [&] {
          current = break_.load() == range.start;
          if (!current) return;
          const V* after = mm_.find(range.start);
          const bool free = after == nullptr || after->range().start >= range.end;
          if (!free || mm_.map(range.start, range.length(), merging.prot, 0).error != Error::none) {
            error = Error::nomem;
            return;
          }
          break_.store(range.end);
        });
    ranges_.unlock(node);
    return error;
  }

  // `range` ends at the break. `current`: as in extend_break.
  Error lower_break(Range range, bool& current) {
    Node node;
    typename Mm::Detached detached;
    Error error = Error::none;
    const Range held = edit(
        Kind::brk, node, range, [&] { return break_reach(range, range.end, no_merging); },
        [&] {
          current = break_.load() == range.end;
          if (!current) return;
          error = mm_.detach(range, detached);
          if (error == Error::none) break_.store(range.start);
        });
    if (current && error == Error::none)
      zap_shared(Kind::brk, node, held, range, detached);
    else
      ranges_.unlock(node);
    return error;
  }

  // --- faults ---

  enum class Found { vma, hole, below_stack, reserved };

  // The caller holds the page, shared, so what it found there cannot change, and serve() needs no
  // structure lock for the fault itself. A VMA at another address can change, so serve() does not
  // hand one out.
  FaultStep serve(u64 address, Access access, Found& found) {
    V* vma = nullptr;
    {
      Read read(structure_);
      vma = mm_.find(address);
      found = what_lies_at(address, vma);
    }
    if (found != Found::vma) return FaultStep::no_vma;
    const FaultStep step = mm_.fault_step(vma, address, access);
    if (step != FaultStep::needs_anon_vma) return step;
    events_.add(anon_vmas);
    {
      Read read(structure_);
      mm_.prepare_anon_vma(*vma);
    }
    return mm_.fault_step(vma, address, access);
  }

  // Under the structure lock. `vma` is the first VMA that ends above `address`, or null.
  static Found what_lies_at(u64 address, const V* vma) {
    if (vma == nullptr) return Found::hole;
    if (vma->range().contains(address)) return is_reserved(*vma) ? Found::reserved : Found::vma;
    return may_become_stack(vma, address) ? Found::below_stack : Found::hole;
  }
  // Whether `vma`, above `address`, may grow down to it, or is reserved and may soon be a stack.
  static bool may_become_stack(const V* vma, u64 address) {
    if (vma == nullptr || !is_reserved(*vma)) return Mm::may_grow(vma, address);
    return address < vma->range().start && vma->range().end - page_floor(address) <= stack_limit;
  }

  // Holds the range from the page to the stack's first page exclusively, since the zap of an
  // earlier unmap may still be at work where the stack grows. So it comes after a map that has
  // reserved that first page. Then holds the page alone, shared, as any fault does.
  Error fault_growing(u64 address, Access access) {
    events_.add(stack_growths);
    const Range page = page_of(address);
    Node node;
    const Range held = edit(
        Kind::fault, node, page,
        [&] {
          V* vma = mm_.find(address);
          return may_become_stack(vma, address) ? Range{page.start, vma->range().start + page_size}
                                                : page;
        },
        [&] {
          V* vma = mm_.find(address);
          if (Mm::may_grow(vma, address)) mm_.grow(*vma, address);
        });
    keep_shared(Kind::fault, node, held, page);
    Found found;
    const FaultStep step = serve(address, access, found);
    ranges_.unlock(node);
    return Mm::to_error(step);
  }

  // The first mapped part of `range`. Empty, at the range's end, when there is none.
  Range next_mapped(Range range) {
    Read read(structure_);
    const V* vma = mm_.find(range.start);
    // A reserved part was a hole when this thread took the range.
    while (vma != nullptr && is_reserved(*vma)) vma = mm_.next(*vma);
    if (vma == nullptr || vma->range().start >= range.end) return {range.end, range.end};
    return {std::max(range.start, vma->range().start), std::min(range.end, vma->range().end)};
  }

  u64 count_vmas() {
    u64 count = 0;
    for (u64 at = 0; at < address_space_end;) {
      Read read(structure_);
      const V* vma = mm_.find(at);
      for (u32 i = 0; i < scan_batch && vma != nullptr; ++i, vma = mm_.next(*vma)) {
        if (!is_reserved(*vma)) ++count;
        at = vma->range().end;
      }
      if (vma == nullptr) break;
    }
    return count;
  }

  typename Mm::Hooks hooks_;
  VmaPool pool_;
  Mm mm_;
  Rule rule_;
  const u32 narrow_;
  const RangeFinding finding_;
  Ranges ranges_;
  // The holder of the structure lock accesses the two numbers behind it, on the line of a small
  // lock. No other member shares a line with it. The scheme is not the kernel's.
  alignas(cache_line) Structure structure_;
  typename P::template data<u64> break_{break_start};
  typename P::template data<u64> reservations_;
  alignas(cache_line) EventCounters<P, event_count> events_{
      {"range_lock.reach_retries", "range_lock.refinements", "range_lock.whole_space",
       "range_lock.anon_vma", "range_lock.stack_growth", "range_lock.reservation_waits"}};
};

// The schemes whose edits find their range in that way. Their spaces are of one type, and one
// translation unit compiles all of them (CMakeLists.txt).
template <RangeFinding way>
struct RangeSchemes {
  static constexpr RangeFinding finding = way;
  template <class P>
  using UsualRanges = TreeRangeLock<P>;
  template <class P, class Vmas, class Lock, class Ranges, Layout layout>
  using Space =
      RangeLockScheme<Mm<P, Vmas, RangeLockHooks<P>, layout>, StructureOf<P, Lock>, Ranges>;

  static void take(const Chosen&, AddressSpaceOptions& options) {
    options.range_finding = static_cast<u32>(way);
  }
};

struct range_lock_scheme : RangeSchemes<RangeFinding::looks> {
  static void take(const Chosen& chosen, AddressSpaceOptions& options) {
    options.narrow = chosen.bits("narrow");
  }
};

// For tests and the checker, which make a space without the catalogue.
template <RangeFinding finding, class Space>
class FoundBy : public Space {
 public:
  explicit FoundBy(AddressSpaceOptions options) : Space(with_finding(std::move(options))) {}

 private:
  static AddressSpaceOptions with_finding(AddressSpaceOptions options) {
    options.range_finding = static_cast<u32>(finding);
    return options;
  }
};

}  // namespace faultline
