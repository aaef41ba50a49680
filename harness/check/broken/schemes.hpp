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
#include "locks/schemes/lock_in_tree.hpp"
#include "locks/schemes/mmap_sem.hpp"
#include "locks/schemes/neighbour_rule.hpp"
#include "locks/schemes/range_lock.hpp"
#include "locks/schemes/refcount.hpp"
#include "locks/schemes/structure_lock.hpp"
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

// The broken schemes of for_each_broken_scheme that derive from range_lock.
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
  for_each_deaf_scheme<P, Spinlock>(add);
  const auto lock_in_tree = [&]<Flaw flaw>(const char* name) {
    add.template operator()<LockInTree<P, FlawedTree<P, SmallTree<P>, flaw>>>(name);
  };
  lock_in_tree.template operator()<Flaw::hole>("lock_in_tree:flaw=hole");
  lock_in_tree.template operator()<Flaw::late_zap>("lock_in_tree:flaw=late_zap");
  lock_in_tree.template operator()<Flaw::unlocked_fault>("lock_in_tree:flaw=unlocked_fault");
  lock_in_tree.template operator()<Flaw::unlocked_child>("lock_in_tree:flaw=unlocked_child");
  const auto refcount = [&]<Flaw flaw>(const char* name) {
    add.template operator()<Refcount<TreeMm<P, FlawedHooks<P, flaw>>, Semaphore>>(name);
  };
  refcount.template operator()<Flaw::unlocked_fault>("refcount:flaw=unlocked_fault");
  refcount.template operator()<Flaw::no_write_lock>("refcount:flaw=no_write_lock");
  refcount.template operator()<Flaw::early_close>("refcount:flaw=early_close");
  refcount.template operator()<Flaw::early_free>("refcount:flaw=early_free");
}

}  // namespace faultline::check
