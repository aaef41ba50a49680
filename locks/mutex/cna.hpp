// The compact NUMA-aware lock (Dice and Kogan, "Compact NUMA-Aware Locks", EuroSys 2019, figures
// 2 to 4): an MCS lock (mcs.hpp) that hands over within a NUMA node as long as it can. The lock is
// the one word that an MCS lock is.
//
//   lock    as in MCS. A thread that has to wait notes its NUMA node first
//   unlock  look for the first waiter of the own NUMA node. Move those in front of it to the end of
//           a second queue, whose head and age go from holder to holder, and hand over. Where the
//           queue has no such waiter, put the second queue in front of it and hand over to its
//           first thread. Where no thread queues at all, the second queue becomes the queue
//
// The paper flushes the second queue at random, once in 65,536 handoffs. Here its age decides, as
// in Kogan's patches for Linux since their version 10 ("Add NUMA-awareness to qspinlock",
// kernel/locking/qspinlock_cna.h, numa_spinlock_threshold_ns): after 1 ms. Left out of the patches
// are the word of a qspinlock around the queue, the sorting by the waiter that is next instead of
// by the holder that leaves, and the waiters in interrupts, which are never moved. The paper keeps
// the second queue's head in the word on which the holder has waited; here it is a field beside
// that word.
#pragma once

#include <cstddef>

#include "locks/layout.hpp"
#include "locks/mutex/concept.hpp"
#include "locks/platform.hpp"
#include "locks/promise.hpp"

namespace faultline {

template <class P>
class Cna {
 public:
  // Threads of other NUMA nodes pass a waiter for 1 ms, as often as time allows, and a flush lets
  // only the first thread of the second queue in.
  static constexpr Promise promise = no_promise;

  // All on one line. `second`, `second_tail` and `since` belong to the holder: the first of the
  // second queue, or null; in that first one, the last; when the second queue began, ns.
  struct alignas(cache_line) Node {
    typename P::template atomic<Node*> next{nullptr};
    typename P::template atomic<u32> waiting{0};
    typename P::template data<u32> place;  // the number of the thread's NUMA node
    typename P::template data<Node*> second;
    typename P::template data<Node*> second_tail;
    typename P::template data<u64> since;
  };

  Cna() {
    if constexpr (PlainCells<P>)
      static_assert(line_of(offsetof(Node, since) + sizeof(u64) - 1) == 0 &&
                    sizeof(Cna) == sizeof(u64));
  }

  void lock(Node& node) {
    prepare(node);
    // acq_rel: publishes the node to the next thread that exchanges the tail, which acquires;
    // acquires from unlock's release where the lock is free.
    if (Node* previous = tail_.exchange(&node, std::memory_order_acq_rel)) [[unlikely]]
      await(node, *previous);
  }

  bool try_lock(Node& node) {
    prepare(node);
    Node* expected = nullptr;
    // acq_rel: as in lock. relaxed on failure: nothing is read.
    return tail_.compare_exchange_strong(expected, &node, std::memory_order_acq_rel,
                                         std::memory_order_relaxed);
  }

  void unlock(Node& node) {
    // acquire: pairs with the release of the store to `next` in await().
    Node* next = node.next.load(std::memory_order_acquire);
    if (next == nullptr) {
      if (leave_empty(node)) return;
      // acquire: as above.
      while ((next = node.next.load(std::memory_order_acquire)) == nullptr) P::pause(this);
    }
    hand_over(node, *next);
  }

 private:
  static constexpr u64 longest = 1'000'000;  // ns, the greatest age of a second queue
  static constexpr u32 unknown = ~u32{0};

  // relaxed: the exchange of the tail publishes the store.
  static void prepare(Node& node) {
    node.next.store(nullptr, std::memory_order_relaxed);
    node.place.store(unknown);
    node.second.store(nullptr);
  }

  [[gnu::noinline]] void await(Node& node, Node& previous) {
    node.place.store(P::node());
    node.waiting.store(1, std::memory_order_relaxed);  // relaxed: the store below publishes it
    // release: pairs with the acquires of `next`.
    previous.next.store(&node, std::memory_order_release);
    WaitScope<P> waiting(this, "cna");
    // acquire: pairs with grant's release.
    while (node.waiting.load(std::memory_order_acquire) != 0) P::pause(this);
  }

  // False: a thread has queued.
  bool leave_empty(Node& node) {
    Node* const first = node.second.load();
    Node* expected = &node;
    // release: pairs with the acquire of the next exchange, so that its thread links itself after
    // the last of the second queue has lost its old link. relaxed on failure: unlock looks again.
    if (!tail_.compare_exchange_strong(expected,
                                       first == nullptr ? nullptr : first->second_tail.load(),
                                       std::memory_order_release, std::memory_order_relaxed))
      return false;
    if (first != nullptr) grant(*first, nullptr, 0);
    return true;
  }

  void hand_over(Node& node, Node& next) {
    if (!flush_is_due(node))
      if (Node* local = find_local(node, next))
        return grant(*local, node.second.load(), node.since.load());
    Node* const first = node.second.load();
    if (first == nullptr) return grant(next, nullptr, 0);
    // relaxed: the grants publish it to the holders that follow the link.
    first->second_tail.load()->next.store(&next, std::memory_order_relaxed);
    grant(*first, nullptr, 0);
  }

  static bool flush_is_due(const Node& node) {
    return node.second.load() != nullptr && P::now() > node.since.load() + longest;
  }

  // The first waiter of the holder's NUMA node, with those in front of it moved away. Null: none
  // has linked itself yet.
  Node* find_local(Node& node, Node& next) {
    const u32 place = node.place.load() == unknown ? P::node() : node.place.load();
    Node* last = nullptr;
    // acquire: pairs with the release of the store to `next` in await().
    for (Node* one = &next; one != nullptr; one = one->next.load(std::memory_order_acquire)) {
      if (one->place.load() == place) {
        if (last != nullptr) move_away(node, next, *last);
        return one;
      }
      last = one;
    }
    return nullptr;
  }

  static void move_away(Node& node, Node& first, Node& last) {
    if (Node* head = node.second.load()) {
      // relaxed: as in hand_over.
      head->second_tail.load()->next.store(&first, std::memory_order_relaxed);
    } else {
      node.second.store(&first);
      node.since.store(P::now());
    }
    // relaxed: the grants publish it, and leave_empty's release where `last` becomes the tail.
    last.next.store(nullptr, std::memory_order_relaxed);
    node.second.load()->second_tail.store(&last);
  }

  void grant(Node& to, Node* second, u64 since) {
    to.second.store(second);
    to.since.store(since);
    // release: pairs with await's acquire.
    to.waiting.store(0, std::memory_order_release);
  }

  typename P::template atomic<Node*> tail_{nullptr};
};

}  // namespace faultline
