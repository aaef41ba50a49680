// Scheme `range_refine`: range_lock whose edits lock a guess, check it, and widen it. It is one
// answer to Matthew Wilcox, who said at the summit of 2019 that code often does not know the size
// of the range that it needs when it takes the lock (LWN, "How to get rid of mmap_sem").
//
// An edit locks the range that its caller names, without a look at the VMAs. Under the structure
// lock it computes its reach. If that is more than the guess, the edit releases the guess and locks
// the reach (range_lock.reach_retries), since no range lock widens a hold in place without
// deadlock. So an edit that changes no VMA beside its range takes the structure lock once, where
// range_lock takes it twice, and any other one takes its range twice. A map without map_fixed names
// no range. It looks first, as in range_lock. All else is range_lock.
#pragma once

#include "locks/schemes/range_lock.hpp"

namespace faultline {

struct range_refine_scheme {
  template <class P>
  using UsualRanges = TreeRangeLock<P>;
  template <class P, class Vmas, class Lock, class Ranges, Layout layout>
  using Space =
      RangeLockScheme<Mm<P, Vmas, RangeLockHooks<P>, layout>, StructureOf<P, Lock>, Ranges,
                      NeighbourRule<Mm<P, Vmas, RangeLockHooks<P>, layout>>, RangeFinding::refines>;
};

}  // namespace faultline
