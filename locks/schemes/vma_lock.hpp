// What the schemes with a lock in each VMA share, as Linux has them since 6.4 (lock_vma_under_rcu()
// of mm/memory.c, later of mm/mmap_lock.c; do_user_addr_fault() of arch/x86/mm/fault.c). A fault
// finds its VMA under RCU, tries to lock it and never touches the big lock (mmap_lock), unless
// something hinders it. Then it falls back to the big lock's shared side, and the reason is
// counted. Edits take the big lock exclusively and write-lock the VMAs they change. Where the rules
// say `sleeps`, a fault waits for a writer of its VMA instead, which no version of Linux does.
//
// Since Linux 6.17 two more of the operations here take the lock of a VMA. Where VmaLockRules or
// the scheme's options say otherwise, they hold the big lock shared from beginning to end. So did a
// discard before 6.17. A reader of /proc/PID/maps dropped the lock after each page of text, which
// is not modelled.
//   discard   a range that lies in one VMA is discarded under that VMA's lock (try_vma_read_lock()
//             of mm/madvise.c). Any other range falls back to the big lock
//   scan      reading /proc/PID/maps walks under RCU and locks one VMA at a time (lock_next_vma()
//             of mm/mmap_lock.c). At a VMA that it cannot lock it takes the big lock for one step
// The kernel looks a second time for a VMA behind a hole only if mm_lock_seq has changed since the
// first look; the scan here always does. A container whose walk under RCU may miss a VMA is scanned
// under the big lock.
//
// Not linearizable: faults may come between the pages of a discard, a scan sees its VMAs at
// different moments, and a walk takes no lock, so it may find a page that a call still at work
// takes away.
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
  using V = typename Mm::V;

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
    discard_fallback,
    scan_fallback,
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
      "vma_lock.retry_moved",
      "vma_lock.discard_fallback",
      "vma_lock.scan_fallback"};
  static constexpr VmaLockRules rules = Mm::Hooks::State::rules;
  // How often a look-up is repeated that found a VMA which is detached, or which has moved.
  static constexpr int max_retries = 8;
  // How many VMAs a scan passes within one read section of RCU: about the lines of
  // /proc/PID/maps that fit into the page which the kernel fills at a time.
  static constexpr u32 scan_batch = 50;

  bool discards_by_vma() const { return !rules.faults_alone && this->mm_.options().discard_by_vma; }
  bool scans_by_vma() const {
    return Mm::misses_nothing && !rules.faults_alone && this->mm_.options().scan_by_vma;
  }

  bool is_counted(Event event) const {
    switch (event) {
      case anon_vma_tried:
      case no_anon_vma:
        return !rules.anon_vma_first;
      case anon_vma_first:
        return rules.anon_vma_first;
      case file:
        return rules.anonymous_alone;
      case discard_fallback:
        return discards_by_vma();
      case scan_fallback:
        return scans_by_vma();
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
    for (int tries = max_retries; tries > 0; --tries) {
      Event reason;
      V* vma = pin(address, tries, reason);
      if (vma == nullptr) return fall_back(reason);
      step =
          lacks_anon_vma(*vma) ? FaultStep::needs_anon_vma : fault_in_pinned(*vma, address, access);
      unpin(*vma);
      if (step == FaultStep::needs_anon_vma)
        return fall_back(rules.anon_vma_first ? anon_vma_first : no_anon_vma);
      if (step != FaultStep::no_vma) return true;
      if (!rules.sleeps) return fall_back(moved);
      counters_.add(moved_again);
    }
    return fall_back(retried);
  }

  // lock_vma_under_rcu() in the kernel. Answers the VMA that was found at `address`, pinned, or
  // null and the reason. The caller checks the bounds. A look-up that finds a detached VMA uses up
  // one of `tries`.
  V* pin(u64 address, int& tries, Event& reason) {
    for (;; --tries) {
      P::rcu::read_lock();
      V* vma = this->mm_.find_rcu(address);
      const bool served = vma != nullptr && is_served(*vma);
      PinResult result = served ? vma->state().pin(this->hooks_.owner()) : PinResult::detached;
      P::rcu::read_unlock();
      if constexpr (rules.sleeps)
        if (result == PinResult::referred) result = sleep_on(*vma);
      if (result == PinResult::pinned) return vma;
      if (served && result == PinResult::detached) counters_.add(detached_vma);
      if (!served)
        reason = vma == nullptr ? missed : file;
      else
        reason = result == PinResult::detached ? retried : event_of(result);
      if (reason != retried || tries == 1) return nullptr;
    }
  }
  void unpin(V& vma) { vma.state().unpin(this->hooks_.owner()); }

  // The reference keeps the VMA's memory. Whoever drops the last one returns it to the pool.
  PinResult sleep_on(V& vma) {
    counters_.add(slept);
    bool last = false;
    const PinResult result = vma.state().sleep(this->hooks_.owner(), last);
    if (last) this->mm_.give_back(vma);
    return result;
  }

  // A racy look. A stale answer takes or leaves the fast path once too often.
  static bool is_served(const V& vma) {
    if constexpr (rules.anonymous_alone) return !vma.has(map_file) && !vma.has(map_shared);
    return true;
  }

  // Where it comes first, a VMA that is only read never gets an anon_vma.
  bool lacks_anon_vma(const V& vma) const {
    return (rules.anon_vma_first || !this->mm_.options().anon_vma_in_fault) &&
           vma.privately_written(Access::read) && vma.anon_identity() == 0;
  }

  // A fault chooses an anon_vma among its neighbours' with the big lock held shared. It only tries
  // that lock, since the lock's holder may be waiting for this pin, and where it fails it falls
  // back to the lock with the whole fault (vmf_anon_prepare of mm/memory.c). While the fault holds
  // both, the VMA is in the container: a writer that takes it out drains the pin first.
  FaultStep fault_in_pinned(V& vma, u64 address, Access access) {
    const FaultStep step = this->mm_.fault_step(&vma, address, access);
    if (step != FaultStep::needs_anon_vma || !this->lock_.try_lock_shared()) return step;
    this->mm_.prepare_anon_vma(vma);
    this->lock_.unlock_shared();
    counters_.add(anon_vma_tried);
    return this->mm_.fault_step(&vma, address, access);
  }

  Error do_discard(Range range) {
    if (!discards_by_vma()) return Base::do_discard(range);
    Event reason;
    int tries = max_retries;
    if (V* vma = pin(range.start, tries, reason)) {
      const bool covered = vma->range().contains(range.start) && range.end <= vma->range().end;
      if (covered) this->mm_.discard_in(*vma, range);
      unpin(*vma);
      if (covered) return Error::none;
    }
    counters_.add(discard_fallback);
    return Base::do_discard(range);
  }

  u64 do_scan() {
    if (!scans_by_vma()) return Base::do_scan();
    u64 vmas = 0;
    for (u64 at = 0;;) {
      const Scan scan = scan_under_rcu(at, vmas);
      if (scan == Scan::ended) return vmas;
      if (scan == Scan::hindered) {
        counters_.add(scan_fallback);
        if (!pass_under_lock(at)) return vmas;
        ++vmas;
      }
    }
  }

  enum class Scan { goes_on, hindered, ended };

  // Counts VMAs from `at` on, and moves `at` to the end of the last.
  Scan scan_under_rcu(u64& at, u64& vmas) {
    if constexpr (!Mm::misses_nothing) {
      return Scan::hindered;
    } else {
      P::rcu::read_lock();
      auto walk = this->mm_.walk_rcu(at);
      Scan scan = Scan::goes_on;
      for (u32 i = 0; i < scan_batch && scan == Scan::goes_on; ++i) {
        V* vma = walk.next();
        if (vma == nullptr) {
          scan = Scan::ended;
          break;
        }
        const PinResult result = vma->state().pin(this->hooks_.owner());
        if (result == PinResult::detached) {
          counters_.add(detached_vma);
          break;  // the next walk does not find it
        }
        if (result != PinResult::pinned || !pass_pinned(*vma, at))
          scan = Scan::hindered;
        else
          ++vmas;
      }
      P::rcu::read_unlock();
      return scan;
    }
  }

  // Unpins `vma`. False: it is not the first VMA that ends above `at`. It may have moved before it
  // was pinned, and where it lies behind a hole, another may have taken its place.
  bool pass_pinned(V& vma, u64& at) {
    const Range range = vma.range();
    const bool next =
        range.contains(at) || (at < range.start && this->mm_.walk_rcu(at).next() == &vma);
    unpin(vma);
    if (next) at = range.end;
    return next;
  }

  // lock_next_vma_under_mmap_lock() in the kernel. False: no VMA ends above `at`.
  bool pass_under_lock(u64& at) {
    this->lock_.lock_shared();
    const V* vma = this->mm_.find(at);
    if (vma != nullptr) at = vma->range().end;
    this->lock_.unlock_shared();
    return vma != nullptr;
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

// How a scheme with a lock in each VMA is composed. `Hooks` are its hooks over a platform, a layout
// and the place of mm_lock_seq.
template <template <class, Layout, class> class Hooks>
struct VmaLockedScheme {
  template <class P, class Vmas, class Lock, Layout layout>
  using Space =
      VmaLocked<Mm<P, Vmas, Hooks<P, layout, PlaceBehind<P, Lock, layout>>, layout>, Lock>;
};

}  // namespace faultline
