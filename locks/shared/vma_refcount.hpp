// A reference-count semaphore in each VMA, and the hooks by which an address space write-locks its
// VMAs: Linux's vm_refcnt (6.15 and later; include/linux/mmap_lock.h, mm/mmap_lock.c).
//
//   count   vm_refcnt. 0: detached; 1: attached; 1+n: n readers; bit 30 (VMA_LOCK_OFFSET): a writer
//           waits for the readers to leave
//   reader  increments unless the count is 0 or has bit 30, then checks that the VMA is still of
//           this address space, is not write-locked (its lock_seq differs from the address space's
//           sequence) and still holds the address
//   writer  holds the big lock exclusively; adds bit 30, waits until only bit30+1 is left, sets
//           lock_seq to the address space's sequence, takes bit 30 back. From then on readers fail
//           on the sequence
//   close   one increment of the address space's sequence releases every VMA that was write-locked
//           in the section
//
// The sequence is odd while the big lock is held exclusively. Memory order: a reader's increment
// (acquire) that comes after a writer's removal of bit 30 (release) sees the VMA's lock_seq and,
// since the writer opened its section before, a sequence no older than that; so a stale sequence
// cannot make a locked VMA look unlocked. A sequence that differs was stored by close (release)
// after all edits, and the reader loads it with acquire. A reader that came before bit 30 is waited
// for.
//
// VMAs are type-stable: an address space that shares the pool may reuse one at once. So a reader
// may pin a VMA that belongs to another address space by then, and when it drops the pin it may
// have to wake the writer of that address space. Hence it takes a hold of that address space before
// it drops the pin (the kernel's mmgrab), and the destructor waits for the holds to go. While the
// pin lasts the VMA cannot be detached, so its address space is alive when the reader takes the
// hold.
#pragma once

#include "locks/layout.hpp"

namespace faultline {

// One per address space: where its one writer waits for readers to drain (vma_writer_wait), and the
// sequence (mm_lock_seq).
//
// linux-6.18: it has no line of its own. The kernel's field order puts vma_writer_wait (240) and
// mm_lock_seq (248) behind mmap_lock, on the line of that lock's owner, osq, wait_lock and wait
// list (192): whoever queues for mmap_lock invalidates what every fault reads. Here a scheme
// declares its hooks behind its lock, and the compiler puts them into the rest of the lock's last
// line. packed: the sequence and the rest have a pair of lines each.
template <class P, Layout layout = Layout::linux_6_18>
struct RefcountOwner {
  static constexpr usize apart =
      layout == Layout::packed ? cache_line : alignof(typename P::template atomic<u64>);

  alignas(apart) typename P::template atomic<u32> drained{0};
  // Readers of other address spaces that still use this one. The kernel counts them in mm_count.
  typename P::template atomic<u32> holds{0};
  alignas(apart) typename P::template atomic<u64> sequence{2};

  void label() {
    P::label(&drained, "mm.vma_writer_wait");
    P::label(&holds, "mm.mm_count");
    P::label(&sequence, "mm.mm_lock_seq");
  }
};

enum class PinResult : int { pinned, detached, write_locked, draining, foreign, sequence_changed };

// The count of one VMA: a view of its two parts, which a VMA keeps on different lines.
template <class P, Layout lines = Layout::linux_6_18>
class VmaRefcount {
 public:
  static constexpr Layout layout = lines;
  using Owner = RefcountOwner<P, layout>;

  // vm_refcnt, which every fault of the VMA writes. linux-6.18: it begins a line (offset 128 of
  // vm_area_struct) that holds nothing else which a fault touches. A VMA declares it last.
  struct Hot {
    static constexpr usize apart =
        layout == Layout::packed ? alignof(typename P::template atomic<u32>) : line_size;
    alignas(apart) typename P::template atomic<u32> count{0};
  };
  // vm_lock_seq and vm_mm, which every fault reads and edits of the VMA write. linux-6.18: on the
  // line of the bounds and the protection (offsets 40 and 16 of vm_area_struct).
  struct MostlyRead {
    typename P::template atomic<u64> lock_seq{0};
    typename P::template atomic<Owner*> owner{nullptr};
  };

  static constexpr u32 writer_flag = 1U << 30;  // VMA_LOCK_OFFSET

  VmaRefcount(Hot& hot, MostlyRead& mostly_read)
      : count_(hot.count), lock_seq_(mostly_read.lock_seq), owner_(mostly_read.owner) {}

  // Under RCU. pinned: the VMA belongs to `owner` and is not changed until unpin; its range is
  // still to be checked.
  PinResult pin(Owner& owner) {
    // relaxed, both: a racy look that saves taking the line exclusively; false answers are caught
    // below or cost a fall-back.
    if (lock_seq_.load(std::memory_order_relaxed) == owner.sequence.load(std::memory_order_relaxed))
      return PinResult::write_locked;
    u32 seen = count_.load(std::memory_order_relaxed);  // relaxed: the exchange decides
    do {
      if (seen == 0) return PinResult::detached;
      if (seen >= writer_flag - 1) return PinResult::draining;
      // acquire: pairs with attach's and start_write's releases; see above.
    } while (!count_.compare_exchange_weak(seen, seen + 1, std::memory_order_acquire,
                                           std::memory_order_relaxed));

    Owner* actual = owner_.load(
        std::memory_order_relaxed);  // relaxed: the pin keeps it; ordered by the acquire above
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

  void unpin(Owner& owner) {
    // release: pairs with the acquire in drain(): what was read under the pin was read before the
    // writer goes on. After this the VMA may be another's.
    const u32 left = count_.fetch_sub(1, std::memory_order_release) - 1;
    if ((left & ~1U) == writer_flag) wake(owner);
  }

  // All below: with the owner's big lock held exclusively, and its section open.

  void attach(Owner& owner) {
    owner_.store(&owner, std::memory_order_relaxed);  // relaxed: published by the count
    lock_seq_.store(owner.sequence.load(std::memory_order_relaxed),
                    std::memory_order_relaxed);  // relaxed: as above
    // release: pairs with the acquire in pin(). The VMA starts write-locked.
    count_.store(1, std::memory_order_release);
  }

  void start_write(Owner& owner) {
    // relaxed, both: only holders of the big lock write them.
    const u64 sequence = owner.sequence.load(std::memory_order_relaxed);
    if (lock_seq_.load(std::memory_order_relaxed) == sequence) return;
    count_.fetch_add(writer_flag,
                     std::memory_order_relaxed);  // relaxed: drain's acquire orders what follows
    drain(owner, writer_flag + 1);
    lock_seq_.store(sequence,
                    std::memory_order_relaxed);  // relaxed: published by the release below
    count_.fetch_sub(writer_flag,
                     std::memory_order_release);  // release: pairs with pin()'s acquire
  }

  // After the VMA has left the tree; it is write-locked. Afterwards it may be reused.
  void detach(Owner& owner) {
    // acquire: pairs with unpin's release, when this drops the last reference.
    u32 seen = count_.fetch_sub(1, std::memory_order_acquire) - 1;
    // Readers linger that will find the VMA write-locked. acquire on failure: as above, when the
    // last of them has just gone. On success drain's acquire would do.
    // weakened acquire survives, compiler: GCC 12 refuses an order of success that is weaker than
    // that of failure.
    while (seen != 0 &&
           !count_.compare_exchange_weak(seen, seen + writer_flag, std::memory_order_acquire,
                                         std::memory_order_acquire)) {
    }
    if (seen == 0) return;
    drain(owner, writer_flag);
    count_.store(0, std::memory_order_relaxed);  // relaxed: no reader is left, and none comes in
                                                 // while bit 30 is set
  }

 private:
  void drain(Owner& owner, u32 target) {
    // acquire, here and below: pairs with unpin's release.
    if (count_.load(std::memory_order_acquire) == target) return;
    WaitScope<P> waiting(this, "VMA's readers to drain");
    for (;;) {
      const u32 ticket =
          owner.drained.load(std::memory_order_acquire);  // acquire: pairs with wake()'s release
      if (count_.load(std::memory_order_acquire) == target) return;
      P::wait(owner.drained, ticket, no_deadline);
    }
  }

  static void wake(Owner& owner) {
    owner.drained.fetch_add(
        1, std::memory_order_release);  // release: pairs with drain()'s acquire of the ticket
    P::wake(owner.drained, 1);
  }

  void unpin_foreign(Owner& other) {
    other.holds.fetch_add(1,
                          std::memory_order_relaxed);  // relaxed: the pin still keeps `other` alive
    unpin(other);
    // release: pairs with the acquire of the destructor's wait in close_down().
    other.holds.fetch_sub(1, std::memory_order_release);
  }

  typename P::template atomic<u32>& count_;
  typename P::template atomic<u64>& lock_seq_;
  typename P::template atomic<Owner*>& owner_;
};

// VmaHooks (locks/address_space/mm.hpp) that write-lock the VMAs which Mm edits.
template <class P, Layout layout = Layout::linux_6_18>
class RefcountHooks {
 public:
  using State = VmaRefcount<P, layout>;
  using Owner = typename State::Owner;

  RefcountHooks() { label(); }
  RefcountHooks(const RefcountHooks&) = delete;
  RefcountHooks& operator=(const RefcountHooks&) = delete;

  // A scheme calls it again once it has named the lock beside which the hooks lie.
  void label() { owner_.label(); }

  Owner& owner() { return owner_; }

  void open() { step(); }
  void close() { step(); }
  template <class V>
  void start_write(V& vma) {
    vma.state().start_write(owner_);
  }
  template <class V>
  void attach(V& vma) {
    vma.state().attach(owner_);
  }
  template <class V>
  void detach(V& vma) {
    vma.state().detach(owner_);
  }
  template <class V>
  bool mergeable(const V&) const {
    return true;
  }

  // The last that its address space does, all its VMAs detached: waits for readers of other address
  // spaces that still hold it.
  void close_down() {
    // acquire: pairs with unpin_foreign's release.
    while (owner_.holds.load(std::memory_order_acquire) != 0) P::pause(&owner_);
  }

 private:
  void step() {
    // relaxed load: only holders of the big lock write it. release: pairs with pin()'s acquire
    // load.
    owner_.sequence.store(owner_.sequence.load(std::memory_order_relaxed) + 1,
                          std::memory_order_release);
  }

  Owner owner_;
};

}  // namespace faultline
