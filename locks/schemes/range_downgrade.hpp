// Scheme `range_downgrade`: range_lock whose edits lock the whole address space and then downgrade
// to the part that they need. Code that does not know the size of its range does so, said Matthew
// Wilcox at the summit of 2019, and called the downgrade an extra expense (LWN, "How to get rid of
// mmap_sem").
//
// An edit locks the whole address space exclusively. Under the structure lock it computes its
// reach, and then shrinks its hold to that, still exclusive. No other edit can be at work, since
// each begins with the whole address space. So the reach stays as it is, and no map reserves its
// place. Faults and discards know their ranges, and lock no more than in range_lock. So an edit
// waits for every operation that is at work anywhere, but its own work on pages keeps no fault out
// elsewhere.
#pragma once

#include "locks/schemes/range_lock.hpp"

namespace faultline {

struct range_downgrade_scheme {
  template <class P>
  using UsualRanges = TreeRangeLock<P>;
  template <class P, class Vmas, class Lock, class Ranges, Layout layout>
  using Space = RangeLockScheme<Mm<P, Vmas, RangeLockHooks<P>, layout>, StructureOf<P, Lock>,
                                Ranges, NeighbourRule<Mm<P, Vmas, RangeLockHooks<P>, layout>>,
                                RangeFinding::downgrades>;
};

}  // namespace faultline
