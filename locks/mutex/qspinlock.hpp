// The kernel's queued spinlock (kernel/locking/qspinlock.c; Waiman Long and Peter Zijlstra, Linux
// 4.2): a word, and an MCS queue of the threads that wait for it. Arm's lockhammer calls it
// queued_spinlock.
//
//   word   byte 0 locked (_Q_LOCKED_VAL), byte 1 pending (_Q_PENDING_VAL), bit 16: threads queue
//   tail   the last node of the queue
//   lock   0 -> locked. The first thread that finds the word locked sets pending and spins on the
//          word. A thread that finds more than a holder queues: it makes its node the tail, waits
//          until it is the head, then waits until neither locked nor pending is set, takes the lock
//          and makes its successor the head
//   unlock stores 0 to the byte `locked`
//
// In the kernel the tail is the number of a CPU and of a context, in bytes 2 and 3 of the word, and
// a thread that queues exchanges these bytes, which cannot fail (xchg_tail). Here the tail is the
// node's address and has a word of its own on the same line, for the same reason: compare-and-swap
// on the one word would fail at each change of the other bytes. Bit 16 stands for a tail that is
// not 0. The head sets it, so a thread may still take the free lock past a head that has only just
// made itself the tail.
#pragma once

#include <cstdint>

#include "locks/layout.hpp"
#include "locks/mutex/concept.hpp"
#include "locks/platform.hpp"
#include "locks/promise.hpp"

namespace faultline {

template <class P>
class Qspinlock {
 public:
  // The bits of both keep newcomers off the free word. A thread that has queued may be passed until
  // its head has set the bit, and is passed by no thread that queues behind it.
  static constexpr Promise promise{.most_passes = 0,
                                   .since = "is pending, or is the head of the queue"};

  // Only a thread that queues touches its node.
  struct alignas(cache_line) Node {
    typename P::template atomic<Node*> next{nullptr};
    typename P::template atomic<u32> waiting{0};
  };

  Qspinlock() {
    if constexpr (PlainCells<P>) static_assert(sizeof(Qspinlock) == 2 * sizeof(u64));
  }

  void lock(Node& node) {
    u64 seen = 0;
    // acquire: pairs with unlock's release. relaxed on failure: the slow path looks again.
    if (!word_.compare_exchange_strong(seen, locked, std::memory_order_acquire,
                                       std::memory_order_relaxed)) [[unlikely]]
      lock_slow(node, seen);
  }

  bool try_lock(Node&) {
    u64 seen = word_.load(std::memory_order_relaxed);  // relaxed: the exchange decides
    // acquire: as in lock. relaxed on failure: nothing is read.
    return seen == 0 && word_.compare_exchange_strong(seen, locked, std::memory_order_acquire,
                                                      std::memory_order_relaxed);
  }

  // release: pairs with the acquires of `word_`.
  void unlock(Node&) { P::store_low(word_, Byte{0}, std::memory_order_release); }

 private:
  using Byte = std::uint8_t;
  using TwoBytes = std::uint16_t;
  static constexpr u64 locked = 1, pending = 1 << 8;
  static constexpr u64 held_mask = 0xFFFF;  // locked and pending
  static constexpr u64 queued = 1 << 16;    // a thread is, or is about to be, in the queue
  // How long a thread waits for a pending thread to take the free lock: _Q_PENDING_LOOPS.
  static constexpr u32 pending_turns = 512;

  // queued_spin_lock_slowpath() in the kernel.
  [[gnu::noinline]] void lock_slow(Node& node, u64 seen) {
    WaitScope<P> waiting(this, "qspinlock");
    if (!lock_as_pending(seen)) lock_queued(node);
  }

  // False: others wait already.
  bool lock_as_pending(u64 seen) {
    for (u32 turn = 0; seen == pending && turn < pending_turns; ++turn) {
      P::pause(this);
      seen = word_.load(std::memory_order_relaxed);  // relaxed: a hint
    }
    if ((seen & ~locked) != 0) return false;
    // acquire: pairs with unlock's release, if the lock is free by now.
    seen = word_.fetch_or(pending, std::memory_order_acquire);
    if ((seen & ~locked) != 0) {
      // relaxed: the bit passes no data.
      if ((seen & pending) == 0) word_.fetch_and(~pending, std::memory_order_relaxed);
      return false;
    }
    P::promised(promise, P::self());
    if ((seen & locked) != 0)
      // acquire: pairs with unlock's release.
      while ((word_.load(std::memory_order_acquire) & locked) != 0) P::pause(this);
    // relaxed: the acquire above orders; only this thread may change the two bytes.
    P::store_low(word_, static_cast<TwoBytes>(locked), std::memory_order_relaxed);
    return true;
  }

  void lock_queued(Node& node) {
    // relaxed, both: the exchange of the tail publishes them.
    node.next.store(nullptr, std::memory_order_relaxed);
    node.waiting.store(1, std::memory_order_relaxed);
    if (try_lock(node)) return;
    // acq_rel: publishes the node to the next thread that exchanges the tail, which acquires.
    if (Node* previous = tail_.exchange(&node, std::memory_order_acq_rel)) {
      // release: pairs with the acquire of `next` below, after which the predecessor stores to this
      // node's `waiting`.
      previous->next.store(&node, std::memory_order_release);
      // acquire: pairs with the release of the store to `waiting` below.
      while (node.waiting.load(std::memory_order_acquire) != 0) P::pause(this);
    } else {
      word_.fetch_or(queued, std::memory_order_relaxed);  // relaxed: the bit passes no data
    }
    P::promised(promise, P::self());
    if (take_as_head(node)) return;
    Node* next;
    // acquire: pairs with the release of the store to `next` above.
    while ((next = node.next.load(std::memory_order_acquire)) == nullptr) P::pause(this);
    // release: pairs with the acquire of `waiting` above.
    next->waiting.store(0, std::memory_order_release);
  }

  // Answers whether the queue is empty now. relaxed, all but the first load and the exchange of the
  // tail: the load orders the section, and the bit passes no data.
  bool take_as_head(Node& node) {
    u64 seen;
    for (;;) {
      // acquire: pairs with unlock's release.
      while (((seen = word_.load(std::memory_order_acquire)) & held_mask) != 0) P::pause(this);
      if (tail_.load(std::memory_order_relaxed) != &node) break;
      // A failure means that another thread has set pending. It finds the queue, and clears it.
      if (!word_.compare_exchange_strong(seen, locked, std::memory_order_relaxed,
                                         std::memory_order_relaxed))
        continue;
      Node* last = &node;
      // release: pairs with the acquire of the exchange that finds no predecessor, so that its
      // thread sets the bit after this thread has cleared it. relaxed on failure: nothing is read.
      // weakened release survives, store_order: it keeps this thread's exchange of the word before
      // that thread's fetch_or.
      if (tail_.compare_exchange_strong(last, nullptr, std::memory_order_release,
                                        std::memory_order_relaxed))
        return true;
      // The next head loads the word after it has acquired its `waiting`, so it sees the bit.
      word_.fetch_or(queued, std::memory_order_relaxed);
      return false;
    }
    // Nobody else takes the lock: the bit is set, and this thread is the head.
    P::store_low(word_, static_cast<Byte>(locked), std::memory_order_relaxed);
    return false;
  }

  typename P::template atomic<u64> word_{0};
  typename P::template atomic<Node*> tail_{nullptr};
};

}  // namespace faultline
