// The memory of a container's nodes, which readers under RCU may still look at when an edit has
// taken them out of the tree.
//
// Each thread keeps free nodes of its own, as the kernel's slab keeps them for each CPU. It fills
// them up before the caller takes a lock. A dead node becomes free after a grace period, in a batch
// with the other nodes of its edit, and goes back to the thread that retired it. A thread with many
// free nodes leaves the surplus to the others, in a list under a spinlock. A thread that runs out
// takes what it lacks and `kept` / 2 more, so that the next thread finds nodes too. So the memory
// is bounded by the live nodes, those that wait for a grace period, and a constant for each thread.
//
// A Node has `state`, an atomic u64, and static constants: `label`, the name of its lines in a
// report, and `bytes`, its size.
#pragma once

#include <new>

#include "locks/layout.hpp"
#include "locks/mutex/qspinlock.hpp"
#include "locks/mutex/section.hpp"
#include "locks/per_thread.hpp"
#include "locks/types.hpp"

namespace faultline::vmas {

// What a node's `state` says. A dead or free node's other bits lead to the next one of its list.
inline constexpr u64 live_node = 0;
inline constexpr u64 dead_bit = 1;

template <class P, class Node>
class RcuNodes {
 public:
  // Prepares the calling thread for as many calls of take.
  void reserve(u32 nodes) {
    Local& local = local_.here();
    collect(local);
    fit(local.free, nodes);
    if (local.batches == nullptr) add_batches(local);
  }

  // A live node, with unspecified content.
  Node* take() {
    Local& local = local_.here();
    if (local.free.count == 0) collect(local);
    if (local.free.count == 0) fit(local.free, 1);
    Node* node = local.free.pop();
    // relaxed: the node is published later.
    node->state.store(live_node, std::memory_order_relaxed);
    return node;
  }

  // Nodes that one edit has taken out of the tree.
  class Dead {
   public:
    static constexpr u32 most = 64;
    void add(Node* node) { nodes_[count_++] = node; }
    bool is_full() const { return count_ == most; }

   private:
    friend class RcuNodes;
    Node* nodes_[most];
    u32 count_ = 0;
  };

  // The tree leads to these nodes no more. Marks them dead, and frees them after a grace period.
  void retire(const Dead& dead) {
    if (dead.count_ == 0) return;
    Local& local = local_.here();
    if (local.batches == nullptr) collect(local);
    if (local.batches == nullptr) add_batches(local);
    Batch* batch = local.batches;
    local.batches = batch->next;
    batch->nodes = chain(dead);
    // release: pairs with the acquire in reclaim. RCU orders the two as well, but ThreadSanitizer
    // does not see into liburcu.
    // weakened release survives, ordered_elsewhere: RCU runs reclaim after this.
    batch->owner.store(&local, std::memory_order_release);
    P::rcu::retire(batch, reclaim);
  }

  // How many nodes all threads have allocated so far.
  u64 allocated() const {
    // relaxed: a statistic.
    return allocated_.load(std::memory_order_relaxed);
  }

 private:
  // Nodes that a thread keeps beyond those that it has just reserved.
  static constexpr u32 kept = 64;
  static constexpr u32 batches_at_once = 16;

  struct Free {
    Node* first = nullptr;
    u32 count = 0;
    void push(Node* node) {
      // relaxed, here and in pop: no other thread knows a free node.
      node->state.store(reinterpret_cast<u64>(first) | dead_bit, std::memory_order_relaxed);
      first = node;
      ++count;
    }
    Node* pop() {
      Node* node = first;
      first = next(node);
      --count;
      return node;
    }
  };
  struct Local;
  struct Batch : P::rcu::Node {
    typename P::template atomic<Local*> owner{nullptr};
    Batch* next = nullptr;
    Node* nodes = nullptr;
  };
  struct Local {
    Free free;
    Batch* batches = nullptr;  // free ones
    typename P::template atomic<Batch*> returned{nullptr};
  };
  // Free nodes that any thread may take. The lock guards the list.
  struct Shared {
    Qspinlock<P> lock;
    typename P::template atomic<Node*> first{nullptr};
  };

  static Node* next(Node* node) {
    // relaxed: as in Free.
    return reinterpret_cast<Node*>(node->state.load(std::memory_order_relaxed) & ~dead_bit);
  }

  static Node* chain(const Dead& dead) {
    Node* first = nullptr;
    for (u32 i = 0; i < dead.count_; ++i) {
      // relaxed: a walk under RCU that follows this edit, by whatever order, sees the mark. Any
      // other walk may take place before the edit.
      dead.nodes_[i]->state.store(reinterpret_cast<u64>(first) | dead_bit,
                                  std::memory_order_relaxed);
      first = dead.nodes_[i];
    }
    return first;
  }

  // Natively a thread of liburcu runs this. It may come after the container's end, so it touches
  // only memory of P::allocate.
  static void reclaim(typename P::rcu::Node* node) {
    auto* batch = static_cast<Batch*>(node);
    // acquire: pairs with the release in retire.
    // weakened acquire survives, ordered_elsewhere: RCU runs this after retire.
    auto& returned = batch->owner.load(std::memory_order_acquire)->returned;
    Batch* first = returned.load(std::memory_order_relaxed);  // relaxed: the exchange decides
    do {
      batch->next = first;
      // release: pairs with collect's acquire, so that the owner sees `next`. relaxed on failure:
      // the next turn decides.
      // weakened release survives, program: over Relacy the owner itself runs this.
    } while (!returned.compare_exchange_weak(first, batch, std::memory_order_release,
                                             std::memory_order_relaxed));
  }

  // Takes back the nodes whose grace periods are over.
  void collect(Local& local) {
    // relaxed: the exchange decides.
    if (local.returned.load(std::memory_order_relaxed) == nullptr) return;
    // acquire: pairs with reclaim's release.
    // weakened acquire survives, program: over Relacy the owner itself reclaims.
    Batch* batch = local.returned.exchange(nullptr, std::memory_order_acquire);
    while (batch != nullptr) {
      push_all(local.free, batch->nodes);
      Batch* later = batch->next;
      batch->next = local.batches;
      local.batches = batch;
      batch = later;
    }
  }

  static void push_all(Free& free, Node* node) {
    while (node != nullptr) {
      Node* later = next(node);
      free.push(node);
      node = later;
    }
  }

  // Sees to it that `free` has as many nodes as wanted, and not many more.
  void fit(Free& free, u32 wanted) {
    // relaxed: a hint. A thread that does not see the nodes yet allocates.
    if (free.count < wanted && shared_.first.load(std::memory_order_relaxed) != nullptr)
      take_shared(free, wanted + kept / 2 - free.count);
    if (free.count < wanted) allocate(free, wanted - free.count);
    if (free.count > wanted + kept) share(free, free.count - wanted - kept / 2);
  }

  // No program of the checker frees enough nodes to come here, or to share().
  void take_shared(Free& free, u32 count) {
    MutexSection section(shared_.lock);
    // relaxed, here and in share: the lock orders.
    Node* node = shared_.first.load(std::memory_order_relaxed);
    for (; node != nullptr && count > 0; --count) {
      Node* later = next(node);
      free.push(node);
      node = later;
    }
    shared_.first.store(node, std::memory_order_relaxed);
  }

  void share(Free& free, u32 count) {
    Free given;
    Node* last = free.first;
    for (u32 i = 0; i < count; ++i) given.push(free.pop());
    MutexSection section(shared_.lock);
    Node* first = shared_.first.load(std::memory_order_relaxed);
    last->state.store(reinterpret_cast<u64>(first) | dead_bit, std::memory_order_relaxed);
    shared_.first.store(given.first, std::memory_order_relaxed);
  }

  void allocate(Free& free, u32 count) {
    auto* nodes = static_cast<Node*>(P::allocate(count * sizeof(Node), alignof(Node)));
    for (u32 i = 0; i < count; ++i) {
      if constexpr (PlainCells<P>) static_assert(sizeof(Node) == Node::bytes);
      P::label(nodes + i, Node::label);
      free.push(new (nodes + i) Node());
    }
    allocated_.fetch_add(count, std::memory_order_relaxed);  // relaxed: a statistic
  }

  static void add_batches(Local& local) {
    auto* batches = static_cast<Batch*>(P::allocate(batches_at_once * sizeof(Batch), cache_line));
    for (u32 i = 0; i < batches_at_once; ++i) {
      Batch* batch = new (batches + i) Batch();
      batch->next = local.batches;
      local.batches = batch;
    }
  }

  Shared shared_;
  typename P::template atomic<u64> allocated_{0};
  PerThread<P, Local, ItemsAtEnd::kept> local_;
};

}  // namespace faultline::vmas
