// Scheme `refcount_naive`: `refcount` without its protection from starvation. The lock in each VMA
// is the reference count that was proposed in 2019 ("How to get rid of mmap_sem", LWN;
// locks/shared/naive_refcount_lock.hpp). A writer sleeps until it finds the count at zero, and
// faults of that VMA may raise the count meanwhile. So a stream of faults keeps the writer out, and
// with it everybody who needs the big lock, which the writer holds.
//
// The article gives the count alone. The rest is the protocol of locks/shared/vma_shared_lock.hpp
// and the faults of locks/schemes/vma_lock.hpp, with the rules of `refcount`. So the two schemes
// differ in the lock of the VMA and its protocol: here an unmap locks each VMA once more, a flag
// marks detached VMAs, and each VMA has a word for its sleepers. Once the writer has found zero, it
// sets vm_lock_seq, and faults fall back to the big lock until the edit is complete. Without that a
// fault could come in between two VMAs that one edit changes.
//
// No kernel had this. vm_refcnt of Linux 6.15 is also such a count, but its writer sets
// VMA_LOCK_OFFSET before it waits, and no fault comes in from then on. Not modelled of Linux
// therefore: that flag, and that detached VMAs have a count of zero (here a flag marks them). The
// count and its sleepers have 16 bytes in the VMA, where vm_refcnt has 4 and wakes by a word of the
// address space.
#pragma once

#include "locks/schemes/vma_lock.hpp"
#include "locks/shared/naive_refcount_lock.hpp"
#include "locks/shared/vma_shared_lock.hpp"

namespace faultline {

// The hooks of `refcount_naive`.
template <class P, Layout layout = Layout::linux_6_18, class Place = BehindMmapLock<P, layout>>
using RefcountNaiveHooks =
    VmaLockHooks<P,
                 VmaSharedLock<P, NaiveRefcountLock<P, alignof(typename P::template atomic<u64>)>,
                               VmaLockRules{}, layout>,
                 Place>;

struct refcount_naive_scheme : VmaLockedScheme<RefcountNaiveHooks> {};

}  // namespace faultline
