// The broken parts of schemes range_lock, lock_in_tree and refcount. Each Flaw breaks one place.
#pragma once

#include <array>

#include "harness/check/broken/flaws.hpp"
#include "locks/address_space/radix_tree.hpp"
#include "locks/mutex/ticket.hpp"
#include "locks/range/tree_range_lock.hpp"
#include "locks/schemes/neighbour_rule.hpp"
#include "locks/schemes/structure_lock.hpp"
#include "locks/shared/vma_refcount.hpp"

namespace faultline::check {

// hole, late_zap, unlocked_fault.
template <class P, Flaw flaw, template <class> class Spinlock = Ticket>
class FlawedRanges : public TreeRangeLock<P, Spinlock> {
  using Base = TreeRangeLock<P, Spinlock>;

 public:
  struct Node : Base::Node {
    bool held = false;
  };

  void lock(Node& node, Range range, bool exclusive) {
    if (flaw == Flaw::unlocked_fault && !exclusive) return;
    if (flaw == Flaw::hole && exclusive && range.length() > page_size) range.end -= page_size;
    Base::lock(node, range, exclusive);
    node.held = true;
  }
  bool enqueue(Node& node, Range range, bool exclusive) {
    if (flaw == Flaw::hole && exclusive && range.length() > page_size) range.end -= page_size;
    node.held = true;
    return Base::enqueue(node, range, exclusive);
  }
  void downgrade_range(Node& node, Range range) {
    if (flaw != Flaw::hole) Base::downgrade_range(node, range);
  }
  void downgrade(Node& node) {
    if (flaw == Flaw::late_zap)
      unlock(node);
    else
      Base::downgrade(node);
  }
  void unlock(Node& node) {
    if (node.held) Base::unlock(node);
    node.held = false;
  }
};

// unlocked_lookup.
template <class P, Mutex Lock = Ticket<P>>
class FlawedStructure : public MutexStructure<P, Lock> {
 public:
  using MutexStructure<P, Lock>::MutexStructure;
  struct Read {
    explicit Read(FlawedStructure&) {}
    ~Read() {}
  };
};

// no_neighbours, stale_reach.
template <class Mm, Flaw flaw>
class FlawedRule : public NeighbourRule<Mm> {
  using P = typename Mm::Platform;

 public:
  using NeighbourRule<Mm>::NeighbourRule;

  Range reach(Range range, Merging merging) const {
    if (flaw == Flaw::no_neighbours) return range;
    // Answers what the thread found when it first asked for this range.
    Known& known = known_[P::self()];
    if (known.range.start != range.start || known.range.end != range.end)
      known = {range, NeighbourRule<Mm>::reach(range, merging)};
    return known.reach;
  }

 private:
  struct Known {
    Range range;
    Range reach;
  };
  mutable std::array<Known, P::max_threads> known_{};
};

// hole, late_zap, unlocked_fault, unlocked_child.
template <class P, class Base, Flaw flaw>
class FlawedTree : public Base {
 public:
  void lock(u64 first, u64 end) {
    Base::lock(first, end);
    if (flaw == Flaw::hole && end - first > 1) Base::unlock(end - 1, end);
    let_go_[P::self()] = false;
  }
  u64 lock_folded(u64 page, u64& first, u64& end) {
    const u64 value = Base::lock_folded(page, first, end);
    let_go_[P::self()] = flaw == Flaw::unlocked_fault;
    if (flaw == Flaw::unlocked_fault) Base::unlock(first, first + 1);
    return value;
  }
  void narrow_to(u64 first, u64 end) {
    if (flaw == Flaw::unlocked_fault) return;
    Base::narrow_to(first, end);
    if (flaw == Flaw::unlocked_child) let_go(first, end);
  }
  void fill(u64 first, u64 end, u64 value) {
    Base::fill(first, end, value);
    if (flaw == Flaw::late_zap && value == 0) let_go(first, end);
  }
  void unlock(u64 first, u64 end) {
    if (let_go_[P::self()]) return;
    Base::unlock(first, flaw == Flaw::hole && end - first > 1 ? end - 1 : end);
  }

 private:
  void let_go(u64 first, u64 end) {
    Base::unlock(first, end);
    let_go_[P::self()] = true;
  }

  std::array<bool, P::max_threads> let_go_{};
};

// unlocked_fault: a pin counts nothing.
template <class P, Flaw flaw>
class FlawedRefcount : public VmaRefcount<P> {
  using Base = VmaRefcount<P>;

 public:
  using Base::Base;
  PinResult pin(RefcountOwner<P>& owner) {
    return flaw == Flaw::unlocked_fault ? PinResult::pinned : Base::pin(owner);
  }
  void unpin(RefcountOwner<P>& owner) {
    if (flaw != Flaw::unlocked_fault) Base::unpin(owner);
  }
};

// no_write_lock, early_close, early_free (a detached VMA may still be pinned), unlocked_fault.
template <class P, Flaw flaw>
class FlawedHooks : public RefcountHooks<P> {
  using Base = RefcountHooks<P>;

 public:
  using State = FlawedRefcount<P, flaw>;

  template <class V>
  void start_write(V& vma) {
    if (flaw != Flaw::no_write_lock) Base::start_write(vma);
    if (flaw != Flaw::early_close) return;
    Base::close();
    Base::open();
  }
  template <class V>
  void detach(V& vma) {
    if (flaw != Flaw::early_free) Base::detach(vma);
  }
};

}  // namespace faultline::check
