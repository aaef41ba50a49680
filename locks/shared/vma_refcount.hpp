// A reference-count semaphore in each VMA: Linux's vm_refcnt (6.15 and later; in 6.18
// include/linux/mmap_lock.h and mm/mmap_lock.c).
//
//   count   vm_refcnt. 0: detached; 1: attached; 1+n: n readers; bit 30 (VMA_LOCK_OFFSET): a writer
//           waits for the readers to leave
//   reader  increments the count unless it is 0 or has bit 30, then checks that the VMA still
//           belongs to this address space, is not write-locked (its vm_lock_seq differs from
//           mm_lock_seq) and still holds the address
//   writer  holds the big lock (mmap_lock) exclusively; adds bit 30, waits until only bit 30 and 1
//           are left, sets vm_lock_seq to mm_lock_seq, removes bit 30. From then on readers fail on
//           the sequence
//   close   one increment of mm_lock_seq releases every VMA that was write-locked in the section
//
// mm_lock_seq is odd while the big lock is held exclusively. Memory order: a reader's increment
// (acquire) may come after a writer's removal of bit 30 (release). The reader then sees the VMA's
// vm_lock_seq and, since the writer opened its section earlier, an mm_lock_seq that is not older.
// So a stale sequence cannot make a locked VMA look unlocked. If the sequences differ, close stored
// the new one (release) after all edits, and the reader loads it with acquire. The writer waits for
// every reader that came before bit 30.
//
// VMAs are type-stable: an address space that shares the pool may reuse one at once. So a reader
// may pin a VMA that belongs to another address space by then. When it drops the pin, it may have
// to wake the writer of that address space. Hence the reader takes a hold of that address space
// before it drops the pin (the kernel's mmgrab), and the destructor waits until the holds are
// released. A pinned VMA cannot be detached, so its address space is alive when the reader takes
// the hold.
#pragma once

#include "locks/layout.hpp"
#include "locks/platform.hpp"
#include "locks/shared/vma_lock_hooks.hpp"

namespace faultline {

// The count of one VMA: a view of its two parts, which lie on different lines of the VMA.
template <class P, Layout lines = Layout::linux_6_18>
class VmaRefcount {
 public:
  static constexpr Layout layout = lines;
  static constexpr VmaLockRules rules{};
  using Owner = BehindMmapLock<P, layout>;

  // vm_refcnt, which every fault of the VMA writes. linux-6.18: it begins a line (offset 128 of
  // vm_area_struct) on which a fault touches no other field. A VMA declares it last.
  struct Hot {
    static constexpr usize apart =
        layout == Layout::packed ? alignof(typename P::template atomic<u32>) : line_size;
    alignas(apart) typename P::template atomic<u32> count{0};
  };
  // vm_lock_seq and vm_mm, which every fault reads and edits of the VMA write. linux-6.18: they lie
  // on the line of the bounds and the protection (offsets 40 and 16 of vm_area_struct).
  struct MostlyRead {
    typename P::template atomic<u64> lock_seq{0};
    typename P::template atomic<Owner*> owner{nullptr};
  };

  static constexpr u32 writer_flag = 1U << 30;  // VMA_LOCK_OFFSET

  VmaRefcount(Hot& hot, MostlyRead& mostly_read)
      : count_(hot.count), lock_seq_(mostly_read.lock_seq), owner_(mostly_read.owner) {}

  // vma_start_read() in the kernel. Under RCU. `pinned`: the VMA belongs to `owner` and does not
  // change until unpin. The caller still has to check its range.
  PinResult pin(Owner& owner) {
    // relaxed, both: this racy look saves taking the line exclusively. A false "unlocked" is caught
    // below, a false "locked" costs a fall-back.
    if (lock_seq_.load(std::memory_order_relaxed) == owner.sequence.load(std::memory_order_relaxed))
      return PinResult::write_locked;
    u32 seen = count_.load(std::memory_order_relaxed);  // relaxed: the exchange decides
    do {
      if (seen == 0) return PinResult::detached;
      if (seen >= writer_flag - 1) return PinResult::draining;
      // acquire: pairs with the releases in attach and start_write, as described at the top.
    } while (!count_.compare_exchange_weak(seen, seen + 1, std::memory_order_acquire,
                                           std::memory_order_relaxed));

    // relaxed: the pin keeps the owner; the acquire above orders the load.
    Owner* actual = owner_.load(std::memory_order_relaxed);
    if (actual != &owner) {
      unpin_foreign(*actual);
      return PinResult::foreign;
    }
    // acquire on the sequence: pairs with close's release.
    if (lock_seq_.load(std::memory_order_relaxed) ==
        owner.sequence.load(std::memory_order_acquire)) {
      unpin(owner);
      return PinResult::sequence_changed;
    }
    return PinResult::pinned;
  }

  void label() {
    P::label(&count_, "vma.vm_refcnt");
    P::label(&lock_seq_, "vma.vm_lock_seq");
  }

  // Waits for readers of other address spaces that still hold this one.
  static void close_down(Owner& owner) {
    // acquire: pairs with unpin_foreign's release.
    while (owner.holds.load(std::memory_order_acquire) != 0) P::pause(&owner);
  }

  void unpin(Owner& owner) {
    // release: pairs with the acquire in drain(): the reads under the pin come before the writer's
    // next steps. After this the VMA may belong to another address space.
    const u32 left = count_.fetch_sub(1, std::memory_order_release) - 1;
    if ((left & ~1U) == writer_flag) wake(owner);
  }

  // The callers of all functions below hold the owner's big lock exclusively, within an open
  // section.

  // vma_mark_attached() in the kernel.
  void attach(Owner& owner) {
    // relaxed: the store of the count publishes it.
    owner_.store(&owner, std::memory_order_relaxed);
    // relaxed: the store of the count publishes it.
    lock_seq_.store(owner.sequence.load(std::memory_order_relaxed), std::memory_order_relaxed);
    // release: pairs with the acquire in pin(). The VMA starts write-locked.
    count_.store(1, std::memory_order_release);
  }

  // __vma_start_write() in the kernel.
  void start_write(Owner& owner) {
    // relaxed, both: only holders of the big lock write these words.
    const u64 sequence = owner.sequence.load(std::memory_order_relaxed);
    if (lock_seq_.load(std::memory_order_relaxed) == sequence) return;
    // relaxed: the acquire in drain() orders what follows.
    count_.fetch_add(writer_flag, std::memory_order_relaxed);
    drain(owner, writer_flag + 1);
    // relaxed: the release below publishes it.
    lock_seq_.store(sequence, std::memory_order_relaxed);
    // release: pairs with pin()'s acquire.
    count_.fetch_sub(writer_flag, std::memory_order_release);
  }

  // vma_mark_detached() in the kernel. The VMA is write-locked and has left the container. After
  // this it may be reused.
  void detach(Owner& owner) {
    // acquire: pairs with unpin's release, when this drops the last reference.
    u32 seen = count_.fetch_sub(1, std::memory_order_acquire) - 1;
    // Readers that are still in will find the VMA write-locked. acquire on failure: as above, when
    // the last of them has just left. On success the acquire in drain() would do.
    // weakened acquire survives, compiler: GCC 12 refuses an order of success that is weaker than
    // that of failure.
    while (seen != 0 &&
           !count_.compare_exchange_weak(seen, seen + writer_flag, std::memory_order_acquire,
                                         std::memory_order_acquire)) {
    }
    if (seen == 0) return;
    drain(owner, writer_flag);
    // relaxed: no reader is left, and none comes in while bit 30 is set.
    count_.store(0, std::memory_order_relaxed);
  }

 private:
  // The wait in the kernel's __vma_enter_locked().
  void drain(Owner& owner, u32 target) {
    // acquire, here and below: pairs with unpin's release.
    if (count_.load(std::memory_order_acquire) == target) return;
    WaitScope<P> waiting(this, "VMA's readers to drain");
    for (;;) {
      // acquire: pairs with wake()'s release.
      const u32 ticket = owner.drained.load(std::memory_order_acquire);
      if (count_.load(std::memory_order_acquire) == target) return;
      P::wait(owner.drained, ticket, no_deadline);
    }
  }

  static void wake(Owner& owner) {
    // release: pairs with drain()'s acquire of the ticket.
    owner.drained.fetch_add(1, std::memory_order_release);
    P::wake(owner.drained, 1);
  }

  void unpin_foreign(Owner& other) {
    // relaxed: the pin still keeps `other` alive.
    other.holds.fetch_add(1, std::memory_order_relaxed);
    unpin(other);
    // release: pairs with the acquire of the destructor's wait in close_down().
    other.holds.fetch_sub(1, std::memory_order_release);
  }

  typename P::template atomic<u32>& count_;
  typename P::template atomic<u64>& lock_seq_;
  typename P::template atomic<Owner*>& owner_;
};

// The hooks of `refcount`.
template <class P, Layout layout = Layout::linux_6_18, class Place = BehindMmapLock<P, layout>>
using RefcountHooks = VmaLockHooks<P, VmaRefcount<P, layout>, Place>;

}  // namespace faultline
