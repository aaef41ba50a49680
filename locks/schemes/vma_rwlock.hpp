// Scheme `vma_rwlock`: the list of VMAs under RCU, and a sleeping lock in each VMA, as it was
// discussed in 2019 ("How to get rid of mmap_sem", LWN). It answers the question of that session:
// how does one get from a lock under which one may not sleep to one that does? A fault finds its
// VMA under RCU, where it only tries the lock of the VMA. Where a writer holds that, the fault
// takes a reference, which keeps the VMA's memory, leaves RCU and sleeps. Once it has the lock, it
// asks again whether the VMA is still in the address space and covers the address, and else looks
// the VMA up again. locks/schemes/vma_lock.hpp has the fault, locks/shared/vma_sleeping_lock.hpp
// the lock, the reference and the order of locks.
//
// So a fault never takes the big lock because of a writer of its VMA, as in `per_vma_lock` and
// `refcount`: it waits for that writer alone. It takes the big lock's shared side in these cases:
//   - RCU finds no VMA. The look-up may have missed one that an edit moved, and a stack may have to
//     grow, for which the fault takes the big lock exclusively
//   - the VMA needs an anon_vma, which is chosen among the neighbours'. The fault tries the big
//     lock while it holds its VMA. A try does not wait, so the order of locks is kept. Where it
//     fails, the fault lets go of the VMA and waits for the big lock
//   - its look-ups have met eight edits in a row
// Discards and scans hold the big lock shared, too. Edits hold it exclusively, which orders them
// with one another.
//
// An edit locks each VMA before it changes it, and unlocks all when it is complete. So no fault
// sees one part of an edit before another part is done. An unmap unlocks the rest of VMAs that it
// has cut before it zaps: the part that it zaps is in no VMA then.
//
// Nobody wrote this scheme for Linux. The session named its parts, and described no code. Here the
// lock is the rwsem of which locks/shared/vma_rwsem.hpp says what is modelled, and the reference
// count is the one by which its sleepers hold the VMA. Not modelled: that VMAs would be freed by
// RCU (locks/shared/vma_sleeping_lock.hpp says what a fault does instead). With nothing to prefer
// waiting readers, a writer that comes back at once may find the lock free before they wake.
#pragma once

#include "locks/schemes/vma_lock.hpp"
#include "locks/shared/vma_sleeping_lock.hpp"

namespace faultline {

// The hooks of `vma_rwlock`.
template <class P, Layout layout = Layout::linux_6_18>
using SleepingHooks = VmaLockHooks<P, VmaSleepingLock<P, layout>, void, WrittenVmas<P, layout>>;

struct vma_rwlock_scheme {
  template <class P, class Vmas, class Lock, Layout layout>
  using Space = VmaLocked<Mm<P, Vmas, SleepingHooks<P, layout>, layout>, Lock>;
};

}  // namespace faultline
