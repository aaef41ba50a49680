// What the schemes with a lock in each VMA share, as Linux has them since 6.4 (lock_vma_under_rcu()
// of mm/memory.c, later of mm/mmap_lock.c; do_user_addr_fault() of arch/x86/mm/fault.c). A fault
// finds its VMA under RCU, tries to lock it and never touches the big lock (mmap_lock), unless
// something hinders it. Then it falls back to the big lock's shared side, and the reason is
// counted. Edits take the big lock exclusively and write-lock the VMAs they change. Where the rules
// say `sleeps`, a fault waits for a writer of its VMA instead, which no version of Linux does.
//
// Not linearizable: a discard holds the big lock shared, so faults may come between its pages, and
// a walk takes no lock, so it may find a page that a call still at work takes away.
#pragma once

#include <array>

#include "locks/schemes/mmap_sem.hpp"
#include "locks/shared/vma_lock_hooks.hpp"

namespace faultline {

// The hooks of `Mm` are VmaLockHooks, or have the same public functions.
template <class Mm, SharedLock Lock>
requires Mm::searchable_under_rcu class VmaLocked
    : public MmapSemBase<Mm, Lock, VmaLocked<Mm, Lock>> {
  using Base = MmapSemBase<Mm, Lock, VmaLocked>;
  using P = typename Mm::Platform;

 public:
  using Base::Base;

  // Detaches the VMAs that are left, as exit_mmap does, so that readers of other address spaces
  // find no VMA of this one.
  ~VmaLocked() override {
    typename Mm::Detached detached;
    this->lock_exclusive();
    this->mm_.detach(whole_address_space, detached);
    this->unlock_exclusive();
    this->mm_.release(detached);
    this->hooks_.close_down();
  }

  void append_events(Events& events) const override {
    Events all;
    counters_.append_to(all);
    for (usize event = 0; event < event_count; ++event)
      if (is_counted(static_cast<Event>(event))) events.push_back(all[event]);
    Base::append_events(events);
  }

 private:
  friend SchemeBase<P, VmaLocked>;

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
    anon_vma_first,
    file,
    retried,
    slept,
    moved_again,
    event_count
  };
  static constexpr std::array<const char*, event_count> event_names = {
      "vma_lock.fallback_missed",
      "vma_lock.retry_detached",
      "vma_lock.fallback_write_locked",
      "vma_lock.fallback_draining",
      "vma_lock.fallback_foreign",
      "vma_lock.fallback_sequence",
      "vma_lock.fallback_moved",
      "vma_lock.anon_vma_tried",
      "vma_lock.fallback_anon_vma",
      "vma_lock.fallback_anon_vma_first",
      "vma_lock.fallback_file",
      "vma_lock.fallback_retries",
      "vma_lock.sleeps",
      "vma_lock.retry_moved"};
  static constexpr VmaLockRules rules = Mm::Hooks::State::rules;
  // How often a look-up is repeated that found a VMA which is detached, or which has moved.
  static constexpr int max_retries = 8;

  static constexpr bool is_counted(Event event) {
    switch (event) {
      case anon_vma_tried:
      case no_anon_vma:
        return !rules.anon_vma_first;
      case anon_vma_first:
        return rules.anon_vma_first;
      case file:
        return rules.anonymous_alone;
      case write_locked:
      case draining:
      case foreign:
      case sequence_changed:
      case moved:
        return !rules.sleeps;
      case slept:
      case moved_again:
        return rules.sleeps;
      default:
        return true;
    }
  }

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
      const bool served = vma != nullptr && is_served(*vma);
      PinResult result = served ? vma->state().pin(this->hooks_.owner()) : PinResult::detached;
      P::rcu::read_unlock();
      if (!served) return fall_back(vma == nullptr ? missed : file);
      if constexpr (rules.sleeps)
        if (result == PinResult::referred) result = sleep_on(*vma);
      if (result == PinResult::detached) {
        counters_.add(detached_vma);
        continue;
      }
      if (result != PinResult::pinned) return fall_back(event_of(result));
      step =
          lacks_anon_vma(*vma) ? FaultStep::needs_anon_vma : fault_in_pinned(*vma, address, access);
      vma->state().unpin(this->hooks_.owner());
      if (rules.sleeps && step == FaultStep::no_vma) {
        counters_.add(moved_again);
        continue;
      }
      if (step == FaultStep::no_vma) return fall_back(moved);
      if (step == FaultStep::needs_anon_vma)
        return fall_back(rules.anon_vma_first ? anon_vma_first : no_anon_vma);
      return true;
    }
    return fall_back(retried);
  }

  // The reference keeps the VMA's memory. Whoever drops the last one returns it to the pool.
  template <class V>
  PinResult sleep_on(V& vma) {
    counters_.add(slept);
    bool last = false;
    const PinResult result = vma.state().sleep(this->hooks_.owner(), last);
    if (last) this->mm_.give_back(vma);
    return result;
  }

  // A racy look. A stale answer takes or leaves the fast path once too often.
  template <class V>
  static bool is_served(const V& vma) {
    if constexpr (rules.anonymous_alone) return !vma.has(map_file) && !vma.has(map_shared);
    return true;
  }

  // Where it comes first, a VMA that is only read never gets an anon_vma.
  template <class V>
  bool lacks_anon_vma(const V& vma) const {
    return (rules.anon_vma_first || !this->mm_.options().anon_vma_in_fault) &&
           vma.privately_written(Access::read) && vma.anon_identity() == 0;
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

}  // namespace faultline
