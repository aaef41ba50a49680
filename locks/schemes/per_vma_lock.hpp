// Scheme `per_vma_lock`: a semaphore in each VMA, as Linux had it from 6.4 to 6.14
// (CONFIG_PER_VMA_LOCK). locks/schemes/vma_lock.hpp has the fault,
// locks/shared/vma_shared_lock.hpp the protocol, locks/shared/vma_rwsem.hpp the semaphore.
//
// As in 6.4, faults in files and shared memory take the big lock, and so do faults in anonymous
// memory that has no anon_vma yet, whatever the access is. Later kernels lifted both: the first in
// 6.6 and 6.7, the second in 6.10.
//
// Not modelled: that the kernel frees VMAs by RCU, so that a fault never finds one of another
// address space; locks/shared/vma_shared_lock.hpp says what that costs. A look-up that finds a
// detached VMA is repeated eight times here, and without a limit there.
#pragma once

#include "locks/schemes/vma_lock.hpp"
#include "locks/shared/vma_rwsem.hpp"
#include "locks/shared/vma_shared_lock.hpp"

namespace faultline {

// The hooks of `per_vma_lock`.
template <class P, Layout layout = Layout::linux_6_18, class Place = BehindMmapLock<P, layout>>
using PerVmaLockHooks = VmaLockHooks<
    P,
    VmaSharedLock<P, VmaRwsem<P>,
                  VmaLockRules{
                      .anon_vma_first = true, .anonymous_alone = true, .faults_alone = true},
                  layout>,
    Place>;

struct per_vma_lock_scheme : VmaLockedScheme<PerVmaLockHooks> {};

}  // namespace faultline
