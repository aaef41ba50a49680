// The nodes of container `maple`, as Linux lays them out (include/linux/maple_tree.h).
#pragma once

#include "locks/types.hpp"
#include "locks/vmas/rcu_nodes.hpp"

namespace faultline::vmas {

// A pivot is the last address of its slot. A node has no pivot for its last slot in use: that ends
// with the node. Pivots above it are no_pivot, so that a search ends without the number of slots.
inline constexpr u64 no_pivot = ~u64{0};

inline constexpr usize maple_node_size = 256;

template <class P, class V, u32 slot_count>
struct alignas(maple_node_size) MapleLeaf {
  static constexpr const char* label = "vmas.maple_leaf";
  static constexpr usize bytes = maple_node_size;

  typename P::template atomic<u64> state{live_node};
  typename P::template atomic<u64> pivots[slot_count - 1];
  typename P::template atomic<V*> slots[slot_count];
};

// A slot leads to a child: its address, and leaf_bit where it is a leaf. A gap is the size of the
// largest hole below the child. Readers under RCU look at no gap.
template <class P, u32 slot_count>
struct alignas(maple_node_size) MapleInner {
  static constexpr const char* label = "vmas.maple_inner";
  static constexpr usize bytes = maple_node_size;

  typename P::template atomic<u64> state{live_node};
  typename P::template atomic<u64> pivots[slot_count - 1];
  typename P::template atomic<u64> slots[slot_count];
  typename P::template data<u64> gaps[slot_count];
};

}  // namespace faultline::vmas
