// Scheme `range_downgrade`: range_lock whose edits lock the whole address space, and then downgrade
// to the part that they need. Code that does not know the size of its range does so, said Matthew
// Wilcox at the summit of 2019. He called the downgrade an extra expense, and asked what the range
// lock gains if each call begins with all of it (LWN, "How to get rid of mmap_sem").
//
// An edit locks the whole address space exclusively, computes its reach under the structure lock,
// and shrinks its hold to that, still exclusive. It then works as in range_lock. No other edit is
// at work meanwhile, since each begins with the whole address space, so the reach stays right, and
// a map that chooses its place reserves nothing. Faults and discards know their ranges, and lock no
// more than in range_lock, except a fault that grows a stack, which is an edit. An edit waits for
// every operation that holds a range. Over a range lock with a queue, faults that come meanwhile
// wait behind it. After the downgrade it keeps faults out of its own part alone.
//
// Not modelled: faults that lock everything first, which Wilcox likened to mmap_sem. In
// range_lock:narrow=none they do, and there nothing is given up. The scheme has no atomics of its
// own. The range lock and the structure lock order all that it shares. Linearizable as range_lock
// is.
#pragma once

#include "locks/schemes/range_lock.hpp"

namespace faultline {

struct range_downgrade_scheme : RangeSchemes<RangeFinding::downgrades> {};

}  // namespace faultline
