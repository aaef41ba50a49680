// A reader-writer lock in each VMA on which faults sleep, and a count of references that keeps the
// VMA's memory for those who sleep: the scheme vma_rwlock.
//
//   reader   under RCU it only tries the lock. Where that fails, it takes a reference (`referred`),
//            leaves RCU, sleeps on the lock (sleep()), and drops the reference. In both cases it
//            then asks whether the VMA still belongs to its address space. The caller asks whether
//            the VMA still covers the address
//   writer   holds the big lock exclusively, and the lock of each VMA that it changes, from its
//            first change of it until its section closes. A new VMA is locked when it enters the
//            container, before faults can find it. One that has left the container is marked
//            detached and unlocked at once, so that those who sleep on it look again
//   count    0: in the pool; 1: the address space has the VMA; 1+n: n readers sleep too. Whoever
//            drops the last reference returns the VMA to the pool. A reader whose try succeeds
//            needs no reference, since the VMA is not detached as long as it holds the lock
//
// Deadlock: the big lock comes before the locks of VMAs. A writer may wait for the lock of a VMA
// while it holds others. Readers never do: they hold one lock of a VMA at most, and wait for
// nothing meanwhile but the locks of the page table. So with one writer at a time the order among
// the VMAs does not matter.
//
// Memory order: `owner` and `detached` are written under the lock held exclusively and read under
// it. VMAs are type-stable: a reader may lock one in the pool or of another life. It unlocks that
// one at once, and finds `detached` set, or another owner. The lock wakes by words of its own, so
// nothing refers to an address space that may have ended.
#pragma once

#include "locks/layout.hpp"
#include "locks/platform.hpp"
#include "locks/shared/vma_lock_hooks.hpp"
#include "locks/shared/vma_rwsem.hpp"

namespace faultline {

// The fields of a VMA that its sleeping lock has.
template <class P, Layout layout>
struct SleepingLockFields {
  // linux-6.18: a line on which a fault touches no other field, as for the locks of other schemes.
  struct Hot {
    static constexpr usize apart = layout == Layout::packed ? alignof(VmaRwsem<P>) : line_size;
    alignas(apart) VmaRwsem<P> lock;
    typename P::template atomic<u32> references{0};
    // Whether the open section has locked the VMA, and its neighbours in the list of those.
    typename P::template data<u32> written;
    typename P::template data<Hot*> previous, next;
  };
  struct MostlyRead {
    typename P::template atomic<const void*> owner{nullptr};
    typename P::template atomic<u32> detached{1};
  };
};

// The VMAs that the open section of an address space has locked. The caller of every function holds
// the big lock exclusively.
template <class P, Layout layout>
class WrittenVmas {
 public:
  using Owner = WrittenVmas;
  using Hot = typename SleepingLockFields<P, layout>::Hot;

  WrittenVmas() = default;
  WrittenVmas(const WrittenVmas&) = delete;
  WrittenVmas& operator=(const WrittenVmas&) = delete;

  Owner& owner() { return *this; }

  void open() {}
  // The section is complete: faults may use its VMAs.
  void close() {
    while (Hot* hot = first_.load()) unlock(*hot);
  }

  void lock(Hot& hot) {
    if (hot.written.load() != 0) return;
    hot.lock.lock();
    hot.written.store(1);
    Hot* next = first_.load();
    hot.previous.store(nullptr);
    hot.next.store(next);
    if (next != nullptr) next->previous.store(&hot);
    first_.store(&hot);
  }
  // `hot` is in the list.
  void unlock(Hot& hot) {
    Hot* previous = hot.previous.load();
    Hot* next = hot.next.load();
    if (next != nullptr) next->previous.store(previous);
    if (previous != nullptr)
      previous->next.store(next);
    else
      first_.store(next);
    hot.written.store(0);
    hot.lock.unlock();
  }

 private:
  typename P::template data<Hot*> first_;
};

// The lock of one VMA: a view of its two parts.
template <class P, Layout lines = Layout::linux_6_18>
class VmaSleepingLock {
 public:
  static constexpr Layout layout = lines;
  static constexpr VmaLockRules rules{.faults_alone = true, .sleeps = true};
  using Owner = WrittenVmas<P, layout>;
  using Hot = typename SleepingLockFields<P, layout>::Hot;
  using MostlyRead = typename SleepingLockFields<P, layout>::MostlyRead;

  VmaSleepingLock(Hot& hot, MostlyRead& mostly_read) : hot_(hot), fields_(mostly_read) {}

  void label() { P::label(&hot_.lock, "vma.vm_lock"); }

  // Under RCU. `referred`: a writer is in, and the caller has a reference.
  PinResult pin(Owner& owner) {
    if (hot_.lock.try_lock_shared()) return look(owner);
    return refer() ? PinResult::referred : PinResult::detached;
  }
  void unpin(Owner&) { hot_.lock.unlock_shared(); }

  // Without RCU, with a reference, which it drops. `last`: it was the last one, so the caller
  // returns the VMA to the pool.
  PinResult sleep(Owner& owner, bool& last) {
    hot_.lock.lock_shared();
    const PinResult result = look(owner);
    last = put();
    return result;
  }

  // Drops a reference. True: it was the last one.
  bool put() {
    // release: pairs with the acquire of the thread that drops the last reference. acquire: what
    // the others did with the VMA comes before its next life.
    return hot_.references.fetch_sub(1, std::memory_order_acq_rel) == 1;
  }

  // The callers of all functions below hold the owner's big lock exclusively, within an open
  // section.

  // The VMA starts locked.
  void attach(Owner& owner) {
    owner.lock(hot_);
    // relaxed, all: the lock orders the first two. A reader that takes a reference asks nothing of
    // the VMA before it has the lock.
    fields_.owner.store(&owner, std::memory_order_relaxed);
    fields_.detached.store(0, std::memory_order_relaxed);
    hot_.references.store(1, std::memory_order_relaxed);
  }
  void start_write(Owner& owner) { owner.lock(hot_); }
  // The VMA is locked and has left the container. The reference of the address space stays.
  void detach(Owner& owner) {
    // relaxed: the lock orders it.
    fields_.detached.store(1, std::memory_order_relaxed);
    owner.unlock(hot_);
  }

 protected:
  // With the lock held shared. Keeps it where the VMA is the owner's.
  PinResult look(Owner& owner) {
    // relaxed, both: the lock orders them.
    if (fields_.detached.load(std::memory_order_relaxed) == 0 &&
        fields_.owner.load(std::memory_order_relaxed) == &owner)
      return PinResult::pinned;
    hot_.lock.unlock_shared();
    return PinResult::detached;
  }

  Hot& hot_;

 private:
  bool refer() {
    u32 seen = hot_.references.load(std::memory_order_relaxed);  // relaxed: the exchange decides
    while (seen != 0)
      // relaxed, both: the lock orders what the caller reads of the VMA.
      if (hot_.references.compare_exchange_weak(seen, seen + 1, std::memory_order_relaxed,
                                                std::memory_order_relaxed))
        return true;
    return false;
  }

  MostlyRead& fields_;
};

}  // namespace faultline
