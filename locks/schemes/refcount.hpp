// Scheme `refcount`: per-VMA locks by reference count, as Linux has them since 6.15
// (lock_vma_under_rcu of mm/mmap_lock.c; do_user_addr_fault of arch/x86/mm/fault.c). A fault finds
// its VMA under RCU, pins it and never touches the big lock (mmap_lock), unless something hinders
// it. Then it falls back to the big lock's shared side, and the reason is counted. Edits take the
// big lock exclusively and write-lock the VMAs they change.
//
// Not linearizable: a discard holds the big lock shared, so faults may come between its pages, and
// a walk takes no lock, so it may find a page that a call still at work takes away.
#pragma once

#include <array>
#include <type_traits>

#include "locks/schemes/mmap_sem.hpp"
#include "locks/shared/vma_refcount.hpp"

namespace faultline {

// The hooks of `Mm` are RefcountHooks, or have the same public functions.
template <class Mm, SharedLock Lock>
requires Mm::searchable_under_rcu class Refcount
    : public MmapSemBase<Mm, Lock, Refcount<Mm, Lock>> {
  using Base = MmapSemBase<Mm, Lock, Refcount>;
  using P = typename Mm::Platform;

 public:
  using Base::Base;

  // Detaches the VMAs that are left, as exit_mmap does, so that readers of other address spaces
  // find no VMA of this one.
  ~Refcount() override {
    typename Mm::Detached detached;
    this->lock_exclusive();
    this->mm_.detach(whole_address_space, detached);
    this->unlock_exclusive();
    this->mm_.release(detached);
    this->hooks_.close_down();
  }

  void append_events(Events& events) const override {
    counters_.append_to(events);
    Base::append_events(events);
  }

 private:
  friend SchemeBase<P, Refcount>;

  enum Event : usize {
    missed,
    detached_vma,
    write_locked,
    draining,
    foreign,
    sequence_changed,
    moved,
    // The big lock's shared side was free, and the fault took it while it kept the VMA pinned.
    anon_vma_tried,
    no_anon_vma,
    retried,
    event_count
  };
  static constexpr std::array<const char*, event_count> event_names = {
      "refcount.fallback_missed",   "refcount.retry_detached",   "refcount.fallback_write_locked",
      "refcount.fallback_draining", "refcount.fallback_foreign", "refcount.fallback_sequence",
      "refcount.fallback_moved",    "refcount.anon_vma_tried",   "refcount.fallback_anon_vma",
      "refcount.fallback_retries"};
  // How often a look-up that found a detached VMA is repeated.
  static constexpr int max_retries = 8;

  Error do_fault(u64 address, Access access) {
    this->before_fault();
    FaultStep step;
    if (fault_pinned(address, access, step)) return Mm::to_error(step);
    return Base::fault_locked(address, access);
  }

  // True: `step` is the fault's outcome. False: the caller falls back to the big lock.
  bool fault_pinned(u64 address, Access access, FaultStep& step) {
    for (int attempt = 0; attempt < max_retries; ++attempt) {
      P::rcu::read_lock();
      auto* vma = this->mm_.find_rcu(address);
      const PinResult result =
          vma == nullptr ? PinResult::detached : vma->state().pin(this->hooks_.owner());
      P::rcu::read_unlock();
      if (vma == nullptr) return fall_back(missed);
      if (result == PinResult::detached) {
        counters_.add(detached_vma);
        continue;
      }
      if (result != PinResult::pinned) return fall_back(event_of(result));
      step =
          lacks_anon_vma(*vma) ? FaultStep::needs_anon_vma : fault_in_pinned(*vma, address, access);
      vma->state().unpin(this->hooks_.owner());
      if (step == FaultStep::no_vma) return fall_back(moved);
      if (step == FaultStep::needs_anon_vma) return fall_back(no_anon_vma);
      return true;
    }
    return fall_back(retried);
  }

  // Linux 6.4 to 6.9 (lock_vma_under_rcu of mm/memory.c): no fault in anonymous memory is served
  // under the VMA's lock before the VMA has an anon_vma, whatever the access is. A VMA that is only
  // read never gets one.
  template <class V>
  bool lacks_anon_vma(const V& vma) const {
    // relaxed: as in Mm::fault_step.
    return !this->mm_.options().anon_vma_in_fault && vma.privately_written(Access::read) &&
           vma.anon_vma.load(std::memory_order_relaxed) == 0;
  }

  // A fault chooses an anon_vma among its neighbours' with the big lock held shared. It only tries
  // that lock, since the lock's holder may be waiting for this pin, and where it fails it falls
  // back to the lock with the whole fault (vmf_anon_prepare of mm/memory.c). While the fault holds
  // both, the VMA is in the container: a writer that takes it out drains the pin first.
  template <class V>
  FaultStep fault_in_pinned(V& vma, u64 address, Access access) {
    const FaultStep step = this->mm_.fault_step(&vma, address, access);
    if (step != FaultStep::needs_anon_vma || !this->lock_.try_lock_shared()) return step;
    this->mm_.prepare_anon_vma(vma);
    this->lock_.unlock_shared();
    counters_.add(anon_vma_tried);
    return this->mm_.fault_step(&vma, address, access);
  }

  bool fall_back(Event reason) {
    counters_.add(reason);
    return false;
  }

  static Event event_of(PinResult result) {
    switch (result) {
      case PinResult::write_locked:
        return write_locked;
      case PinResult::draining:
        return draining;
      case PinResult::foreign:
        return foreign;
      default:
        return sequence_changed;
    }
  }

  EventCounters<P, event_count> counters_{event_names};
};

struct refcount_scheme {
  // A lock behind a virtual interface brings the owner's fields of linux-6.18 with it.
  template <class P, class Lock, Layout layout>
  using Place = std::conditional_t<TakesOptions<Lock> && layout == Layout::linux_6_18,
                                   RefcountOwner<P, layout>&, RefcountOwner<P, layout>>;
  template <class P, class Vmas, class Lock, Layout layout>
  using Space =
      Refcount<Mm<P, Vmas, RefcountHooks<P, layout, Place<P, Lock, layout>>, layout>, Lock>;
};

}  // namespace faultline
