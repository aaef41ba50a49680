// The queue of optimistic spinners: an MCS queue whose members may leave it while they wait
// (Linux's kernel/locking/osq_lock.c; after Mellor-Crummey and Scott 1991). Only its head spins on
// the lock itself, so that the spinners do not all contend for one line.
//
//   enter   swap self in as the tail; if there was a predecessor, link to it and wait to become
//           head
//   leave   take back the predecessor's link to self, so that it cannot hand the head to self any
//           more; find the successor, or wait for it; link the two. If the predecessor is leaving
//           at the same time, it replaces self's `previous` meanwhile
//   exit    hand the head to the successor
//
// In Linux (osq_lock, osq_unlock) a spinner leaves when it must reschedule (need_resched), or when
// the predecessor's CPU is preempted (vcpu_is_preempted). Here it leaves when its predecessor is
// not running, or after `patience`, which replaces the scheduler's tick.
#pragma once

#include <cstddef>

#include "locks/layout.hpp"
#include "locks/per_thread.hpp"
#include "locks/promise.hpp"

namespace faultline {

// `at_once` and `waited`: the caller is the head and calls exit() later. `left`: the caller has
// left the queue.
enum class OsqEntry : int { at_once, waited, left };

// The words on which a spinner waits. Each thread has one pair of lines per queue, on the thread's
// node; it lives as long as the queue. The kernel has one per CPU for all queues
// (optimistic_spin_node, a per-CPU variable aligned to a line).
template <class P>
struct alignas(cache_line) OsqNode {
  OsqNode() {
    P::label(this, "osq.node");
    if constexpr (PlainCells<P>)
      static_assert(line_of(offsetof(OsqNode, thread) + sizeof(thread) - 1) == 0);
  }
  typename P::template atomic<OsqNode*> next{nullptr};
  typename P::template atomic<OsqNode*> previous{nullptr};
  typename P::template atomic<u32> head{0};
  typename P::template atomic<u32> thread{0};
};
template <class P>
using OsqNodes = PerThread<P, OsqNode<P>>;

// The tail of a queue: the kernel's optimistic_spin_queue, the word that lies in an rwsem. `nodes`
// belong to this queue. A thread enters a queue at most once at a time.
template <class P>
class OsqTail {
 public:
  static constexpr u64 patience = 4'000'000;  // nanoseconds

  OsqEntry enter(OsqNodes<P>& nodes) {
    return enter(nodes, [](u32) { return false; });
  }
  // A waiter asks `gives_up` after each turn in which it is not the head, with the turn's number.
  template <class F>
  OsqEntry enter(OsqNodes<P>& nodes, const F& gives_up) {
    Spinner& self = nodes.here();
    prepare(self);
    // acq_rel: publishes self to the thread that queues behind it (acquire of the same exchange);
    // sees the predecessor's node initialised.
    Spinner* previous = tail_.exchange(&self, std::memory_order_acq_rel);
    return previous == nullptr ? OsqEntry::at_once : wait_in_queue(self, *previous, gives_up);
  }

  // Enters only an empty queue, as its head. The kernel has no such function.
  bool try_enter(OsqNodes<P>& nodes) {
    Spinner& self = nodes.here();
    prepare(self);
    Spinner* expected = nullptr;
    // acq_rel: as for the exchange in enter(). relaxed on failure: nothing is read.
    return tail_.compare_exchange_strong(expected, &self, std::memory_order_acq_rel,
                                         std::memory_order_relaxed);
  }

  void exit(OsqNodes<P>& nodes) {
    Spinner& self = nodes.here();
    Spinner* expected = &self;
    // release: the next thread that enters sees what this head did. relaxed on failure: a successor
    // is there, and successor() finds it.
    if (tail_.compare_exchange_strong(expected, nullptr, std::memory_order_release,
                                      std::memory_order_relaxed))
      return;
    if (Spinner* next = successor(self, nullptr))
      next->head.store(1, std::memory_order_release);  // release: pairs with the acquire in enter()
  }

 private:
  using Spinner = OsqNode<P>;

  // relaxed, all: the exchange of the tail publishes them.
  static void prepare(Spinner& self) {
    self.thread.store(P::self(), std::memory_order_relaxed);
    self.next.store(nullptr, std::memory_order_relaxed);
    self.head.store(0, std::memory_order_relaxed);
  }

  template <class F>
  [[gnu::noinline]] OsqEntry wait_in_queue(Spinner& self, Spinner& previous, const F& gives_up) {
    WaitScope<P> waiting(this, "osq");
    // relaxed: the store below publishes it.
    self.previous.store(&previous, std::memory_order_relaxed);
    // release: pairs with the acquire in successor(), by which the predecessor reaches self.
    previous.next.store(&self, std::memory_order_release);
    const u64 limit = P::now() + patience;
    for (u32 turn = 1;; ++turn) {
      // acquire: pairs with exit()'s release
      if (self.head.load(std::memory_order_acquire) != 0) return OsqEntry::waited;
      // acquire: pairs with the release in leave(), which may have replaced `previous`.
      // weakened acquire survives, hint: what is read from the predecessor only says when to give
      // up.
      const Spinner* before = self.previous.load(std::memory_order_acquire);
      const bool late = turn % 64 == 0 && P::now() > limit;
      // relaxed: the value is a hint.
      if (late || !P::running(before->thread.load(std::memory_order_relaxed))) break;
      if (gives_up(turn)) break;
      P::pause(this);
    }
    return leave(self) ? OsqEntry::left : OsqEntry::waited;
  }

  // False: the predecessor handed the head to self after all, so self has not left.
  bool leave(Spinner& self) {
    // acquire: pairs with the release below, by which a leaving predecessor replaces `previous`.
    // weakened acquire survives, ordered_elsewhere: the exchange of the tail in enter() has already
    // shown this thread every spinner ahead of it.
    Spinner* previous = self.previous.load(std::memory_order_acquire);
    for (;;) {
      Spinner* expected = &self;
      // acq_rel: after this exchange the predecessor cannot hand the head to self. It waits in
      // successor() for a new link. relaxed on failure: the head or the new `previous` is read
      // below.
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

  // Cuts self off from its successor and answers the successor. If self is the tail, makes `heir`
  // the tail instead and answers null.
  Spinner* successor(Spinner& self, Spinner* heir) {
    for (;;) {
      Spinner* expected = &self;
      // relaxed load, acq_rel exchange: as for the exchange in enter().
      // weakened acquire survives, store_order: it keeps a leaver's store to self.next before the
      // store that self makes at its next entry.
      if (tail_.load(std::memory_order_relaxed) == &self &&
          tail_.compare_exchange_strong(expected, heir, std::memory_order_acq_rel,
                                        std::memory_order_relaxed))
        return nullptr;
      // An exchange, since the successor may be leaving and takes its link back by an exchange too.
      // relaxed load: the exchange decides. acq_rel: the acquire pairs with the release of the
      // link.
      // weakened release survives, as_in_linux: the null link publishes nothing.
      if (self.next.load(std::memory_order_relaxed) != nullptr)
        if (Spinner* next = self.next.exchange(nullptr, std::memory_order_acq_rel)) return next;
      P::pause(this);
    }
  }

  typename P::template atomic<Spinner*> tail_{nullptr};
};

// A queue with a tail and nodes of its own.
template <class P>
class Osq {
 public:
  OsqEntry enter() { return tail_.enter(nodes_); }
  bool try_enter() { return tail_.try_enter(nodes_); }
  void exit() { tail_.exit(nodes_); }

 private:
  OsqTail<P> tail_;
  OsqNodes<P> nodes_;
};

// The queue as a mutex: its head has the lock. A thread that leaves the queue enters it again.
// lockhammer's osq_lock (github.com/ARM-software/synchronization-benchmarks, ext/linux/osq_lock.h)
// does the same. There a thread leaves after a million turns, and then sleeps for some
// microseconds. That number is a variable beside the tail, which every waiter reads in each turn.
// So each change of the tail takes the line from all waiters, and a handoff takes longer the more
// threads wait.
template <class P>
class OsqMutex {
 public:
  struct Node {};
  // A thread that leaves the queue enters it again as the tail.
  static constexpr Promise promise = no_promise;

  OsqMutex() {
    if constexpr (PlainCells<P>)
      static_assert(line_of(offsetof(OsqMutex, turns_) + sizeof(turns_) - 1) == 0);
  }

  void lock(Node&) {
    const auto gives_up = [this](u32 turn) { return turn > turns_.load(); };
    while (tail_.enter(nodes_, gives_up) == OsqEntry::left) P::pause(this);
  }
  bool try_lock(Node&) { return tail_.try_enter(nodes_); }
  void unlock(Node&) { tail_.exit(nodes_); }

 private:
  OsqTail<P> tail_;
  typename P::template data<u64> turns_{1'000'000};  // only read
  OsqNodes<P> nodes_;
};

}  // namespace faultline
