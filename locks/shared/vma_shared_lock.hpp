// A reader-writer lock in each VMA, and a sequence that tells whether the VMA is write-locked: the
// protocol of Linux 6.4 (vma_start_read(), vma_start_write() of include/linux/mm.h), over a lock
// that can be chosen.
//
//   open     a writer takes the big lock (mmap_lock) exclusively, and makes mm_lock_seq odd
//   reader   fails if the VMA's vm_lock_seq equals mm_lock_seq; only tries the lock; then looks at
//            the sequences again
//   writer   takes the VMA's lock, which waits for the readers, sets vm_lock_seq to mm_lock_seq,
//            and releases the VMA's lock at once. From then on readers fail on the sequence
//   close    one increment of mm_lock_seq releases every VMA that was write-locked in the section
//
// Memory order: a reader whose try comes after a writer's release of the VMA's lock sees what that
// writer has stored, and, since the writer opened its section earlier, an mm_lock_seq that is not
// older. If it sees a later mm_lock_seq, close stored it (release) after all edits.
//
// VMAs are type-stable: an address space that shares the pool may reuse one at once, where the
// kernel frees them by RCU. So a reader may lock a VMA of an earlier life. A VMA is detached only
// under its lock. A reader that holds the lock and finds `detached` clear has read the store by
// which the present life began, and that life lasts until the reader unlocks. The lock wakes by a
// word of its own, so nothing refers to an address space that may have ended.
//
// What differs in cost from the kernel: detach() takes the VMA's lock once more, where the kernel
// only stores the flag; attach() takes no lock, where the kernel since 6.5 write-locks a new VMA;
// and a section stores mm_lock_seq twice, as the kernel does since it has mm_lock_seqcount_begin().
// Up to then only the end of a section stored it.
#pragma once

#include "locks/layout.hpp"
#include "locks/platform.hpp"
#include "locks/shared/vma_lock_hooks.hpp"

namespace faultline {

// The lock of one VMA: a view of its two parts. `Lock` has lock(), unlock(), try_lock_shared() and
// unlock_shared().
template <class P, class Lock, VmaLockRules faults, Layout lines = Layout::linux_6_18>
class VmaSharedLock {
 public:
  static constexpr Layout layout = lines;
  static constexpr VmaLockRules rules = faults;
  using Owner = BehindMmapLock<P, layout>;

  // linux-6.18: the lock begins a line on which a fault touches no other field. Linux 6.4 moved it
  // out of vm_area_struct for that reason (commit c7f8f31c00d1).
  struct Hot {
    static constexpr usize apart = layout == Layout::packed ? alignof(Lock) : line_size;
    alignas(apart) Lock lock;
  };
  // vm_lock_seq, vm_mm and detached, which every fault reads and edits of the VMA write.
  struct MostlyRead {
    typename P::template atomic<u64> lock_seq{0};
    typename P::template atomic<Owner*> owner{nullptr};
    typename P::template atomic<u32> detached{1};
  };

  VmaSharedLock(Hot& hot, MostlyRead& mostly_read) : lock_(hot.lock), fields_(mostly_read) {}

  void label() {
    P::label(&lock_, "vma.vm_lock");
    P::label(&fields_.lock_seq, "vma.vm_lock_seq");
  }

  PinResult pin(Owner& owner) {
    // relaxed, both: a racy look, as in the kernel. A false "unlocked" is caught below, a false
    // "locked" costs a fall-back.
    if (fields_.lock_seq.load(std::memory_order_relaxed) ==
        owner.sequence.load(std::memory_order_relaxed))
      return PinResult::write_locked;
    if (!lock_.try_lock_shared()) return PinResult::draining;
    const PinResult result = look(owner);
    if (result != PinResult::pinned) lock_.unlock_shared();
    return result;
  }
  void unpin(Owner&) { lock_.unlock_shared(); }

  // The callers of all functions below hold the owner's big lock exclusively, within an open
  // section.

  // The VMA starts write-locked.
  void attach(Owner& owner) {
    // relaxed, all: the store of `detached` publishes them.
    fields_.owner.store(&owner, std::memory_order_relaxed);
    fields_.lock_seq.store(owner.sequence.load(std::memory_order_relaxed),
                           std::memory_order_relaxed);
    // release: pairs with the acquire in look().
    fields_.detached.store(0, std::memory_order_release);
  }

  void start_write(Owner& owner) {
    // relaxed, both: only holders of the big lock write these words.
    const u64 sequence = owner.sequence.load(std::memory_order_relaxed);
    if (fields_.lock_seq.load(std::memory_order_relaxed) == sequence) return;
    lock_.lock();
    // relaxed: the lock's release publishes it.
    fields_.lock_seq.store(sequence, std::memory_order_relaxed);
    lock_.unlock();
  }

  // The VMA is write-locked and has left the container. Without the lock, a reader between the
  // loads of look() could take the fields of the next life for those of this one.
  void detach(Owner&) {
    lock_.lock();
    // relaxed: the lock's release publishes it.
    fields_.detached.store(1, std::memory_order_relaxed);
    lock_.unlock();
  }

 private:
  // With the lock held shared.
  PinResult look(Owner& owner) const {
    // acquire: pairs with the release in attach(). This load comes first.
    if (fields_.detached.load(std::memory_order_acquire) != 0) return PinResult::detached;
    // relaxed, both: ordered by that acquire and by the lock's.
    if (fields_.owner.load(std::memory_order_relaxed) != &owner) return PinResult::foreign;
    // acquire on the sequence: pairs with the release of close().
    if (fields_.lock_seq.load(std::memory_order_relaxed) ==
        owner.sequence.load(std::memory_order_acquire))
      return PinResult::sequence_changed;
    return PinResult::pinned;
  }

  Lock& lock_;
  MostlyRead& fields_;
};

}  // namespace faultline
