// The MCS lock: a queue in which each waiter spins on a word of its own (Mellor-Crummey and Scott
// 1991, algorithm 2.5).
//
//   lock    swap the own node in as the tail; if there was a predecessor, link to it and wait for
//           the own word to change
//   unlock  with no successor, swap the tail back to null; else change the successor's word
#pragma once

#include <cstddef>

#include "locks/layout.hpp"
#include "locks/mutex/concept.hpp"
#include "locks/platform.hpp"
#include "locks/promise.hpp"

namespace faultline {

template <class P>
class Mcs {
 public:
  // The queue is served in order, and a try takes only a lock without a queue.
  static constexpr Promise promise{.most_passes = 0, .since = "is the tail of the queue"};

  // Both words on one line: the waiter spins there, and its successor links itself there.
  struct alignas(cache_line) Node {
    typename P::template atomic<Node*> next{nullptr};
    typename P::template atomic<u32> waiting{0};
  };

  Mcs() {
    if constexpr (PlainCells<P>) static_assert(offsetof(Node, waiting) < line_size);
  }

  void lock(Node& node) {
    prepare(node);
    // acq_rel: publishes the node to the next thread that exchanges the tail, which acquires;
    // acquires from unlock's release where the lock is free. The release orders prepare's store to
    // `next` before the successor's store to the same word.
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
      Node* expected = &node;
      // release: pairs with the acquire of the next exchange. relaxed on failure: the loop below
      // acquires.
      if (tail_.compare_exchange_strong(expected, nullptr, std::memory_order_release,
                                        std::memory_order_relaxed))
        return;
      // acquire: as above.
      while ((next = node.next.load(std::memory_order_acquire)) == nullptr) P::pause(this);
    }
    // release: pairs with the acquire in await().
    next->waiting.store(0, std::memory_order_release);
  }

 private:
  // relaxed: the exchange of the tail publishes the store.
  static void prepare(Node& node) { node.next.store(nullptr, std::memory_order_relaxed); }

  // A function of its own, so that the compiler inlines the rest of lock().
  [[gnu::noinline]] void await(Node& node, Node& previous) {
    node.waiting.store(1, std::memory_order_relaxed);       // relaxed: the store below publishes it
    previous.next.store(&node, std::memory_order_release);  // release: pairs with unlock's acquire
    P::promised(promise, P::self());
    WaitScope<P> waiting(this, "mcs");
    // acquire: pairs with the release of unlock's store to `waiting`.
    while (node.waiting.load(std::memory_order_acquire) != 0) P::pause(this);
  }

  typename P::template atomic<Node*> tail_{nullptr};
};

}  // namespace faultline
