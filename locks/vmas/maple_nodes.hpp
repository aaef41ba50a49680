// The nodes of container `maple`, and their memory.
//
// Each thread keeps free nodes of its own, as the kernel's slab keeps them for each CPU. It fills
// them up before the caller takes a lock. A dead node becomes free after a grace period, in a batch
// with the other nodes of its edit, and goes back to the thread that retired it. A thread with many
// free nodes leaves the surplus to the others. So the memory is bounded by the live nodes, those
// that wait for a grace period, and a constant for each thread.
#pragma once

#include <algorithm>
#include <new>
#include <type_traits>

#include "locks/layout.hpp"
#include "locks/per_thread.hpp"
#include "locks/types.hpp"

namespace faultline::vmas {

// A pivot is the last address of its slot. A node has no pivot for its last slot in use: that ends
// with the node. Pivots above it are no_pivot, so that a search ends without the number of slots.
inline constexpr u64 no_pivot = ~u64{0};

// What a node's `state` says. A dead or free node's other bits lead to the next one of its list.
inline constexpr u64 live_node = 0;
inline constexpr u64 dead_bit = 1;

inline constexpr usize maple_node_size = 256;

template <class P, class V, u32 slot_count>
struct alignas(maple_node_size) MapleLeaf {
  typename P::template atomic<u64> state{live_node};
  typename P::template atomic<u64> pivots[slot_count - 1];
  typename P::template atomic<V*> slots[slot_count];
};

// A slot leads to a child: its address, and leaf_bit where it is a leaf. A gap is the size of the
// largest hole below the child. Readers under RCU look at no gap.
template <class P, u32 slot_count>
struct alignas(maple_node_size) MapleInner {
  typename P::template atomic<u64> state{live_node};
  typename P::template atomic<u64> pivots[slot_count - 1];
  typename P::template atomic<u64> slots[slot_count];
  typename P::template data<u64> gaps[slot_count];
};

template <class P, class Leaf, class Inner>
class MapleMemory {
 public:
  // Prepares the calling thread for as many calls of take.
  void reserve(u32 leaves, u32 inners) {
    Local& local = local_.here();
    collect(local);
    fit(local.leaves, shared_leaves_, leaves);
    fit(local.inners, shared_inners_, inners);
    if (local.batches == nullptr) add_batches(local);
  }

  // A live node, with unspecified content.
  Leaf* take_leaf() { return take(&Local::leaves, shared_leaves_); }
  Inner* take_inner() { return take(&Local::inners, shared_inners_); }

  // Nodes that one edit has taken out of the tree.
  class Dead {
   public:
    void add(Leaf* leaf) { leaves_[leaf_count_++] = leaf; }
    void add(Inner* inner) { inners_[inner_count_++] = inner; }

   private:
    friend class MapleMemory;
    static constexpr u32 most = 64;
    Leaf* leaves_[most];
    Inner* inners_[most];
    u32 leaf_count_ = 0, inner_count_ = 0;
  };

  // The tree leads to these nodes no more. Marks them dead, and frees them after a grace period.
  void retire(const Dead& dead) {
    Local& local = local_.here();
    if (local.batches == nullptr) collect(local);
    if (local.batches == nullptr) add_batches(local);
    Batch* batch = local.batches;
    local.batches = batch->next;
    batch->leaves = chain(dead.leaves_, dead.leaf_count_);
    batch->inners = chain(dead.inners_, dead.inner_count_);
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

  template <class Node>
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
    Leaf* leaves = nullptr;
    Inner* inners = nullptr;
  };
  struct Local {
    Free<Leaf> leaves;
    Free<Inner> inners;
    Batch* batches = nullptr;  // free ones
    typename P::template atomic<Batch*> returned{nullptr};
  };
  template <class Node>
  using Shared = typename P::template atomic<Node*>;

  template <class Node>
  static Node* next(Node* node) {
    // relaxed: as in Free.
    return reinterpret_cast<Node*>(node->state.load(std::memory_order_relaxed) & ~dead_bit);
  }

  template <class Node>
  static Node* chain(Node* const* nodes, u32 count) {
    Node* first = nullptr;
    for (u32 i = 0; i < count; ++i) {
      // relaxed: a walk under RCU that follows this edit, by whatever order, sees the mark. Any
      // other walk may take place before the edit.
      nodes[i]->state.store(reinterpret_cast<u64>(first) | dead_bit, std::memory_order_relaxed);
      first = nodes[i];
    }
    return first;
  }

  // Natively a thread of liburcu runs this.
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
      // weakened release survives, program: in the checker the owner itself runs this.
    } while (!returned.compare_exchange_weak(first, batch, std::memory_order_release,
                                             std::memory_order_relaxed));
  }

  // Takes back the nodes whose grace periods are over.
  void collect(Local& local) {
    // relaxed: the exchange decides.
    if (local.returned.load(std::memory_order_relaxed) == nullptr) return;
    // acquire: pairs with reclaim's release.
    // weakened acquire survives, program: in the checker the owner itself reclaims.
    Batch* batch = local.returned.exchange(nullptr, std::memory_order_acquire);
    while (batch != nullptr) {
      push_all(local.leaves, batch->leaves);
      push_all(local.inners, batch->inners);
      Batch* later = batch->next;
      batch->next = local.batches;
      local.batches = batch;
      batch = later;
    }
  }

  template <class Node>
  static void push_all(Free<Node>& free, Node* node) {
    while (node != nullptr) {
      Node* later = next(node);
      free.push(node);
      node = later;
    }
  }

  // Sees to it that `free` has as many nodes as wanted, and not many more.
  template <class Node>
  void fit(Free<Node>& free, Shared<Node>& shared, u32 wanted) {
    if (free.count < wanted) {
      // relaxed: the exchange decides.
      if (shared.load(std::memory_order_relaxed) != nullptr) {
        // acquire: pairs with the release in share.
        // No program of the checker frees enough nodes to come here.
        push_all(free, shared.exchange(nullptr, std::memory_order_acquire));
      }
      if (free.count < wanted) allocate(free, wanted - free.count);
    }
    if (free.count > wanted + kept) share(free, shared, free.count - wanted - kept / 2);
  }

  template <class Node>
  static void share(Free<Node>& free, Shared<Node>& shared, u32 count) {
    Free<Node> given;
    Node* last = free.first;
    for (u32 i = 0; i < count; ++i) given.push(free.pop());
    Node* first = shared.load(std::memory_order_relaxed);  // relaxed: the exchange decides
    do {
      last->state.store(reinterpret_cast<u64>(first) | dead_bit, std::memory_order_relaxed);
      // release: pairs with the acquire in fit, so that the taker sees the links. relaxed on
      // failure: the next turn decides.
      // No program of the checker frees enough nodes to come here.
    } while (!shared.compare_exchange_weak(first, given.first, std::memory_order_release,
                                           std::memory_order_relaxed));
  }

  template <class Node>
  Node* take(Free<Node> Local::*list, Shared<Node>& shared) {
    Local& local = local_.here();
    Free<Node>& free = local.*list;
    if (free.count == 0) collect(local);
    if (free.count == 0) fit(free, shared, 1);
    Node* node = free.pop();
    // relaxed: the node is published later.
    node->state.store(live_node, std::memory_order_relaxed);
    return node;
  }

  template <class Node>
  void allocate(Free<Node>& free, u32 count) {
    auto* nodes = static_cast<Node*>(P::allocate(count * sizeof(Node), alignof(Node)));
    for (u32 i = 0; i < count; ++i) {
      if constexpr (PlainCells<P>) static_assert(sizeof(Node) == maple_node_size);
      P::label(nodes + i, std::is_same_v<Node, Leaf> ? "vmas.maple_leaf" : "vmas.maple_inner");
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

  Shared<Leaf> shared_leaves_{nullptr};
  Shared<Inner> shared_inners_{nullptr};
  typename P::template atomic<u64> allocated_{0};
  PerThread<P, Local> local_;
};

}  // namespace faultline::vmas
