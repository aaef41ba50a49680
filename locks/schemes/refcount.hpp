// Scheme `refcount`: per-VMA locks by reference count, as Linux has them since 6.15
// (lock_vma_under_rcu of mm/mmap_lock.c; do_user_addr_fault of arch/x86/mm/fault.c). A fault looks
// its VMA up under RCU, pins it and never touches the big lock, unless something is in the way:
// then it falls back to the big lock's shared side, and the reason is counted. Edits take the big
// lock exclusively and write-lock the VMAs they change.
#pragma once

#include "locks/schemes/mmap_sem.hpp"
#include "locks/shared/vma_refcount.hpp"

namespace faultline {

template <class P, SharedLock Lock>
class Refcount final : public MmapSem<P, Lock, RefcountPolicy<P>> {
  using Base = MmapSem<P, Lock, RefcountPolicy<P>>;
  using Core = typename Base::Core;

 public:
  using Base::Base;

  // Detaches what is left, as exit_mmap does, so that readers of other address spaces find no VMA
  // of this one.
  ~Refcount() override {
    typename Core::Detached detached;
    this->lock_exclusive();
    this->mm_.detach(whole_address_space, detached);
    this->unlock_exclusive();
    this->mm_.release(detached);
    this->policy_.close_down();
  }

  Error fault(u64 address, Access access) override {
    P::settle();
    FaultStep step;
    if (fault_pinned(address, access, step)) return Core::to_error(step);
    return this->fault_shared(address, access);
  }

  void append_events(Events& events) const override {
    counters_.append_to(events);
    Base::append_events(events);
  }

 private:
  enum Event : usize {
    missed,
    detached_vma,
    write_locked,
    draining,
    foreign,
    sequence_changed,
    moved,
    no_anon_vma,
    event_count
  };
  static constexpr std::array<const char*, event_count> event_names = {
      "refcount.fallback_missed",   "refcount.retry_detached",   "refcount.fallback_write_locked",
      "refcount.fallback_draining", "refcount.fallback_foreign", "refcount.fallback_sequence",
      "refcount.retry_moved",       "refcount.fallback_anon_vma"};
  static constexpr int max_retries = 8;  // of the look-up, before the fault falls back as missed

  // True: `step` is the fault's outcome. False: fall back.
  bool fault_pinned(u64 address, Access access, FaultStep& step) {
    for (int attempt = 0; attempt < max_retries; ++attempt) {
      P::rcu::read_lock();
      auto* vma = this->mm_.find_rcu(address);
      const PinResult result =
          vma == nullptr ? PinResult::detached : vma->state.pin(this->policy_.owner());
      P::rcu::read_unlock();
      if (vma == nullptr) break;
      if (result == PinResult::detached) {
        counters_.add(detached_vma);
        continue;
      }
      if (result != PinResult::pinned) {
        counters_.add(event_of(result));
        return false;
      }
      step = this->mm_.fault_step(vma, address, access);
      vma->state.unpin(this->policy_.owner());
      if (step == FaultStep::no_vma) {
        counters_.add(moved);
        continue;
      }
      if (step != FaultStep::needs_anon_vma) return true;
      counters_.add(no_anon_vma);
      return false;
    }
    counters_.add(missed);
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
