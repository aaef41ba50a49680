// Kara's range lock, the ancestor of tree_range_lock: a spinlock over an interval tree of the
// ranges that threads hold or wait for. It is exclusive only: a shared request excludes as an
// exclusive one does, and a downgrade changes nothing. Source: Jan Kara, "lib: Implement range
// locks" (LKML 2013). This is a new implementation of the algorithm.
//
// A range counts those that overlap it and came before, and sleeps until they are gone. So
// conflicting ranges are granted in the order of arrival. It is tree_range_lock without what Bueso
// added: shared ranges, the O(1) test whether a range lies beyond all others, and the order number,
// without which a release does as well where all ranges exclude: those that still overlap a range
// when it is released came later.
//
// It runs in workload lock_loop alone. A scheme with a range lock is about page faults that do not
// exclude one another, so no scheme may choose it.
//
// How it differs from its source:
// - The source has lock and unlock alone. A try fails if a range overlaps, held or awaited.
// - The source wakes waiters under the spinlock, which each of them takes once more to look at its
//   count. Here they are woken after the release of the spinlock, and return at once.
// - The nodes still have their order number, and the tree its first node. Nothing depends on them.
#pragma once

#include "locks/range/tree_range_lock.hpp"

namespace faultline {

template <class P, template <class> class Spinlock = Qspinlock>
using KaraRangeLock = TreeRangeLock<P, Spinlock, false>;

}  // namespace faultline
