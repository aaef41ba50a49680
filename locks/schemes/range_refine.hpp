// Scheme `range_refine`: range_lock whose edits lock a guess, check it, and widen it. It is one
// answer to Matthew Wilcox, who said at the summit of 2019 that code often does not know the size
// of the range that it needs when it takes the lock (LWN, "How to get rid of mmap_sem").
//
// An edit locks the range that its caller names, without a look at the VMAs. A fault that grows a
// stack names its page, and a brk the page below the break too. Under the structure lock the edit
// computes its reach. If that is more than the guess, it releases the guess and locks the reach
// (range_lock.refinements), since two threads that widened their holds in place could wait for each
// other. After that all is as in range_lock. So an edit that changes no VMA beside its range takes
// the structure lock once, where range_lock takes it twice, and any other one takes its range
// twice. A map that replaces mappings has one section more, after the zap, and a brk reads the
// break in a section before. A map without map_fixed names no range. It chooses its place as in
// range_lock.
//
// Not modelled: a guess from what the thread has seen before. The scheme has no atomics of its own.
// The range lock and the structure lock order all that it shares. Linearizable as range_lock is.
#pragma once

#include "locks/schemes/range_lock.hpp"

namespace faultline {

struct range_refine_scheme : RangeSchemes<RangeFinding::refines> {};

}  // namespace faultline
