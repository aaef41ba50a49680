// The schemes that are broken by hand: the parts in which they differ from the sound ones, and one
// table, which the checker and the unit tests share.
#pragma once

#include <array>

#include "harness/check/broken/flaws.hpp"
#include "harness/check/broken/locks.hpp"
#include "harness/check/common/space_calls.hpp"
#include "locks/address_space/radix_tree.hpp"
#include "locks/address_space/tree_mm.hpp"
#include "locks/mutex/ticket.hpp"
#include "locks/range/tree_range_lock.hpp"
#include "locks/schemes/lock_in_maple.hpp"
#include "locks/schemes/lock_in_tree.hpp"
#include "locks/schemes/mmap_sem.hpp"
#include "locks/schemes/neighbour_rule.hpp"
#include "locks/schemes/page_table_lock.hpp"
#include "locks/schemes/per_vma_lock.hpp"
#include "locks/schemes/range_lock.hpp"
#include "locks/schemes/refcount.hpp"
#include "locks/schemes/refcount_naive.hpp"
#include "locks/schemes/speculative_counted.hpp"
#include "locks/schemes/speculative_mm.hpp"
#include "locks/schemes/structure_lock.hpp"
#include "locks/schemes/vma_rwlock.hpp"
#include "locks/shared/rwsem.hpp"
#include "locks/shared/vma_refcount.hpp"

namespace faultline::check {

// mmap_sem: unlocked_fault, stale_vma, late_zap.
template <class Mm, class Lock, Flaw flaw>
class FlawedSpace final : public MmapSemBase<Mm, Lock, FlawedSpace<Mm, Lock, flaw>> {
  using Base = MmapSemBase<Mm, Lock, FlawedSpace>;

 public:
  using Base::Base;

 private:
  friend SchemeBase<typename Mm::Platform, FlawedSpace>;

  Error do_fault(u64 address, Access access) {
    if (flaw == Flaw::late_zap) return Base::do_fault(address, access);
    if (flaw != Flaw::unlocked_fault) this->lock_.lock_shared();
    auto* vma = this->mm_.find(address);
    if (flaw == Flaw::stale_vma) {
      this->lock_.unlock_shared();
      this->lock_.lock_shared();
    }
    const FaultStep step = this->mm_.serve_fault(vma, address, access);
    if (flaw != Flaw::unlocked_fault) this->lock_.unlock_shared();
    return Mm::to_error(step);
  }

  Error do_unmap(Range range) {
    if (flaw != Flaw::late_zap) return Base::do_unmap(range);
    typename Mm::Detached detached;
    this->lock_exclusive();
    const Error error = this->mm_.detach(range, detached);
    this->unlock_exclusive();
    this->mm_.zap(range);
    this->mm_.release(detached);
    return error;
  }
};

// mmap_sem: write_only, short_top, always_merges.
template <class Mm, class Lock, Flaw flaw>
class FlawedArguments final : public MmapSemBase<Mm, Lock, FlawedArguments<Mm, Lock, flaw>> {
  using Base = MmapSemBase<Mm, Lock, FlawedArguments>;

 public:
  explicit FlawedArguments(AddressSpaceOptions options) : Base(changed(options)) {}

 private:
  friend SchemeBase<typename Mm::Platform, FlawedArguments>;

  static AddressSpaceOptions changed(AddressSpaceOptions options) {
    if (flaw == Flaw::always_merges) options.merge = true;
    return options;
  }

  MapResult do_map(u64 hint, u64 length, u32 prot, u32 flags) {
    if (flaw == Flaw::short_top && hint == 0 && is_top_short(length)) return {0, Error::nomem};
    if (flaw == Flaw::write_only && prot == prot_write) prot = prot_none;
    return Base::do_map(hint, length, prot, flags);
  }

  // Whether a hole at the top is too short.
  bool is_top_short(u64 length) {
    this->lock_.lock_shared();
    const bool is_short = this->mm_.find(address_space_end - length) != nullptr &&
                          this->mm_.find(address_space_end - page_size) == nullptr;
    this->lock_.unlock_shared();
    return is_short;
  }
};

// mmap_sem: lost_stack, far_anon_vma, moved_break, eager_break, wide_fault, one_look. The answers
// of calls tell little of these. relaxed, in all of it: the lock orders the accesses.
template <class Mm, class Lock, Flaw flaw>
class FlawedRecords final : public MmapSemBase<Mm, Lock, FlawedRecords<Mm, Lock, flaw>> {
  using Base = MmapSemBase<Mm, Lock, FlawedRecords>;
  using V = typename Mm::V;

 public:
  using Base::Base;

 private:
  friend SchemeBase<typename Mm::Platform, FlawedRecords>;

  Error do_fault(u64 address, Access access) {
    if (flaw == Flaw::wide_fault && access == Access::read) widen(address);
    const Error error = Base::do_fault(address, access);
    if (flaw == Flaw::far_anon_vma && error == Error::none)
      for_each_pair([&](V& low, V& high) {
        const u64 anon_vma = low.anon_vma.load(std::memory_order_relaxed);
        if (anon_vma != 0 && high.range().contains(address) &&
            low.range().end != high.range().start)
          high.anon_vma.store(anon_vma, std::memory_order_relaxed);
      });
    return error;
  }

  bool do_walk(u64 address) {
    if (flaw != Flaw::one_look) return Base::do_walk(address);
    return this->mm_.table().walk(address, [](bool) { return true; });
  }

  void widen(u64 address) {
    this->lock_.lock_shared();
    const V* vma = this->mm_.find(address);
    if (vma != nullptr && vma->range().contains(address) && vma->permits(Access::read) &&
        !vma->permits(Access::write)) {
      auto& table = this->mm_.table();
      table.fault_in(address, Access::write, prot_read | prot_write, NewPage::own);
      table.restrict({page_floor(address), page_floor(address) + page_size}, prot_read);
    }
    this->lock_.unlock_shared();
  }

  Error do_protect(Range range, u32 prot) {
    const Error error = Base::do_protect(range, prot);
    if (flaw == Flaw::lost_stack)
      for_each_pair([](V& low, V& high) {
        if (low.has(map_growsdown) && low.range().end == high.range().start)
          high.flags.store(0, std::memory_order_relaxed);
      });
    return error;
  }

  MapResult do_brk(i64 delta) {
    const MapResult result = Base::do_brk(delta);
    const bool refused = result.error == Error::inval && delta > 0;
    if (flaw == Flaw::moved_break && refused) Base::do_brk(page_size);
    if (flaw == Flaw::eager_break && result.error == Error::none && delta > 0)
      Base::do_fault(result.address - page_size, Access::write);
    return result;
  }

  // Calls edit(low, high) for each two neighbours.
  template <class F>
  void for_each_pair(F&& edit) {
    this->lock_exclusive();
    V* low = this->mm_.find(0);
    for (V* high = low; low != nullptr; low = high) {
      high = this->mm_.next(*low);
      if (high != nullptr) edit(*low, *high);
    }
    this->unlock_exclusive();
  }
};

// refcount: counted_twice.
template <class Base>
class CountsTwice final : public Base {
 public:
  using Base::Base;
  void append_events(Events& events) const override {
    Base::append_events(events);
    for (EventCount& event : events)
      if (event.name == "vma_lock.fallback_missed") event.value *= 2;
  }
};

// A machine on which a shootdown waits until its sender asks for the delivery.
template <class P>
struct LateShootdown : P {
  static void shootdown(const CpuSet& cpus, LazyCpus) { pending[P::self()].add(cpus); }
  static void deliver() {
    P::shootdown(pending[P::self()], LazyCpus::interrupted);
    pending[P::self()] = {};
  }
  static inline std::array<CpuSet, P::max_threads> pending{};
};

// mmap_sem: late_shootdown. A call ends with the shootdown, but has given the frames back before.
template <class Mm, class Lock>
class LateSpace final : public MmapSemBase<Mm, Lock, LateSpace<Mm, Lock>> {
  using Base = MmapSemBase<Mm, Lock, LateSpace>;
  using P = typename Mm::Platform;

 public:
  explicit LateSpace(const AddressSpaceOptions& options) : Base(options) { P::pending = {}; }

 private:
  friend SchemeBase<P, LateSpace>;

  template <class T>
  static T delivered(T result) {
    P::deliver();
    return result;
  }
  MapResult do_map(u64 hint, u64 length, u32 prot, u32 flags) {
    return delivered(Base::do_map(hint, length, prot, flags));
  }
  Error do_unmap(Range range) { return delivered(Base::do_unmap(range)); }
  Error do_protect(Range range, u32 prot) { return delivered(Base::do_protect(range, prot)); }
  MapResult do_brk(i64 delta) { return delivered(Base::do_brk(delta)); }
  Error do_discard(Range range) { return delivered(Base::do_discard(range)); }
};

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

// no_neighbours, one_end, stale_reach.
template <class Mm, Flaw flaw>
class FlawedRule : public NeighbourRule<Mm> {
  using P = typename Mm::Platform;

 public:
  using NeighbourRule<Mm>::NeighbourRule;

  Range reach(Range range, Merging merging) const {
    if (flaw == Flaw::no_neighbours) return range;
    if (flaw == Flaw::one_end) return {NeighbourRule<Mm>::reach(range, merging).start, range.end};
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

// early_edit.
template <class Base>
class Impatient : public Base {
 public:
  bool enqueue(typename Base::Node& node, Range range, bool exclusive) {
    Base::enqueue(node, range, exclusive);
    return true;
  }
};

// A range lock without its queue.
template <class Base>
class Unqueued : public Base {
  using Base::enqueue;
  using Base::wait;
};

// stale_place.
template <class P>
class StalePlaceMm : public TreeMm<P, RangeLockHooks<P>> {
  using Base = TreeMm<P, RangeLockHooks<P>>;

 public:
  using Base::Base;

  // Answers what the thread found when it first asked for this map.
  u64 place(u64 hint, u64 length) const {
    u64& known = known_[P::self()];
    if (known == 0) known = Base::place(hint, length);
    return known;
  }
  MapResult map(u64 start, u64 length, u32 prot, u32 flags) {
    known_[P::self()] = 0;
    return Base::map(start, length, prot, flags | map_fixed);
  }

 private:
  mutable std::array<u64, P::max_threads> known_{};
};

// shared_edit, lone_whole.
template <class P, Flaw flaw, template <class> class Spinlock = Ticket>
class FlawedWhole : public TreeRangeLock<P, Spinlock> {
  using Base = TreeRangeLock<P, Spinlock>;

 public:
  void lock(typename Base::Node& node, Range range, bool exclusive) {
    const bool whole = range.length() == whole_address_space.length();
    if (whole && flaw == Flaw::shared_edit) exclusive = false;
    if (whole && flaw == Flaw::lone_whole) range = {0, page_size};
    Base::lock(node, range, exclusive);
  }
};

// A range_lock in which only these kinds of operation lock no more than they need.
template <class Scheme, u32 kinds>
struct NarrowedTo : Scheme {
  explicit NarrowedTo(AddressSpaceOptions options) : Scheme(with_kinds(options)) {}

 private:
  static AddressSpaceOptions with_kinds(AddressSpaceOptions options) {
    options.narrow = kinds;
    return options;
  }
};

// unmarked.
template <class P>
struct UnmarkedHooks : RangeLockHooks<P> {
  struct State {
    static constexpr Layout layout = Layout::linux_6_18;
    struct Hot {};
    struct Mark {
      bool load() const { return false; }
      void store(bool) {}
    };
    struct MostlyRead {
      Mark reserved;
    };
    State(Hot&, MostlyRead&) {}
  };
};

// hole, late_zap, unlocked_fault, unlocked_child, far_hole. `Base`: RadixTree or PageTableNodes.
template <class P, class Base, Flaw flaw>
class FlawedTree : public Base {
 public:
  void lock(u64 first, u64 end) {
    Base::lock(first, end);
    if (flaw == Flaw::hole && end - first > 1) Base::unlock(end - 1, end);
    let_go_[P::self()] = false;
    if (flaw == Flaw::far_hole && first >= SmallTree<P>::pages) let_go(first, end);
  }
  template <usize n>
  void lock_adjacent(const std::array<u64, n>& edges) {
    Base::lock_adjacent(edges);
    let_go_[P::self()] = false;
  }
  u64 lock_page(u64 page) {
    bool folded = false;
    if (flaw == Flaw::unlocked_child)
      Base::for_each(page, page + 1, [&](u64, u64 first, u64 end) {
        folded = end - first > 1;
        return false;
      });
    const u64 value = Base::lock_page(page);
    let_go_[P::self()] = false;
    if (flaw == Flaw::unlocked_fault || (folded && value != 0)) let_go(page, page + 1);
    return value;
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

// A few VMAs fill several nodes, and leaves cool at once.
template <vmas::Words words, template <class> class Spinlock = Qspinlock,
          template <class, class> class Nodes = vmas::RcuNodes>
using SmallLockingMaple = vmas::LockingMapleOf<words, 4, 1, Spinlock, Nodes>;
template <class P, vmas::Words words, template <class> class Spinlock = Qspinlock>
using SmallLockInMaple = lock_in_maple_scheme::Over<P, words, SmallLockingMaple<words, Spinlock>>;

// hole, lost_waiters, unlocked_fault.
template <class Base, Flaw flaw>
struct FlawedMaple {
  template <class P, class V>
  using Links = typename Base::template Links<P, V>;

  template <class P, class V>
  class Container : public Base::template Container<P, V> {
    using Tree = typename Base::template Container<P, V>;

   public:
    V* lock_shared(u64 address) {
      return flaw == Flaw::unlocked_fault ? this->find_rcu(address) : Tree::lock_shared(address);
    }
    void unlock_shared(V& vma) {
      if (flaw != Flaw::unlocked_fault) Tree::unlock_shared(vma);
    }
    Range lock(Range range) {
      if (flaw != Flaw::hole) return Tree::lock(range);
      Range held = range;
      for (u64 at = range.start; at < range.end;) {
        const V* vma = this->first_in({at, range.end});
        if (vma == nullptr) break;
        const Range own = Tree::lock({vma->range().start, vma->range().start + page_size});
        held = {std::min(held.start, own.start), std::max(held.end, own.end)};
        at = own.end;
      }
      return held;
    }
    void erase(V& vma) {
      if (flaw != Flaw::lost_waiters) return Tree::erase(vma);
      this->replace(vma.range(), [](u64) { return vmas::EntryWord::exclusive; });
      vma.hot.entry.store(vmas::EntryWord::exclusive, std::memory_order_relaxed);
    }
  };
};

// live_node: a node that has left the tree is unlocked and not marked dead.
template <class P, class Node>
class LiveNodes : public vmas::RcuNodes<P, Node> {
 public:
  struct Dead {
    void add(Node* node) { nodes[count++] = node; }
    Node* nodes[2];
    u32 count = 0;
  };
  void retire(const Dead& dead) {
    for (u32 i = 0; i < dead.count; ++i) {
      auto& state = dead.nodes[i]->state;
      // relaxed: only this thread changes the state of a node that it has locked.
      state.store(state.load(std::memory_order_relaxed) & ~vmas::NodeState::locked,
                  std::memory_order_release);
    }
  }
};

// unlocked_fault: a pin locks nothing. stale_vma: a fault that has slept does not ask whether the
// VMA is still there. `Base`: the lock in a VMA, such as VmaRefcount.
template <class Base, Flaw flaw>
class FlawedVmaLock : public Base {
 public:
  using Base::Base;
  PinResult pin(typename Base::Owner& owner) {
    return flaw == Flaw::unlocked_fault ? PinResult::pinned : Base::pin(owner);
  }
  void unpin(typename Base::Owner& owner) {
    if (flaw != Flaw::unlocked_fault) Base::unpin(owner);
  }
  PinResult sleep(typename Base::Owner& owner, bool& last) {
    if (flaw != Flaw::stale_vma) return Base::sleep(owner, last);
    this->hot_.lock.lock_shared();
    this->put();
    return PinResult::pinned;
  }
};

// no_write_lock, early_close, early_free (a detached VMA may still be pinned), unlocked_fault,
// stale_vma.
template <class Base, Flaw flaw>
class FlawedHooks : public Base {
 public:
  using State = FlawedVmaLock<typename Base::State, flaw>;

  template <class V>
  void start_write(V& vma) {
    if (flaw != Flaw::no_write_lock) Base::start_write(vma);
    if (flaw != Flaw::early_close) return;
    Base::close();
    Base::open();
  }
  template <class V>
  void detach(V& vma) {
    // The detach() of a lock on which faults sleep expects what these flaws have not kept.
    if (Base::State::rules.sleeps && (flaw == Flaw::no_write_lock || flaw == Flaw::early_close))
      Base::start_write(vma);
    if (flaw != Flaw::early_free) Base::detach(vma);
  }
};

// Of the speculative schemes: unlocked_fault (a fault never looks at the sequence), early_look,
// no_write_lock, early_close.
template <class Base, Flaw flaw>
class FlawedSequence : public Base {
 public:
  class Attempt : public Base::Attempt {
   public:
    explicit Attempt(FlawedSequence& hooks) : Base::Attempt(hooks) {}
    bool valid() const {
      if (flaw == Flaw::unlocked_fault || (flaw == Flaw::early_look && looked_)) return true;
      looked_ = true;
      return Base::Attempt::valid();
    }

   private:
    mutable bool looked_ = false;
  };

  void open() {
    if (flaw != Flaw::no_write_lock) Base::open();
    if (flaw == Flaw::early_close) Base::close();
  }
  void close() {
    if (flaw != Flaw::no_write_lock && flaw != Flaw::early_close) Base::close();
  }
  template <class V>
  void start_write(V& vma) {
    if (flaw == Flaw::no_write_lock) return;
    Base::start_write(vma);
    if (flaw == Flaw::early_close) Base::end_write(vma);
  }
  template <class V>
  void end_write(V& vma) {
    if (flaw != Flaw::no_write_lock && flaw != Flaw::early_close) Base::end_write(vma);
  }
  // The flaw has left the sequence of a VMA even where attach() expects an odd one.
  template <class V>
  void attach(V& vma) {
    Base::attach(vma);
    if constexpr (requires { vma.mostly_read.sequence; })
      if (vma.mostly_read.sequence.load(std::memory_order_relaxed) % 2 != 0) Base::end_write(vma);
  }
};

// speculative_counted: early_free (a VMA returns to the pool although faults refer to it).
template <class P>
struct EarlyFree : CountedSequenceHooks<P> {
  template <class V>
  bool drop(V& vma) {
    CountedSequenceHooks<P>::drop(vma);
    return true;
  }
};

// The broken schemes of for_each_broken_scheme that are range_lock.
template <class P, template <class> class Spinlock, class Add>
void for_each_broken_range_lock(Add& add) {
  using Mm = TreeMm<P, RangeLockHooks<P>>;
  using Ranges = TreeRangeLock<P, Spinlock>;
  using Structure = MutexStructure<P, Spinlock<P>>;
  const auto ranges = [&]<Flaw flaw>(const char* name) {
    add.template operator()<RangeLockScheme<Mm, Structure, FlawedRanges<P, flaw, Spinlock>>>(name);
  };
  ranges.template operator()<Flaw::hole>("range_lock:flaw=hole");
  ranges.template operator()<Flaw::late_zap>("range_lock:flaw=late_zap");
  ranges.template operator()<Flaw::unlocked_fault>("range_lock:flaw=unlocked_fault");
  add.template operator()<RangeLockScheme<Mm, FlawedStructure<P, Spinlock<P>>, Ranges>>(
      "range_lock:flaw=unlocked_lookup");
  add.template operator()<RangeLockScheme<TreeMm<P, UnmarkedHooks<P>>, Structure, Ranges>>(
      "range_lock:flaw=unmarked");
  const auto rule = [&]<Flaw flaw>(const char* name) {
    add.template operator()<RangeLockScheme<Mm, Structure, Ranges, FlawedRule<Mm, flaw>>>(name);
  };
  rule.template operator()<Flaw::no_neighbours>("range_lock:flaw=no_neighbours");
  rule.template operator()<Flaw::stale_reach>("range_lock:flaw=stale_reach");
  add.template operator()<RangeLockScheme<StalePlaceMm<P>, Structure, Unqueued<Ranges>>>(
      "range_lock:flaw=stale_place");
  const auto whole = [&]<Flaw flaw, u32 kinds>(const char* name) {
    using Flawed = RangeLockScheme<Mm, Structure, FlawedWhole<P, flaw, Spinlock>>;
    add.template operator()<NarrowedTo<Flawed, kinds>>(name);
  };
  whole.template operator()<Flaw::shared_edit, 0>("range_lock:flaw=shared_edit");
  whole.template operator()<Flaw::lone_whole, bit(RangeKind::fault)>("range_lock:flaw=lone_whole");
}

// The broken schemes of for_each_broken_scheme that differ from range_lock in how an edit finds its
// range. Each flaw is in a part that this way needs.
template <class P, template <class> class Spinlock, class Add>
void for_each_broken_finding(Add& add) {
  using Mm = TreeMm<P, RangeLockHooks<P>>;
  using Sound = TreeRangeLock<P, Spinlock>;
  const auto with = [&]<RangeFinding finding, class Ranges, class Rule>(const char* name) {
    using Structure = MutexStructure<P, Spinlock<P>>;
    add.template operator()<FoundBy<finding, RangeLockScheme<Mm, Structure, Ranges, Rule>>>(name);
  };
  const auto rule = [&]<RangeFinding finding, Flaw flaw>(const char* name) {
    with.template operator()<finding, Sound, FlawedRule<Mm, flaw>>(name);
  };
  const auto ranges = [&]<RangeFinding finding, class Ranges>(const char* name) {
    with.template operator()<finding, Ranges, NeighbourRule<Mm>>(name);
  };
  constexpr RangeFinding downgrades = RangeFinding::downgrades;
  ranges.template operator()<downgrades, FlawedWhole<P, Flaw::shared_edit, Spinlock>>(
      "range_downgrade:flaw=shared_edit");
  ranges.template operator()<downgrades, FlawedWhole<P, Flaw::lone_whole, Spinlock>>(
      "range_downgrade:flaw=lone_whole");
  rule.template operator()<downgrades, Flaw::no_neighbours>("range_downgrade:flaw=no_neighbours");
  constexpr RangeFinding refines = RangeFinding::refines;
  rule.template operator()<refines, Flaw::no_neighbours>("range_refine:flaw=no_neighbours");
  rule.template operator()<refines, Flaw::one_end>("range_refine:flaw=one_end");
  rule.template operator()<refines, Flaw::stale_reach>("range_refine:flaw=stale_reach");
  constexpr RangeFinding descends = RangeFinding::descends;
  ranges.template operator()<descends, Impatient<Sound>>("range_descend:flaw=early_edit");
  rule.template operator()<descends, Flaw::no_neighbours>("range_descend:flaw=no_neighbours");
  rule.template operator()<descends, Flaw::stale_reach>("range_descend:flaw=stale_reach");
}

// A machine whose shootdowns leave out the first CPU beside the sender's own.
template <class P>
struct DeafCpu : P {
  static void shootdown(CpuSet cpus, LazyCpus lazy) {
    const u32 first = P::cpu() == 0 ? 1 : 0;
    cpus.remove(first);
    P::shootdown(cpus, lazy);
  }
};

// Only the CPUs' caches of translations tell a scheme on that machine from a sound one.
template <class P, template <class> class Spinlock, class Add>
void for_each_deaf_scheme(Add& add) {
  if constexpr (HasTlb<P>) {
    using Deaf = DeafCpu<P>;
    add.template operator()<MmapSem<TreeMm<Deaf>, Rwsem<Deaf, RwsemPolicy{}, Spinlock>>>(
        "mmap_sem:flaw=deaf_cpu");
    add.template operator()<LockInTree<Deaf, SmallTree<Deaf>>>("lock_in_tree:flaw=deaf_cpu");
  }
}

// Broken schemes that only the programs which the seed draws find out. Called as
// for_each_broken_scheme.
template <class P, template <class> class Spinlock, class Add>
void for_each_scheme_of_drawn_programs(Add&& add) {
  const auto mmap_sem = [&]<Flaw flaw>(const char* name) {
    using Semaphore = Rwsem<P, RwsemPolicy{}, Spinlock>;
    add.template operator()<FlawedArguments<TreeMm<P>, Semaphore, flaw>>(name);
  };
  mmap_sem.template operator()<Flaw::write_only>("mmap_sem:flaw=write_only");
  mmap_sem.template operator()<Flaw::short_top>("mmap_sem:flaw=short_top");
  mmap_sem.template operator()<Flaw::always_merges>("mmap_sem:flaw=always_merges");
  const auto records = [&]<Flaw flaw>(const char* name) {
    using Semaphore = Rwsem<P, RwsemPolicy{}, Spinlock>;
    add.template operator()<FlawedRecords<TreeMm<P>, Semaphore, flaw>>(name);
  };
  records.template operator()<Flaw::lost_stack>("mmap_sem:flaw=lost_stack");
  records.template operator()<Flaw::far_anon_vma>("mmap_sem:flaw=far_anon_vma");
  records.template operator()<Flaw::moved_break>("mmap_sem:flaw=moved_break");
  records.template operator()<Flaw::eager_break>("mmap_sem:flaw=eager_break");
  records.template operator()<Flaw::wide_fault>("mmap_sem:flaw=wide_fault");
  records.template operator()<Flaw::one_look>("mmap_sem:flaw=one_look");
  using Late = LateShootdown<P>;
  add.template operator()<LateSpace<TreeMm<Late>, Rwsem<Late, RwsemPolicy{}, Spinlock>>>(
      "mmap_sem:flaw=late_shootdown");
  using Pinning = VmaLocked<MapleMm<P, RefcountHooks<P>>, Rwsem<P, RwsemPolicy{}, Spinlock>>;
  add.template operator()<CountsTwice<Pinning>>("refcount:flaw=counted_twice");
  add.template operator()<LockInTree<P, FlawedTree<P, TallTree<P>, Flaw::far_hole>>>(
      "lock_in_tree:flaw=far_hole");
}

// The broken schemes of for_each_broken_scheme whose locks are in a tree of pages.
template <class P, template <class> class Spinlock, class Add>
void for_each_broken_page_tree(Add& add) {
  const auto lock_in_tree = [&]<Flaw flaw>(const char* name) {
    add.template operator()<LockInTree<P, FlawedTree<P, SmallTree<P>, flaw>>>(name);
  };
  lock_in_tree.template operator()<Flaw::hole>("lock_in_tree:flaw=hole");
  lock_in_tree.template operator()<Flaw::late_zap>("lock_in_tree:flaw=late_zap");
  lock_in_tree.template operator()<Flaw::unlocked_fault>("lock_in_tree:flaw=unlocked_fault");
  lock_in_tree.template operator()<Flaw::unlocked_child>("lock_in_tree:flaw=unlocked_child");
  const auto page_table_lock = [&]<Flaw flaw>(const char* name) {
    constexpr CoverSteps steps{.locks_below = flaw != Flaw::unlocked_below,
                               .sees_stray = flaw != Flaw::stray_node,
                               .pushes_down = flaw != Flaw::lost_state};
    using Nodes = SmallNodes<P, Spinlock, steps>;
    add.template operator()<PageTableLock<P, FlawedTree<P, Nodes, flaw>>>(name);
  };
  page_table_lock.template operator()<Flaw::late_zap>("page_table_lock:flaw=late_zap");
  page_table_lock.template operator()<Flaw::unlocked_fault>("page_table_lock:flaw=unlocked_fault");
  page_table_lock.template operator()<Flaw::unlocked_below>("page_table_lock:flaw=unlocked_below");
  page_table_lock.template operator()<Flaw::stray_node>("page_table_lock:flaw=stray_node");
  page_table_lock.template operator()<Flaw::lost_state>("page_table_lock:flaw=lost_state");
}

// The broken schemes of for_each_broken_scheme with a lock in each VMA.
template <class P, template <class> class Spinlock, class Add>
void for_each_broken_vma_lock(Add& add) {
  const auto one = [&]<class Hooks, Flaw flaw>(const char* name) {
    using Semaphore = Rwsem<P, RwsemPolicy{}, Spinlock>;
    add.template operator()<VmaLocked<MapleMm<P, FlawedHooks<Hooks, flaw>>, Semaphore>>(name);
  };
  const auto with = [&]<class Hooks, Flaw last>(const std::array<const char*, 4>& names) {
    one.template operator()<Hooks, Flaw::unlocked_fault>(names[0]);
    one.template operator()<Hooks, Flaw::no_write_lock>(names[1]);
    one.template operator()<Hooks, Flaw::early_close>(names[2]);
    one.template operator()<Hooks, last>(names[3]);
  };
  with.template operator()<RefcountHooks<P>, Flaw::early_free>(
      {"refcount:flaw=unlocked_fault", "refcount:flaw=no_write_lock", "refcount:flaw=early_close",
       "refcount:flaw=early_free"});
  with.template operator()<RefcountNaiveHooks<P>, Flaw::early_free>(
      {"refcount_naive:flaw=unlocked_fault", "refcount_naive:flaw=no_write_lock",
       "refcount_naive:flaw=early_close", "refcount_naive:flaw=early_free"});
  with.template operator()<PerVmaLockHooks<P>, Flaw::early_free>(
      {"per_vma_lock:flaw=unlocked_fault", "per_vma_lock:flaw=no_write_lock",
       "per_vma_lock:flaw=early_close", "per_vma_lock:flaw=early_free"});
  with.template operator()<SleepingHooks<P>, Flaw::stale_vma>(
      {"vma_rwlock:flaw=unlocked_fault", "vma_rwlock:flaw=no_write_lock",
       "vma_rwlock:flaw=early_close", "vma_rwlock:flaw=stale_vma"});
}

// The broken schemes of for_each_broken_scheme whose faults are speculative.
template <class P, template <class> class Spinlock, class Add>
void for_each_broken_speculation(Add& add) {
  using Semaphore = Rwsem<P, RwsemPolicy{}, Spinlock>;
  const auto with = [&]<class Hooks>(const char* name) {
    add.template operator()<Speculation<MapleMm<P, Hooks>, Semaphore>>(name);
  };
  const auto all = [&]<class Hooks>(const std::array<const char*, 4>& names) {
    with.template operator()<FlawedSequence<Hooks, Flaw::unlocked_fault>>(names[0]);
    with.template operator()<FlawedSequence<Hooks, Flaw::early_look>>(names[1]);
    with.template operator()<FlawedSequence<Hooks, Flaw::no_write_lock>>(names[2]);
    with.template operator()<FlawedSequence<Hooks, Flaw::early_close>>(names[3]);
  };
  all.template operator()<VmaSequenceHooks<P>>(
      {"speculative:flaw=unlocked_fault", "speculative:flaw=early_look",
       "speculative:flaw=no_write_lock", "speculative:flaw=early_close"});
  all.template operator()<MmSequenceHooks<P>>(
      {"speculative_mm:flaw=unlocked_fault", "speculative_mm:flaw=early_look",
       "speculative_mm:flaw=no_write_lock", "speculative_mm:flaw=early_close"});
  all.template operator()<CountedSequenceHooks<P>>(
      {"speculative_counted:flaw=unlocked_fault", "speculative_counted:flaw=early_look",
       "speculative_counted:flaw=no_write_lock", "speculative_counted:flaw=early_close"});
  with.template operator()<EarlyFree<P>>("speculative_counted:flaw=early_free");
}

// Calls add.template operator()<Scheme>(name) for each broken scheme on platform P. `Spinlock`
// stands for the spinlocks inside their locks.
template <class P, template <class> class Spinlock, class Add>
void for_each_broken_scheme(Add&& add) {
  using Semaphore = Rwsem<P, RwsemPolicy{}, Spinlock>;
  const auto mmap_sem = [&]<Flaw flaw>(const char* name) {
    add.template operator()<FlawedSpace<TreeMm<P>, Semaphore, flaw>>(name);
  };
  mmap_sem.template operator()<Flaw::unlocked_fault>("mmap_sem:flaw=unlocked_fault");
  mmap_sem.template operator()<Flaw::stale_vma>("mmap_sem:flaw=stale_vma");
  mmap_sem.template operator()<Flaw::late_zap>("mmap_sem:flaw=late_zap");
  const auto mmap_sem_over = [&]<Flaw flaw>(const char* name) {
    add.template operator()<MmapSem<TreeMm<P>, FlawedShared<P, flaw, Spinlock>>>(name);
  };
  mmap_sem_over.template operator()<Flaw::rude_readers>("mmap_sem:flaw=rude_readers");
  mmap_sem_over.template operator()<Flaw::downgrade_gap>("mmap_sem:flaw=downgrade_gap");
  for_each_broken_range_lock<P, Spinlock>(add);
  for_each_broken_finding<P, Spinlock>(add);
  for_each_deaf_scheme<P, Spinlock>(add);
  for_each_broken_page_tree<P, Spinlock>(add);
  constexpr auto in_vmas = vmas::Words::in_vmas;
  const auto lock_in_maple = [&]<Flaw flaw>(const char* name) {
    using Tree = FlawedMaple<SmallLockingMaple<in_vmas, Spinlock>, flaw>;
    add.template operator()<lock_in_maple_scheme::Over<P, in_vmas, Tree>>(name);
  };
  lock_in_maple.template operator()<Flaw::hole>("lock_in_maple:flaw=hole");
  lock_in_maple.template operator()<Flaw::lost_waiters>("lock_in_maple:flaw=lost_waiters");
  lock_in_maple.template operator()<Flaw::unlocked_fault>("lock_in_maple:flaw=unlocked_fault");
  using LiveTree = SmallLockingMaple<in_vmas, Spinlock, LiveNodes>;
  add.template operator()<lock_in_maple_scheme::Over<P, in_vmas, LiveTree>>(
      "lock_in_maple:flaw=live_node");
  for_each_broken_vma_lock<P, Spinlock>(add);
  for_each_broken_speculation<P, Spinlock>(add);
}

}  // namespace faultline::check
