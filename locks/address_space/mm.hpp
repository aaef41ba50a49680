// An address space of VMAs without a lock, for schemes to protect. The comment of each function
// says what its caller must hold. The scheme decides which lock gives that.
//   shared:    no thread edits the container, or the VMAs concerned, meanwhile
//   exclusive: no other thread reads or edits them (hooks keep RCU readers off single VMAs)
#pragma once

#include <concepts>
#include <initializer_list>
#include <string>
#include <utility>

#include "locks/address_space/break.hpp"
#include "locks/address_space/observation.hpp"
#include "locks/address_space/page_table.hpp"
#include "locks/address_space/violations.hpp"
#include "locks/address_space/vma.hpp"
#include "locks/address_space/vma_count.hpp"
#include "locks/per_thread.hpp"
#include "locks/pool.hpp"
#include "locks/vmas/concept.hpp"

namespace faultline {

// Functions that Mm calls around its edits, all within the scheme's exclusive section:
//   start_write   before Mm changes a VMA, or takes it out of the container
//   end_write     after Mm has changed a VMA that stays in the container
//   attach        before a VMA enters the container
//   detach        after a VMA has left the container
//   drop          when Mm no longer needs a VMA that has left the container. False: somebody else
//                 still reads it, and will return it to the pool (Mm::give_back)
// `mergeable` answers whether a VMA may become part of another. Schemes call `open` when an
// exclusive section begins and `close` when it ends. `State` is a view of the fields that the hooks
// keep in each VMA: State::MostlyRead, and State::Hot, which faults write. State::layout is the
// default layout of all fields of the VMA. `edits_concurrently`: threads that exclude one another
// from single VMAs and holes edit at the same time, over a container that permits it. Then Mm reads
// no bounds of a VMA that its caller does not hold, except to ask whether it is mergeable, and
// `mergeable` answers false for such a VMA.
template <class H, class V>
concept VmaHooks = requires(H hooks, V& vma) {
  typename H::State;
  { H::edits_concurrently } -> std::convertible_to<bool>;
  hooks.open();
  hooks.close();
  hooks.start_write(vma);
  hooks.end_write(vma);
  hooks.attach(vma);
  hooks.detach(vma);
  { hooks.drop(vma) } -> std::same_as<bool>;
  { hooks.mergeable(vma) } -> std::same_as<bool>;
};

struct NoHooks {
  static constexpr bool edits_concurrently = false;
  struct State {
    static constexpr Layout layout = Layout::linux_6_18;
    struct Hot {};
    struct MostlyRead {};
    State(Hot&, MostlyRead&) {}
  };
  void open() {}
  void close() {}
  template <class V>
  void start_write(V&) {}
  template <class V>
  void end_write(V&) {}
  template <class V>
  void attach(V&) {}
  template <class V>
  void detach(V&) {}
  template <class V>
  bool drop(V&) {
    return true;
  }
  template <class V>
  bool mergeable(const V&) const {
    return true;
  }
};

// From `changed` on: outcomes of speculative faults alone.
enum class FaultStep : int {
  done,
  no_vma,
  segv,
  nomem,
  needs_anon_vma,
  changed,
  not_anonymous,
  no_table,
  table_locked
};

// `Vmas` is a family of containers such as `vmas::RbTree` (locks/vmas/concept.hpp).
template <class P, class Vmas, class HooksOfScheme, Layout layout = HooksOfScheme::State::layout>
class Mm {
 public:
  using Platform = P;
  using Hooks = HooksOfScheme;
  using V = Vma<P, Vmas::template Links, typename Hooks::State, layout>;
  using Container = typename Vmas::template Container<P, V>;
  using VmaPool = Pool<P, V>;
  using Count = std::conditional_t<Hooks::edits_concurrently, SplitVmaCount<P>, VmaCount<P>>;

  static_assert(VmaContainer<Container, V>);
  static_assert(FindsGaps<Container> || Hooks::edits_concurrently);
  static_assert(VmaHooks<Hooks, V>);

  static constexpr bool searchable_under_rcu = Container::searchable_under_rcu;
  static constexpr bool misses_nothing = MissesNothing<Container>;
  // vm.max_map_count
  static constexpr u64 max_vmas = 65530;

  // `pool` outlives the Mm. Address spaces may share one pool, as those of the kernel share a slab.
  Mm(const AddressSpaceOptions& options, Hooks& hooks, VmaPool& pool)
      : options_(options), hooks_(hooks), pool_(pool), table_(options, violations_) {}

  // Makes `word`, a field of the scheme's lock, count the VMAs. The lock outlives this object. Null
  // changes nothing. Called before the first operation.
  void count_in(typename P::template data<u64>* word) { count_.count_in(word); }

  void enter() {
    table_.enter();
    pool_.reserve(options_.vmas_per_thread);
  }

  // The caller holds nothing and is about to edit. Reserves the memory that the container needs for
  // the VMAs that one edit inserts: at most four, where a fixed map cuts one VMA at both ends,
  // reserves the place (range_lock) and maps the place anew. The pool of VMAs may allocate under
  // the lock, as the kernel's slab does.
  void reserve() { vmas_.reserve(4); }

  // Shared. `find` answers the first VMA that ends above `address`, or null.
  V* find(u64 address) const { return vmas_.find(address); }
  V* next(const V& vma) const { return vmas_.next(vma); }
  // Shared over `range`. The first VMA that has a part of it, or null.
  V* first_in(Range range) const {
    if constexpr (Hooks::edits_concurrently) return vmas_.first_in(range);
    V* vma = vmas_.find(range.start);
    return vma != nullptr && vma->range().start < range.end ? vma : nullptr;
  }
  // Needs RCU alone. Null may be a miss, and the VMA may have been detached since the look-up.
  V* find_rcu(u64 address) const requires searchable_under_rcu { return vmas_.find_rcu(address); }
  // Needs RCU alone. A walk of the VMAs that end above `address` (MissesNothing).
  auto walk_rcu(u64 address) const requires misses_nothing {
    return typename Container::Walk(vmas_, address);
  }
  PageTable<P>& table() { return table_; }
  // For schemes whose container has locks of its own.
  Container& vmas() { return vmas_; }
  const Container& vmas() const { return vmas_; }
  const Hooks& hooks() const { return hooks_; }
  const AddressSpaceOptions& options() const { return options_; }

  // Shared for `vma` alone, which may be null. `done` means that the page is mapped.
  FaultStep fault_step(V* vma, u64 address, Access access) {
    if (vma == nullptr) return FaultStep::no_vma;
    const FaultPlan plan = plan_fault(*vma, address, access);
    if (plan.step != FaultStep::done) return plan.step;
    if (!table_.fault_in(address, access, plan.prot, plan.page)) return FaultStep::nomem;
    note_unless_held(*vma, {address, address + 1},
                     "a fault was served in a VMA that had been detached or moved");
    return FaultStep::done;
  }

  // With nothing held. `seen` is a copy of the VMA's fields, and `valid()` answers whether they
  // have stayed the same. locks/schemes/speculation.hpp says why this suffices.
  template <class Valid>
  FaultStep speculative_step(const VmaCopy& seen, u64 address, Access access, const Valid& valid) {
    const FaultPlan plan = plan_fault(seen, address, access);
    if (!valid()) return FaultStep::changed;
    if (plan.step != FaultStep::done) return plan.step;
    // vma_is_anonymous() in the kernel. Shared anonymous memory is a file of shmem there.
    if (seen.has(map_file) || seen.has(map_shared)) return FaultStep::not_anonymous;
    switch (table_.fault_in_if(address, access, plan.prot, plan.page, valid)) {
      case FaultIn::done:
        return FaultStep::done;
      case FaultIn::nomem:
        return FaultStep::nomem;
      case FaultIn::no_table:
        return FaultStep::no_table;
      case FaultIn::table_locked:
        return FaultStep::table_locked;
      default:
        return FaultStep::changed;
    }
  }

  // Shared, neighbours included. Calls fault_step, and prepares the anon_vma where the fault needs
  // one.
  FaultStep serve_fault(V* vma, u64 address, Access access) {
    return serve_fault(vma, address, access, [&] { prepare_anon_vma(*vma); });
  }
  // Shared for `vma` alone. prepare() gives the VMA an anon_vma.
  template <class Prepare>
  FaultStep serve_fault(V* vma, u64 address, Access access, const Prepare& prepare) {
    FaultStep step = fault_step(vma, address, access);
    if (step == FaultStep::needs_anon_vma) {
      prepare();
      step = fault_step(vma, address, access);
    }
    return step;
  }

  // Exclusive. Grows the stack above `address` where it may grow, and serves the fault.
  FaultStep serve_growing_fault(u64 address, Access access) {
    V* vma = find(address);
    if (may_grow(vma, address)) grow(*vma, address);
    return serve_fault(vma, address, access);
  }

  static Error to_error(FaultStep step) {
    if (step == FaultStep::done) return Error::none;
    return step == FaultStep::nomem ? Error::nomem : Error::segv;
  }

  // Shared, neighbours included.
  void prepare_anon_vma(V& vma) { prepare_anon_vma(vma, {vmas_.previous(vma), vmas_.next(vma)}); }
  // Shared for the VMA and those of `neighbours` that are not null. Takes over a neighbour's
  // anon_vma where the two VMAs could merge, so that they still can (find_mergeable_anon_vma of
  // mm/mmap.c).
  void prepare_anon_vma(V& vma, std::initializer_list<const V*> neighbours) {
    u64 chosen = 0;
    for (const V* neighbour : neighbours)
      if (chosen == 0 && neighbour != nullptr && adjacent(vma, *neighbour) &&
          alike(vma, *neighbour))
        chosen = neighbour->anon_identity();
    if (chosen == 0) chosen = fresh_anon_vma();
    u64 expected = 0;
    // relaxed, both: the value is only an identity; a thread whose exchange fails uses the
    // winner's. A speculative fault may find either value, since 0 only makes it fall back.
    vma.anon_vma.compare_exchange_strong(expected, chosen, std::memory_order_relaxed,
                                         std::memory_order_relaxed);
  }

  // Whether `vma` is private anonymous memory of this protection.
  static bool is_plain(const V& vma, u32 prot) {
    return flags_of(vma) == 0 && prot_of(vma) == prot;
  }

  // Whether a fault at `address`, below `vma`, may grow `vma` as a stack.
  static bool may_grow(const V* vma, u64 address) {
    return vma != nullptr && vma->has(map_growsdown) && address < vma->range().start &&
           vma->range().end - page_floor(address) <= stack_limit;
  }

  // Exclusive. False where the guard gap forbids the growth.
  bool grow(V& vma, u64 address) {
    P::kernel_work(KernelWork::edit);
    if (!has_gap_below(vma, page_floor(address))) return false;
    hooks_.start_write(vma);
    vmas_.resize(vma, {page_floor(address), vma.range().end});
    hooks_.end_write(vma);
    return true;
  }

  // Exclusive, neighbours included. The arguments have passed map_length. Where edits are
  // concurrent, the caller has placed the map at `hint`, which it holds.
  MapResult map(u64 hint, u64 length, u32 prot, u32 flags) {
    const bool fixed = (flags & map_fixed) != 0;
    u64 start = hint;
    if constexpr (!Hooks::edits_concurrently)
      if (!fixed) start = place(hint, length);
    if (start == 0) return {0, Error::nomem};
    P::kernel_work(KernelWork::edit);
    const Range range{start, start + length};
    if (fixed) {
      // This check comes before anything is unmapped. The map may cut a VMA in two, and adds one.
      if (count_.would_exceed(2, max_vmas)) return {0, Error::nomem};
      if (const Error error = clear_range(range); error != Error::none) return {0, error};
    }
    if (!add(range, prot, flags & ~map_fixed)) return {0, Error::nomem};
    return {start, Error::none};
  }

  // get_unmapped_area() in the kernel. Shared. Where a map of `length` bytes would lie: at the
  // hint, rounded down to a page, or in the highest hole. 0 means that it fits nowhere.
  u64 place(u64 hint, u64 length) const requires FindsGaps<Container> {
    hint = page_floor(hint);
    if (can_hold(hint, length) && first_in({hint, hint + length}) == nullptr) return hint;
    return vmas_.find_gap(length);
  }

  // Exclusive. Makes a new VMA over `range`, a hole, even where a neighbour could be stretched
  // instead. Null means too many VMAs.
  V* add_apart(Range range, u32 prot, u32 flags) {
    if (count_.would_exceed(1, max_vmas)) return nullptr;
    V* vma = make(range, prot, flags, 0);
    attach(*vma);
    return vma;
  }

  // A chain of VMAs that have left the container.
  class Detached {
   private:
    friend class Mm;
    V* head_ = nullptr;
  };

  // Exclusive over the whole of every VMA that `range` cuts. Splits VMAs at the edges of `range`
  // and takes those inside out of the container. ENOMEM where a split would exceed max_vmas; then
  // nothing has changed.
  Error detach(Range range, Detached& detached) {
    V* vma = first_in(range);
    if (vma == nullptr) return Error::none;
    P::kernel_work(KernelWork::edit);
    const bool cut_below = vma->range().start < range.start;
    const bool cut_above = cuts_vma(range.end);
    if (count_.would_exceed(cut_below + cut_above, max_vmas)) return Error::nomem;
    if (cut_below) vma = split(*vma, range.start);
    while (vma != nullptr) {
      if (vma->range().end > range.end) split(*vma, range.end);
      V* next = next_in(*vma, range);
      remove(*vma);
      vma->next_free = detached.head_;
      detached.head_ = vma;
      vma = next;
    }
    return Error::none;
  }

  // Shared, or with nothing held. Drops the pages of what was detached from `range`. The caller
  // keeps a new VMA from taking that range meanwhile.
  void zap(Range range) { table_.zap(range, zappers); }

  void release(Detached& detached) {
    while (V* vma = detached.head_) {
      detached.head_ = vma->next_free;
      if (hooks_.drop(*vma)) give_back(*vma);
    }
  }
  // By the last user of a VMA that has left the container.
  void give_back(V& vma) { pool_.give(&vma); }

  // Exclusive, neighbours included. At a hole the answer is ENOMEM, and what lies before the hole
  // has changed, as in the kernel.
  Error protect(Range range, u32 prot) {
    const u64 end =
        protect_each(range, prot, [&](Range part) { table_.restrict(part, prot, zappers); });
    return end == range.end ? Error::none : Error::nomem;
  }

  // Exclusive, neighbours included. The part of protect() that changes VMAs. Answers where what has
  // changed ends, which is the range's end unless there is a hole or too many VMAs. The caller
  // restricts the pages up to there before it lets a fault into the range.
  u64 protect_vmas(Range range, u32 prot) {
    return protect_each(range, prot, [](Range) {});
  }

  // Exclusive.
  MapResult brk(i64 delta) {
    const MapResult result = move_break(
        break_.load(), delta, break_limits,
        [&](Range range) {
          P::kernel_work(KernelWork::edit);
          return first_in(range) == nullptr && add(range, prot_read | prot_write, 0) ? Error::none
                                                                                     : Error::nomem;
        },
        [&](Range range) { return clear_range(range); });
    break_.store(result.address);
    return result;
  }

  // Shared. Drops the pages of every VMA in `range`. ENOMEM when `range` has holes.
  Error discard(Range range) {
    u64 at = range.start;
    bool hole = false;
    for (const V* vma = first_in(range); vma != nullptr; vma = next_in(*vma, range)) {
      const Range own = vma->range();
      if (own.start > at) hole = true;
      const Range part{own.start > at ? own.start : at, own.end < range.end ? own.end : range.end};
      table_.zap(part);
      at = part.end;
    }
    return hole || at < range.end ? Error::nomem : Error::none;
  }

  // Shared for `vma` alone, which covers `range`.
  void discard_in(const V& vma, Range range) {
    table_.zap(range);
    note_unless_held(vma, range, "pages were discarded in a VMA that had been detached or moved");
  }

  // Shared.
  u64 scan() const {
    u64 vmas = 0;
    for (const V* vma = vmas_.first(); vma != nullptr; vma = vmas_.next(*vma))
      vmas += vma->range().length() != 0;
    return vmas;
  }

  // With all threads at rest.
  std::string check() {
    if (std::string error = violations_.report(); !error.empty()) return error;
    if (std::string error = vmas_.check(); !error.empty()) return error;
    if (scan() != count_.load()) return "the count of VMAs is wrong";
    for (const V* vma = vmas_.first(); vma != nullptr; vma = vmas_.next(*vma))
      // relaxed: threads are at rest.
      if (vma->attached.load(std::memory_order_relaxed) == 0)
        return "a VMA in the container is marked detached";
    std::string error = table_.check();
    table_.for_each_entry([&](u64 address, Pte pte) {
      const V* vma = vmas_.find(address);
      if (vma == nullptr || !vma->range().contains(address))
        error = "a page is mapped outside every VMA";
      else if ((pte.prot() & ~hardware_prot(prot_of(*vma))) != 0)
        error = "a page is mapped with more than its VMA permits";
    });
    return error;
  }

  // With all threads at rest.
  Observation observe() {
    Observation seen;
    for (const V* vma = vmas_.first(); vma != nullptr; vma = vmas_.next(*vma))
      seen.mappings.push_back({vma->range(), prot_of(*vma), flags_of(*vma), anon_of(*vma)});
    seen.pages = table_.mapped_pages();
    seen.program_break = break_.load();
    return seen;
  }

 private:
  // Oracle: the caller's hold must have kept the VMA in place since the caller checked the bounds.
  void note_unless_held(const V& vma, Range range, const char* violation) {
    if (!options_.oracle) return;
    const Range own = vma.range();
    if (vma.attached.load(std::memory_order_relaxed) == 0 || range.start < own.start ||
        own.end < range.end)
      violations_.note(violation);
  }

  // What a fault has to do. `step` is `done` where it maps a page.
  struct FaultPlan {
    FaultStep step = FaultStep::done;
    u32 prot = 0;
    NewPage page = NewPage::own;
  };
  // `vma`: a VMA that the caller keeps from changing, or a VmaCopy.
  template <class Seen>
  static FaultPlan plan_fault(const Seen& vma, u64 address, Access access) {
    if (!vma.range().contains(address)) return {FaultStep::no_vma};
    if (!vma.permits(access)) return {FaultStep::segv};
    const bool anonymous_write = access == Access::write && vma.privately_written(access);
    // anon_vma is set once, under the scheme's protection or by prepare_anon_vma's exchange.
    if (anonymous_write && vma.anon_identity() == 0) return {FaultStep::needs_anon_vma};
    const u32 prot = vma.protection();
    return {FaultStep::done, prot,
            new_page(access, prot, vma.has(map_file), vma.privately_written(access))};
  }

  // Exclusive over `range`. The VMA that has a part of `range` above `vma`, or null.
  V* next_in(const V& vma, Range range) const {
    if constexpr (Hooks::edits_concurrently) return first_in({vma.range().end, range.end});
    V* next = vmas_.next(vma);
    return next != nullptr && next->range().start < range.end ? next : nullptr;
  }
  // Exclusive below `address`. Whether a VMA lies on both sides of `address`.
  bool cuts_vma(u64 address) const {
    if constexpr (Hooks::edits_concurrently) {
      const V* vma = first_in({address - page_size, address});
      return vma != nullptr && vma->range().end > address;
    }
    const V* vma = vmas_.find(address);
    return vma != nullptr && vma->range().start < address;
  }

  // Where edits exclude one another from single VMAs, nobody else zaps a part of an edit's range.
  static constexpr Zappers zappers =
      Hooks::edits_concurrently ? Zappers::this_one : Zappers::others_too;

  // Exclusive from the guard gap below `page` up to the stack. Whether the stack may grow down to
  // `page`.
  bool has_gap_below(const V& stack, u64 page) const {
    if constexpr (Hooks::edits_concurrently) {
      const u64 gap = page < stack_guard_gap ? 0 : page - stack_guard_gap;
      return page >= lowest_address && first_in({gap, stack.range().start}) == nullptr;
    }
    const V* below = vmas_.previous(stack);
    return page >= (below == nullptr ? lowest_address : below->range().end + stack_guard_gap);
  }

  // Exclusive over `range`, a hole. The VMAs below and above. Where edits are concurrent, those
  // that touch the range.
  std::pair<V*, V*> around(Range range) const {
    if constexpr (Hooks::edits_concurrently)
      return {vmas_.find_rcu(range.start - 1), vmas_.find_rcu(range.end)};
    V* after = vmas_.find(range.start);
    return {after == nullptr ? vmas_.last() : vmas_.previous(*after), after};
  }

  static u32 prot_of(const V& vma) { return vma.protection(); }
  static u32 flags_of(const V& vma) { return vma.flag_bits(); }
  static u64 anon_of(const V& vma) { return vma.anon_identity(); }

  static bool adjacent(const V& a, const V& b) {
    return a.range().end == b.range().start || b.range().end == a.range().start;
  }
  // Whether both are private anonymous memory of one protection. Mappings of files do not merge
  // here, since the model keeps no file offsets.
  static bool alike(const V& a, const V& b) { return is_plain(a, prot_of(b)) && flags_of(b) == 0; }
  bool mergeable(const V* a, const V* b) const {
    return options_.merge && a != nullptr && b != nullptr && adjacent(*a, *b) && alike(*a, *b) &&
           hooks_.mergeable(*a) && hooks_.mergeable(*b) &&
           (anon_of(*a) == anon_of(*b) || anon_of(*a) == 0 || anon_of(*b) == 0);
  }

  u64 fresh_anon_vma() {
    u64& last = anon_vmas_.here().last;
    return (static_cast<u64>(P::self()) + 1) << 40 | ++last;
  }

  // Unmaps all of `range`, within the exclusive section.
  Error clear_range(Range range) {
    Detached detached;
    const Error error = detach(range, detached);
    zap(range);
    release(detached);
    return error;
  }

  V* make(Range range, u32 prot, u32 flags, u64 anon_vma) {
    V* vma = pool_.take();
    vma->set_range(range);
    vma->set_protection(prot);
    vma->set_flags(flags);
    vma->set_anon_identity(anon_vma);
    return vma;
  }

  void attach(V& vma) {
    hooks_.attach(vma);
    vmas_.insert(vma);
    // relaxed, here and in remove: the oracle reads it under the scheme's own protection.
    vma.attached.store(1, std::memory_order_relaxed);
    count_.add(1);
  }

  void remove(V& vma) {
    hooks_.start_write(vma);
    vma.attached.store(0, std::memory_order_relaxed);
    vmas_.erase(vma);
    hooks_.detach(vma);
    count_.add(-1);
  }

  // Maps `range`, which is a hole: extends a neighbour that it can merge with, else makes a new
  // VMA. False means too many VMAs.
  bool add(Range range, u32 prot, u32 flags) {
    const auto [before, after] = around(range);
    if (Hooks::edits_concurrently ? first_in(range) != nullptr
                                  : after != nullptr && after->range().start < range.end) {
      violations_.note("a VMA was to be mapped over another");
      return false;
    }
    if (extends(before, before != nullptr && before->range().end == range.start, prot, flags)) {
      hooks_.start_write(*before);
      vmas_.resize(*before, {before->range().start, range.end});
      hooks_.end_write(*before);
      if (mergeable(before, after)) absorb(*before, *after);
    } else if (extends(after, after != nullptr && after->range().start == range.end, prot, flags)) {
      hooks_.start_write(*after);
      vmas_.resize(*after, {range.start, after->range().end});
      hooks_.end_write(*after);
    } else {
      return add_apart(range, prot, flags) != nullptr;
    }
    return true;
  }

  // Whether fresh memory beside `vma` may become part of it. Fresh memory has no anon_vma yet.
  bool extends(const V* vma, bool touches, u32 prot, u32 flags) const {
    return options_.merge && touches && flags == 0 && is_plain(*vma, prot) &&
           hooks_.mergeable(*vma);
  }

  // vma_merge_existing_range() in the kernel.
  void merge_around(V& vma) {
    V* into = &vma;
    if (V* before = below(vma); mergeable(before, &vma)) into = absorb(*before, vma);
    if (V* after = above(*into); mergeable(into, after)) absorb(*into, *after);
  }
  // The VMAs beside a VMA. Where edits are concurrent, those that touch it.
  V* below(const V& vma) const {
    if constexpr (Hooks::edits_concurrently) return vmas_.find_rcu(vma.range().start - 1);
    return vmas_.previous(vma);
  }
  V* above(const V& vma) const {
    if constexpr (Hooks::edits_concurrently) return vmas_.find_rcu(vma.range().end);
    return vmas_.next(vma);
  }

  // `left` takes the place of both VMAs.
  V* absorb(V& left, V& right) {
    hooks_.start_write(left);
    const u64 end = right.range().end;
    if (anon_of(left) == 0) left.set_anon_identity(anon_of(right));
    remove(right);
    vmas_.resize(left, {left.range().start, end});
    hooks_.end_write(left);
    if (hooks_.drop(right)) give_back(right);
    return &left;
  }

  // __split_vma() in the kernel. Cuts `vma` at `at` and answers the upper part.
  V* split(V& vma, u64 at) {
    hooks_.start_write(vma);
    V* upper = make({at, vma.range().end}, prot_of(vma), flags_of(vma), anon_of(vma));
    vmas_.resize(vma, {vma.range().start, at});
    attach(*upper);
    hooks_.end_write(vma);
    return upper;
  }

  // Calls restrict(part) for the part of each VMA whose protection changes, while that VMA is
  // being written. Answers where what has changed ends.
  template <class Restrict>
  u64 protect_each(Range range, u32 prot, const Restrict& restrict) {
    u64 at = range.start;
    while (at < range.end) {
      V* vma = first_in({at, at + page_size});
      if (vma == nullptr) return at;
      const u64 end = vma->range().end < range.end ? vma->range().end : range.end;
      if (!protect_one(*vma, {at, end}, prot, restrict)) return at;
      at = end;
    }
    return at;
  }

  // `range` lies inside `vma`. False means too many VMAs.
  template <class Restrict>
  bool protect_one(V& vma, Range range, u32 prot, const Restrict& restrict) {
    if (prot_of(vma) == prot) return true;
    P::kernel_work(KernelWork::edit);
    const Range whole = vma.range();
    const u64 cuts = (whole.start < range.start) + (whole.end > range.end);
    if (count_.would_exceed(cuts, max_vmas)) return false;
    V* part = whole.start < range.start ? split(vma, range.start) : &vma;
    if (whole.end > range.end) split(*part, range.end);
    hooks_.start_write(*part);
    part->set_protection(prot);
    restrict(range);
    hooks_.end_write(*part);
    merge_around(*part);
    return true;
  }

  struct AnonVmas {
    u64 last = 0;
  };

  const AddressSpaceOptions options_;
  Hooks& hooks_;
  VmaPool& pool_;
  Violations<P> violations_;
  PageTable<P> table_;
  // Every fault reads the root of the container. linux-6.18: the kernel keeps it (mm_mt, 64) apart
  // from map_count (176), which every map and unmap writes, and from the set of CPUs, which ends
  // mm_struct. Where the lock is an rwsem of that layout, it holds map_count (Rwsem::map_count).
  alignas(cache_line) Container vmas_;
  PerThread<P, AnonVmas> anon_vmas_;
  Count count_;
  typename P::template data<u64> break_{break_start};
};

}  // namespace faultline
