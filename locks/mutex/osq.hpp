// The queue of optimistic spinners: an MCS queue whose members may leave it while they wait
// (Linux's kernel/locking/osq_lock.c; after Mellor-Crummey and Scott 1991). Only its head spins on
// the lock proper, so that spinners do not all beat on one line.
//
//   enter   swap self in as the tail; behind another, link self to it and wait to be made head
//   leave   take back the predecessor's link to self, so that it cannot hand over any more; find,
//           or wait for, the successor; link the two. The predecessor may be leaving at the same
//           time: then self's `previous` changes under way
//   exit    hand the head to the successor
//
// In Linux (osq_lock, osq_unlock) a spinner leaves when it must reschedule (need_resched), or when
// the predecessor's CPU is preempted (vcpu_is_preempted). Here it leaves when its predecessor is
// not running, or after `patience`, which stands in for the scheduler's tick.
#pragma once

#include "locks/per_thread.hpp"

namespace faultline {

// The caller is the head, at once or after a wait, and calls exit() later; or it has left the
// queue.
enum class OsqEntry : int { at_once, waited, left };

// What a spinner waits on: a pair of lines per thread and queue, on the thread's node, kept as long
// as the queue. The kernel has one per CPU for all queues (optimistic_spin_node, a per-CPU variable
// aligned to a line).
template <class P>
struct alignas(cache_line) OsqNode {
  typename P::template atomic<OsqNode*> next{nullptr};
  typename P::template atomic<OsqNode*> previous{nullptr};
  typename P::template atomic<u32> head{0};
  typename P::template atomic<u32> thread{0};
};
template <class P>
using OsqNodes = PerThread<P, OsqNode<P>>;

// The tail of a queue: optimistic_spin_queue, the word that lies in an rwsem. `nodes` are those of
// this queue. A thread is in at most one place of it.
template <class P>
class OsqTail {
 public:
  static constexpr u64 patience = 4'000'000;  // ns

  OsqEntry enter(OsqNodes<P>& nodes) {
    Spinner& self = nodes.here();
    // relaxed, all: published by the exchange below.
    self.thread.store(P::self(), std::memory_order_relaxed);
    self.next.store(nullptr, std::memory_order_relaxed);
    self.head.store(0, std::memory_order_relaxed);
    // acq_rel: publishes self to whoever queues behind (acquire of the same exchange), and sees the
    // predecessor made.
    Spinner* previous = tail_.exchange(&self, std::memory_order_acq_rel);
    if (previous == nullptr) return OsqEntry::at_once;
    self.previous.store(previous, std::memory_order_relaxed);  // relaxed: published by the link
    // release: pairs with the acquire in successor(), by which the predecessor reaches self.
    previous->next.store(&self, std::memory_order_release);
    const u64 limit = P::now() + patience;
    for (u32 turn = 1;; ++turn) {
      // acquire: pairs with exit()'s release
      if (self.head.load(std::memory_order_acquire) != 0) return OsqEntry::waited;
      // acquire: pairs with the release in leave(), which may have replaced `previous`.
      // weakened acquire survives, hint: what is read from the predecessor only says when to give
      // up.
      const Spinner* before = self.previous.load(std::memory_order_acquire);
      const bool late = turn % 64 == 0 && P::now() > limit;
      // relaxed: a hint
      if (late || !P::running(before->thread.load(std::memory_order_relaxed))) break;
      P::pause(this);
    }
    return leave(self) ? OsqEntry::left : OsqEntry::waited;
  }

  void exit(OsqNodes<P>& nodes) {
    Spinner& self = nodes.here();
    Spinner* expected = &self;
    // release: the next to enter takes over what the head did. relaxed on failure: a successor is
    // there, found below.
    if (tail_.compare_exchange_strong(expected, nullptr, std::memory_order_release,
                                      std::memory_order_relaxed))
      return;
    if (Spinner* next = successor(self, nullptr))
      next->head.store(1, std::memory_order_release);  // release: pairs with enter()
  }

 private:
  using Spinner = OsqNode<P>;

  // False: the head was handed over after all.
  bool leave(Spinner& self) {
    // acquire: pairs with the release below by which the predecessor, leaving, replaces `previous`.
    // weakened acquire survives, ordered_elsewhere: the exchange of the tail in enter() has already
    // shown this thread every spinner ahead of it.
    Spinner* previous = self.previous.load(std::memory_order_acquire);
    for (;;) {
      Spinner* expected = &self;
      // acq_rel: after this the predecessor cannot hand the head to self; it waits in successor()
      // for a new link.
      // weakened acquire survives, as_in_linux: the link that is taken back led to self.
      // weakened release survives, as_in_linux: the null link publishes nothing.
      if (previous->next.compare_exchange_strong(expected, nullptr, std::memory_order_acq_rel,
                                                 std::memory_order_relaxed))
        break;
      // acquire: pairs with exit()'s release
      if (self.head.load(std::memory_order_acquire) != 0) return false;
      P::pause(this);
      // acquire: as above.
      // weakened acquire survives, ordered_elsewhere: the exchange of the tail in enter() has
      // already shown this thread every spinner ahead of it.
      previous = self.previous.load(std::memory_order_acquire);
    }
    Spinner* next = successor(self, previous);
    if (next == nullptr) return true;
    // release: pairs with the acquire loads of `previous`.
    // weakened release survives, ordered_elsewhere: the successor has seen every spinner ahead of
    // it by its exchange of the tail in enter().
    next->previous.store(previous, std::memory_order_release);
    // release: pairs with the acquire in successor().
    previous->next.store(next, std::memory_order_release);
    return true;
  }

  // Cuts self off from its successor and answers it; or, when self is the tail, makes `heir` the
  // tail and answers null.
  Spinner* successor(Spinner& self, Spinner* heir) {
    for (;;) {
      Spinner* expected = &self;
      // relaxed look, acq_rel exchange: as the exchange in enter().
      // weakened acquire survives, store_order: it keeps a leaver's store to self.next before the
      // one that self makes at its next entry.
      if (tail_.load(std::memory_order_relaxed) == &self &&
          tail_.compare_exchange_strong(expected, heir, std::memory_order_acq_rel,
                                        std::memory_order_relaxed))
        return nullptr;
      // By exchange, since the successor may be leaving: it takes its link back by one too.
      // acq_rel: the acquire pairs with the release of the link.
      // weakened release survives, as_in_linux: the null link publishes nothing.
      if (self.next.load(std::memory_order_relaxed) != nullptr)
        if (Spinner* next = self.next.exchange(nullptr, std::memory_order_acq_rel)) return next;
      P::pause(this);
    }
  }

  typename P::template atomic<Spinner*> tail_{nullptr};
};

// A queue that is its own: tail and nodes.
template <class P>
class Osq {
 public:
  OsqEntry enter() { return tail_.enter(nodes_); }
  void exit() { tail_.exit(nodes_); }

 private:
  OsqTail<P> tail_;
  OsqNodes<P> nodes_;
};

}  // namespace faultline
