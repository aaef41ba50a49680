// Scheme `speculative_mm`: speculative page faults with one sequence for the whole address space,
// after Michel Lespinasse's patches ("Speculative page faults", April 2021 to v2 of January 2022).
// A fault writes nothing in the VMA or the address space, and the VMA needs no field for it. But
// any writer of the address space makes it fail, which Peter Zijlstra called "super excessive" in
// his answer of April 2021. locks/schemes/speculation.hpp has the fault.
//
//   sequence   mmap_seq, behind mmap_lock in mm_struct: odd while that lock is held exclusively.
//              Linux has the same count today, as mm_lock_seq (mmap_lock_speculate_try_begin()),
//              for uprobes and others, though not for speculative faults
//
// Memory order: a writer makes the sequence odd before it stores any field of a VMA with release. A
// fault loads the sequence (acquire), the fields (acquire), and the sequence again. If a field came
// from a later writer, the last load finds that writer's odd number or a later one. A VMA may have
// moved to another address space, whose writer stores a field. Before that the VMA left this
// address space, under this sequence, and the pool handed it on. So the field brings this sequence
// with it too, and no owner has to be compared.
#pragma once

#include <type_traits>

#include "locks/schemes/speculation.hpp"
#include "locks/shared/mm_lock_seq.hpp"

namespace faultline {

// The hooks of `speculative_mm`. `Place`: as in MmLockSeq.
template <class P, Layout layout = Layout::linux_6_18, class Place = BehindMmapLock<P, layout>>
class MmSequenceHooks : public MmLockSeq<P, layout, Place>, public NoHooks {
 public:
  class Attempt {
   public:
    explicit Attempt(MmSequenceHooks& hooks)
        : sequence_(hooks.owner().sequence),
          // acquire: pairs with the release in MmLockSeq::close().
          seen_(sequence_.load(std::memory_order_acquire)) {}

    bool begun() const { return seen_ % 2 == 0; }
    template <class V>
    bool enter(V&) {
      return true;
    }
    // relaxed: the loads of the fields (Vma::copy) and the lock of the table page order it.
    bool valid() const { return sequence_.load(std::memory_order_relaxed) == seen_; }
    template <class V>
    bool leave(V&) {
      return false;
    }

   private:
    const typename P::template atomic<u64>& sequence_;
    const u64 seen_;
  };

  using MmLockSeq<P, layout, Place>::MmLockSeq;
  // NoHooks has these two as well.
  using MmLockSeq<P, layout, Place>::open;
  using MmLockSeq<P, layout, Place>::close;
};

struct speculative_mm_scheme {
  template <class P, class Vmas, class Lock, Layout layout>
  using Space =
      Speculation<Mm<P, Vmas, MmSequenceHooks<P, layout, PlaceBehind<P, Lock, layout>>, layout>,
                  Lock>;
};

}  // namespace faultline
