// The parts of which schemes over the VMA tree are made: an address space without a lock. Every
// function says what its caller must hold; the scheme decides what gives that.
//   shared:    nobody edits the tree, or the VMAs concerned, meanwhile
//   exclusive: nobody else reads or edits them (readers under RCU are kept off single VMAs by the
//   Policy)
#pragma once

#include <string>

#include "locks/address_space/page_table.hpp"
#include "locks/address_space/vma.hpp"

namespace faultline {

// What a scheme is told of its VMAs' lives. open and close: an exclusive section begins, ends;
// within it, start_write: the VMA is about to be changed; attach: it is about to enter the tree;
// detach: it has left the tree.
struct NoPolicy {
  struct State {
    struct Hot {};
    struct MostlyRead {};
    State(Hot&, MostlyRead&) {}
  };
  void open() {}
  void close() {}
  template <class V>
  void start_write(V&) {}
  template <class V>
  void attach(V&) {}
  template <class V>
  void detach(V&) {}
};

enum class FaultStep : int { done, no_vma, segv, nomem, needs_anon_vma };

template <class P, class Policy = NoPolicy>
class Mm {
 public:
  using V = Vma<P, typename Policy::State>;
  using VmaPool = Pool<P, V>;

  static constexpr u32 max_rcu_steps = 128;  // four times the height of a full tree
  static constexpr u64 max_vmas = 65530;     // vm.max_map_count

  // `vmas` outlives the Mm: it may be shared between address spaces, as the kernel's slab is.
  Mm(const AddressSpaceOptions& options, Policy& policy, VmaPool& vmas)
      : options_(options), policy_(policy), vmas_(vmas), table_(options, violations_) {}

  void enter() {
    table_.enter();
    vmas_.reserve(options_.vmas_per_thread);
  }

  // Shared.
  V* find(u64 address) const { return tree_.find(address); }
  // Under RCU alone: VmaTree::find_rcu.
  V* find_rcu(u64 address) const { return tree_.find_rcu(address, max_rcu_steps); }
  PageTable<P>& table() { return table_; }

  // Shared for `vma` alone, which may be null. done: the page is mapped.
  FaultStep fault_step(V* vma, u64 address, Access access) {
    if (vma == nullptr || !vma->range().contains(address)) return FaultStep::no_vma;
    if (!vma->permits(access)) return FaultStep::segv;
    const bool anonymous_write = access == Access::write && vma->privately_written(access);
    // relaxed: set once, under the scheme's protection or by prepare_anon_vma's exchange.
    if (anonymous_write && vma->anon_vma.load(std::memory_order_relaxed) == 0)
      return FaultStep::needs_anon_vma;
    const bool clear = !vma->has(map_file) || vma->privately_written(access);
    // relaxed: the caller keeps the protection from changing.
    if (!table_.fault_in(address, access, vma->prot.load(std::memory_order_relaxed), clear))
      return FaultStep::nomem;
    // The oracle: what the scheme holds must have kept the VMA in place through all of this.
    if (vma->attached.load(std::memory_order_relaxed) == 0 || !vma->range().contains(address))
      violations_.note("a fault was served in a VMA that had been detached or moved");
    return FaultStep::done;
  }

  // Shared, neighbours included: fault_step, and the anon_vma where it needs one.
  FaultStep serve_fault(V* vma, u64 address, Access access) {
    FaultStep step = fault_step(vma, address, access);
    if (step == FaultStep::needs_anon_vma) {
      prepare_anon_vma(*vma);
      step = fault_step(vma, address, access);
    }
    return step;
  }

  // Exclusive: grows the stack above `address` where it may, and serves the fault.
  FaultStep serve_growing_fault(u64 address, Access access) {
    V* vma = find(address);
    if (may_grow(vma, address)) grow(*vma, address);
    return serve_fault(vma, address, access);
  }

  static Error to_error(FaultStep step) {
    if (step == FaultStep::done) return Error::none;
    return step == FaultStep::nomem ? Error::nomem : Error::segv;
  }

  // Shared, neighbours included. A neighbour's anon_vma is taken where the two could merge, so that
  // they still can (find_mergeable_anon_vma of mm/mmap.c).
  void prepare_anon_vma(V& vma) {
    u64 chosen = 0;
    for (const V* neighbour : {vma.previous.load(), vma.next.load()})
      if (chosen == 0 && neighbour != nullptr && adjacent(vma, *neighbour) &&
          alike(vma, *neighbour))
        chosen = neighbour->anon_vma.load(std::memory_order_relaxed);  // relaxed: only an identity
    if (chosen == 0) chosen = fresh_anon_vma();
    u64 expected = 0;
    // relaxed, both: an identity; whoever loses finds the winner's.
    vma.anon_vma.compare_exchange_strong(expected, chosen, std::memory_order_relaxed,
                                         std::memory_order_relaxed);
  }

  // Whether a fault at `address`, below `vma`, is a stack's that may grow.
  static bool may_grow(const V* vma, u64 address) {
    return vma != nullptr && vma->has(map_growsdown) && address < vma->range().start &&
           vma->range().end - page_floor(address) <= stack_limit;
  }

  // Exclusive. False where the guard gap forbids it.
  bool grow(V& vma, u64 address) {
    const V* below = vma.previous.load();
    const u64 floor = below == nullptr ? lowest_address : below->range().end + stack_guard_gap;
    if (page_floor(address) < floor) return false;
    policy_.start_write(vma);
    tree_.set_bounds(&vma, {page_floor(address), vma.range().end});
    return true;
  }

  // Exclusive, neighbours included.
  MapResult map(u64 hint, u64 length, u32 prot, u32 flags) {
    const bool fixed = (flags & map_fixed) != 0;
    if (const Error error = map_length(hint, length, fixed); error != Error::none)
      return {0, error};
    const u64 start = fixed ? hint : place(page_floor(hint), length);
    if (start == 0) return {0, Error::nomem};
    const Range range{start, start + length};
    if (fixed) {
      // Before anything is unmapped: the map may cut a VMA in two, and adds one.
      if (count_.load() + 2 > max_vmas) return {0, Error::nomem};
      if (const Error error = clear_range(range); error != Error::none) return {0, error};
    }
    if (!add(range, prot, flags & ~map_fixed)) return {0, Error::nomem};
    return {start, Error::none};
  }

  // VMAs that have left the tree, in a chain.
  class Detached {
   private:
    friend class Mm;
    V* head_ = nullptr;
  };

  // Exclusive, and over the whole of every VMA that `range` cuts. Takes the VMAs of `range` out of
  // the tree, split at its edges. ENOMEM when a split would exceed max_vmas: nothing has been done
  // then.
  Error detach(Range range, Detached& detached) {
    V* vma = tree_.find(range.start);
    if (vma == nullptr || vma->range().start >= range.end) return Error::none;
    const bool cut_below = vma->range().start < range.start;
    const V* last = tree_.find(range.end);
    const bool cut_above = last != nullptr && last->range().start < range.end;
    if (count_.load() + cut_below + cut_above > max_vmas) return Error::nomem;
    if (cut_below) vma = split(*vma, range.start);
    while (vma != nullptr && vma->range().start < range.end) {
      if (vma->range().end > range.end) split(*vma, range.end);
      V* next = vma->next.load();
      remove(*vma);
      vma->next_free = detached.head_;
      detached.head_ = vma;
      vma = next;
    }
    return Error::none;
  }

  // Nothing held, or shared: the pages of what was detached from `range`. The caller keeps a new
  // VMA from taking that range meanwhile.
  void zap(Range range) { table_.zap(range); }

  void release(Detached& detached) {
    while (V* vma = detached.head_) {
      detached.head_ = vma->next_free;
      vmas_.give(vma);
    }
  }

  // Exclusive, neighbours included. As the kernel: ENOMEM at a hole, after changing what lies
  // before it.
  Error protect(Range range, u32 prot) {
    u64 at = range.start;
    for (V* vma = tree_.find(at); at < range.end; vma = tree_.find(at)) {
      if (vma == nullptr || vma->range().start > at) return Error::nomem;
      const u64 end = vma->range().end < range.end ? vma->range().end : range.end;
      if (!protect_one(*vma, {at, end}, prot)) return Error::nomem;
      at = end;
    }
    return Error::none;
  }

  // Exclusive. Moves the break; ENOMEM when something is in the way, EINVAL below its start.
  MapResult brk(i64 delta) {
    const u64 old = break_.load();
    if (delta % static_cast<i64>(page_size) != 0) return {old, Error::inval};
    const u64 fresh = old + static_cast<u64>(delta);
    if (fresh < break_start || fresh >= address_space_end) return {old, Error::inval};
    if (delta > 0) {
      const V* after = tree_.find(old);
      if (after != nullptr && after->range().start < fresh) return {old, Error::nomem};
      if (!add({old, fresh}, prot_read | prot_write, 0)) return {old, Error::nomem};
    } else if (delta < 0) {
      if (const Error error = clear_range({fresh, old}); error != Error::none) return {old, error};
    }
    break_.store(fresh);
    return {fresh, Error::none};
  }

  // Shared. Drops the pages of every VMA in `range`; ENOMEM when there are holes.
  Error discard(Range range) {
    u64 at = range.start;
    bool hole = false;
    for (const V* vma = tree_.find(at); vma != nullptr && vma->range().start < range.end;
         vma = vma->next.load()) {
      const Range own = vma->range();
      if (own.start > at) hole = true;
      const Range part{own.start > at ? own.start : at, own.end < range.end ? own.end : range.end};
      table_.zap(part);
      at = part.end;
    }
    return hole || at < range.end ? Error::nomem : Error::none;
  }

  // Shared.
  u64 scan() const {
    u64 vmas = 0;
    for (const V* vma = tree_.first(); vma != nullptr; vma = vma->next.load())
      vmas += vma->range().length() != 0;
    return vmas;
  }

  // With all threads at rest.
  std::string check() {
    if (std::string error = violations_.report(); !error.empty()) return error;
    if (std::string error = tree_.check(); !error.empty()) return error;
    if (scan() != count_.load()) return "the count of VMAs is wrong";
    std::string error = table_.check();
    table_.for_each_entry([&](u64 address, Pte pte) {
      const V* vma = tree_.find(address);
      if (vma == nullptr || !vma->range().contains(address))
        error = "a page is mapped outside every VMA";
      else if ((pte.prot() & ~hardware_prot(prot_of(*vma))) != 0)
        error = "a page is mapped with more than its VMA permits";
    });
    return error;
  }

 private:
  // relaxed in all of these: the caller's exclusion orders them.
  static u32 prot_of(const V& vma) { return vma.prot.load(std::memory_order_relaxed); }
  static u32 flags_of(const V& vma) { return vma.flags.load(std::memory_order_relaxed); }
  static u64 anon_of(const V& vma) { return vma.anon_vma.load(std::memory_order_relaxed); }

  static bool adjacent(const V& a, const V& b) {
    return a.range().end == b.range().start || b.range().end == a.range().start;
  }
  // Private anonymous memory of one protection. Files do not merge here: the model keeps no file
  // offsets.
  static bool alike(const V& a, const V& b) {
    return prot_of(a) == prot_of(b) && flags_of(a) == 0 && flags_of(b) == 0;
  }
  bool mergeable(const V* a, const V* b) const {
    return options_.merge && a != nullptr && b != nullptr && adjacent(*a, *b) && alike(*a, *b) &&
           (anon_of(*a) == anon_of(*b) || anon_of(*a) == 0 || anon_of(*b) == 0);
  }

  u64 fresh_anon_vma() {
    u64& last = anon_vmas_.here().last;
    return (static_cast<u64>(P::self()) + 1) << 40 | ++last;
  }

  u64 place(u64 hint, u64 length) const {
    if (hint >= lowest_address && hint <= address_space_end - length) {
      const V* after = tree_.find(hint);
      if (after == nullptr || after->range().start >= hint + length) return hint;
    }
    return tree_.find_gap(length);
  }

  // Unmaps `range` whole, within the exclusive section.
  Error clear_range(Range range) {
    Detached detached;
    const Error error = detach(range, detached);
    zap(range);
    release(detached);
    return error;
  }

  V* make(Range range, u32 prot, u32 flags, u64 anon_vma) {
    V* vma = vmas_.take();
    // relaxed, all: published by the tree's links, or re-checked by readers under RCU that still
    // know the old VMA.
    vma->start.store(range.start, std::memory_order_relaxed);
    vma->end.store(range.end, std::memory_order_relaxed);
    vma->prot.store(prot, std::memory_order_relaxed);
    vma->flags.store(flags, std::memory_order_relaxed);
    vma->anon_vma.store(anon_vma, std::memory_order_relaxed);
    return vma;
  }

  void attach(V& vma) {
    policy_.attach(vma);
    tree_.insert(&vma);
    count_.store(count_.load() + 1);
  }

  void remove(V& vma) {
    policy_.start_write(vma);
    tree_.erase(&vma);
    policy_.detach(vma);
    count_.store(count_.load() - 1);
  }

  // A VMA over `range`, which is a hole: a neighbour's extension where they can merge, else a new
  // one. False: too many VMAs.
  bool add(Range range, u32 prot, u32 flags) {
    V* after = tree_.find(range.start);
    V* before = after == nullptr ? tree_.last() : after->previous.load();
    if (after != nullptr && after->range().start < range.end) {
      violations_.note("a VMA was to be mapped over another");
      return false;
    }
    if (extends(before, before != nullptr && before->range().end == range.start, prot, flags)) {
      policy_.start_write(*before);
      tree_.set_bounds(before, {before->range().start, range.end});
      if (mergeable(before, after)) absorb(*before, *after);
    } else if (extends(after, after != nullptr && after->range().start == range.end, prot, flags)) {
      policy_.start_write(*after);
      tree_.set_bounds(after, {range.start, after->range().end});
    } else {
      if (count_.load() >= max_vmas) return false;
      attach(*make(range, prot, flags, 0));
    }
    return true;
  }

  // Whether fresh memory beside `vma`, which has no anon_vma yet, may become part of it.
  bool extends(const V* vma, bool touches, u32 prot, u32 flags) const {
    return options_.merge && touches && flags == 0 && flags_of(*vma) == 0 && prot_of(*vma) == prot;
  }

  void merge_around(V& vma) {
    V* into = &vma;
    if (V* before = vma.previous.load(); mergeable(before, &vma)) into = absorb(*before, vma);
    if (V* after = into->next.load(); mergeable(into, after)) absorb(*into, *after);
  }

  // `left` takes the place of both.
  V* absorb(V& left, V& right) {
    policy_.start_write(left);
    const u64 end = right.range().end;
    if (anon_of(left) == 0) left.anon_vma.store(anon_of(right), std::memory_order_relaxed);
    remove(right);
    tree_.set_bounds(&left, {left.range().start, end});
    vmas_.give(&right);
    return &left;
  }

  // Cuts `vma` at `at`; answers the upper part.
  V* split(V& vma, u64 at) {
    policy_.start_write(vma);
    V* upper = make({at, vma.range().end}, prot_of(vma), flags_of(vma), anon_of(vma));
    tree_.set_bounds(&vma, {vma.range().start, at});
    attach(*upper);
    return upper;
  }

  // `range` lies inside `vma`. False: too many VMAs.
  bool protect_one(V& vma, Range range, u32 prot) {
    if (prot_of(vma) == prot) return true;
    const Range whole = vma.range();
    if (count_.load() + (whole.start < range.start) + (whole.end > range.end) > max_vmas)
      return false;
    V* part = whole.start < range.start ? split(vma, range.start) : &vma;
    if (whole.end > range.end) split(*part, range.end);
    policy_.start_write(*part);
    part->prot.store(prot, std::memory_order_relaxed);  // relaxed: exclusive
    table_.restrict(range, prot);
    merge_around(*part);
    return true;
  }

  struct AnonVmas {
    u64 last = 0;
  };

  const AddressSpaceOptions options_;
  Policy& policy_;
  VmaPool& vmas_;
  Violations<P> violations_;
  PageTable<P> table_;
  VmaTree<P, typename Policy::State> tree_;
  PerThread<P, AnonVmas> anon_vmas_;
  typename P::template data<u64> count_;
  typename P::template data<u64> break_{break_start};
};

}  // namespace faultline
