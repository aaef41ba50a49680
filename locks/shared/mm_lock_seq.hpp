// The fields of an address space that lie behind its big lock (mmap_lock), and the sequence among
// them that tells when that lock is held exclusively: mm_lock_seq (include/linux/mmap_lock.h).
#pragma once

#include <cstddef>
#include <type_traits>

#include "locks/layout.hpp"
#include "locks/platform.hpp"

namespace faultline {

// One per address space: the sequence (mm_lock_seq), and for vm_refcnt the word on which its one
// writer waits for readers to drain (vma_writer_wait).
//
// linux-6.18: the sequence has no line of its own. The kernel's field order puts vma_writer_wait
// (240) and mm_lock_seq (248) behind mmap_lock, on the line of that lock's owner, osq, wait_lock
// and wait list (192). So a thread that queues for mmap_lock invalidates a line that every fault
// reads. Here a scheme declares its hooks behind its lock, and the compiler puts them into the rest
// of the lock's last line. A lock behind a virtual interface brings the owner with it
// (AnyShared::behind). packed: the sequence and the other members have a pair of lines each.
template <class P, Layout layout = Layout::linux_6_18>
struct BehindMmapLock {
  static constexpr usize apart =
      layout == Layout::packed ? cache_line : alignof(typename P::template atomic<u64>);

  alignas(apart) typename P::template atomic<u32> drained{0};
  // Readers of other address spaces that still use this one. The kernel counts them in mm_count.
  typename P::template atomic<u32> holds{0};
  alignas(apart) typename P::template atomic<u64> sequence{2};

  BehindMmapLock() {
    if constexpr (PlainCells<P>)
      static_assert(offsetof(BehindMmapLock, sequence) ==
                    (layout == Layout::packed ? cache_line : 2 * sizeof(drained)));
  }

  void label() {
    P::label(&drained, "mm.vma_writer_wait");
    P::label(&holds, "mm.mm_count");
    P::label(&sequence, "mm.mm_lock_seq");
  }
};

// The part of VmaHooks (locks/address_space/mm.hpp) that steps the sequence: odd while the big lock
// is held exclusively. `Place` is BehindMmapLock, or a reference to the one that lies behind the
// scheme's lock.
template <class P, Layout layout, class Place>
class MmLockSeq {
 public:
  using Owner = BehindMmapLock<P, layout>;

  MmLockSeq() requires(!std::is_reference_v<Place>) { label(); }
  template <class Lock>
  explicit MmLockSeq(Lock& lock) requires std::is_reference_v<Place> : owner_(lock.behind()) {
    label();
  }
  MmLockSeq(const MmLockSeq&) = delete;
  MmLockSeq& operator=(const MmLockSeq&) = delete;

  // A scheme calls it again after it has named the lock beside which the hooks lie.
  void label() { owner_.label(); }

  Owner& owner() { return owner_; }

  void open() { step(); }   // mm_lock_seqcount_begin() in the kernel
  void close() { step(); }  // vma_end_write_all() in the kernel

 private:
  void step() {
    // relaxed load: only holders of the big lock write it. release: pairs with the acquire loads of
    // pin() in the locks of VMAs, and at the begin of a speculative fault.
    owner_.sequence.store(owner_.sequence.load(std::memory_order_relaxed) + 1,
                          std::memory_order_release);
  }

  Place owner_;
};

}  // namespace faultline
