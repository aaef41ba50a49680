// Scheme `range_descend`: range_lock whose edits lock their range while they descend the container
// of VMAs. It is one answer to Matthew Wilcox, who said at the summit of 2019 that code often does
// not know the size of the range that it needs when it takes the lock (LWN, "How to get rid of
// mmap_sem").
//
// An edit computes its reach under the structure lock and enters the queue of the range in the same
// section, as a map does in range_lock. If it holds the range at once, it changes the VMAs in that
// section too. Nobody else has a part of that range, and nobody can change a VMA before the section
// ends. So the reach is right, and a map has reserved nothing there: whoever reserves a place is in
// the queue of that range before its section ends, and stays there until it commits. So an edit
// that meets nobody takes the structure lock once and computes its reach once. A map that chooses
// its place reserves it only where it has to wait.
//
// An edit that has to wait does so after the section, and the VMAs may change meanwhile. When it
// holds the range it computes its reach again, and goes on as in range_lock. Pages are zapped or
// restricted after the section, under the range. A map that replaces mappings has a second section,
// after the zap, and a brk reads the break in a section before.
//
// Without a queue (QueuedRangeLock) an edit tries the range under the structure lock. If the try
// fails, the edit has no place in the order of arrival, and locks the range after the section.
//
// Not modelled: locks in the nodes of the container, which a descent would take one after another.
// One structure lock stands for them. The scheme has no atomics of its own. The range lock and the
// structure lock order all that it shares. Linearizable as range_lock is.
#pragma once

#include "locks/schemes/range_lock.hpp"

namespace faultline {

struct range_descend_scheme : RangeSchemes<RangeFinding::descends> {};

}  // namespace faultline
