// Speculative page faults: what the schemes `speculative`, `speculative_mm` and
// `speculative_counted` share. A fault finds its VMA under RCU and copies the fields that it needs.
// It locks neither the VMA nor the address space. It relies on a sequence, which every writer makes
// odd before an edit and even after it. The fault asks whether the sequence is still the one that
// it began with: once it has the copy, and again under the lock of the page of the page table, just
// before it changes the entry. If not, or where anything else hinders it, it falls back to the big
// lock's shared side, and the reason is counted.
//
// The second look decides. An edit makes the sequence odd before it zaps or restricts, and takes
// the lock of the table page to do so. If it takes that lock after the fault, it finds the fault's
// page. If before, the fault sees the new sequence. A zap that finds no table page takes no lock.
// Then either the fault finds none and falls back, or another fault has made the page meanwhile.
// That one held the big lock shared, so it came after the edit, and the load that finds its table
// page (acquire) brings the new sequence with it. The first look only saves a page that would be
// cleared in vain.
//
// These faults are not speculative: those in files and in shared memory, first writes of a VMA that
// lacks an anon_vma, those that the VMA does not permit, and those that find the lock of the table
// page taken. Lespinasse's patches have the same rules. Dufour's differ: no fault of a VMA without
// an anon_vma or of a stack is speculative, a fault that is not permitted is answered at once, v12
// tries the lock of the table page again, and a discard makes the sequence of its VMA odd, so that
// faults beside it fail.
//
// Not modelled: huge pages, NUMA hinting and swap; that speculation disables interrupts while it
// walks the page table, which keeps the tables from being freed (here they never are); that
// processes of one thread do not speculate.
//
// Not linearizable: a discard holds the big lock shared, so faults may come between its pages, and
// a walk takes no lock, so it may find a page that a call still at work takes away.
#pragma once

#include <array>

#include "locks/schemes/mmap_sem.hpp"

namespace faultline {

// The hooks of `Mm` have a class Attempt, which is one fault's speculation:
//   Attempt(hooks)    begins, before the look-up
//   bool begun()      false: a writer is at work
//   bool enter(vma)   under RCU, with the VMA that was found; false: it is being changed, is in the
//                     pool, or belongs to another address space by now
//   bool valid()      whether no edit has begun since enter()
//   bool leave(vma)   ends what enter() has begun; true: the caller returns the VMA to the pool
//
// A space that ends leaves its VMAs as they are: a fault of another address space that still finds
// one compares its owner, but never follows it.
template <class Mm, SharedLock Lock>
requires Mm::searchable_under_rcu class Speculation final
    : public MmapSemBase<Mm, Lock, Speculation<Mm, Lock>> {
  using Base = MmapSemBase<Mm, Lock, Speculation>;
  using P = typename Mm::Platform;
  using V = typename Mm::V;

 public:
  using Base::Base;

  void append_events(Events& events) const override {
    counters_.append_to(events);
    Base::append_events(events);
  }

 private:
  friend SchemeBase<P, Speculation>;

  enum Event : usize {
    missed,
    write_locked,
    changed,
    not_anonymous,
    no_permission,
    no_anon_vma,
    no_table,
    table_locked,
    out_of_frames,
    event_count
  };
  static constexpr std::array<const char*, event_count> event_names = {
      "speculative.fallback_missed",        "speculative.fallback_write_locked",
      "speculative.fallback_changed",       "speculative.fallback_not_anonymous",
      "speculative.fallback_no_permission", "speculative.fallback_anon_vma",
      "speculative.fallback_no_table",      "speculative.fallback_table_locked",
      "speculative.fallback_no_frame"};

  Error do_fault(u64 address, Access access) {
    this->before_fault();
    return speculate(address, access) ? Error::none : Base::fault_locked(address, access);
  }

  // False: the caller falls back to the big lock.
  bool speculate(u64 address, Access access) {
    typename Mm::Hooks::Attempt attempt(this->hooks_);
    if (!attempt.begun()) return fall_back(write_locked);
    P::rcu::read_lock();
    V* vma = this->mm_.find_rcu(address);
    const bool entered = vma != nullptr && attempt.enter(*vma);
    P::rcu::read_unlock();
    if (vma == nullptr) return fall_back(missed);
    FaultStep step = FaultStep::done;
    if (entered)
      step =
          this->mm_.speculative_step(vma->copy(), address, access, [&] { return attempt.valid(); });
    if (attempt.leave(*vma)) this->mm_.give_back(*vma);
    if (!entered) return fall_back(write_locked);
    return step == FaultStep::done || fall_back(event_of(step));
  }

  bool fall_back(Event reason) {
    counters_.add(reason);
    return false;
  }

  static Event event_of(FaultStep step) {
    switch (step) {
      case FaultStep::segv:
        return no_permission;
      case FaultStep::needs_anon_vma:
        return no_anon_vma;
      case FaultStep::not_anonymous:
        return not_anonymous;
      case FaultStep::no_table:
        return no_table;
      case FaultStep::table_locked:
        return table_locked;
      case FaultStep::nomem:
        return out_of_frames;
      default:
        return changed;
    }
  }

  EventCounters<P, event_count> counters_{event_names};
};

}  // namespace faultline
