// VMAs in a skip list (Pugh: Skip lists, a probabilistic alternative to balanced trees, CACM 33,
// 1990), which readers search under RCU without a lock. The interval skip list (Hanson, WADS
// 1991) marks each link with the intervals that lie over it. VMAs do not overlap, so a node
// for each VMA is enough, and a link is marked with the largest hole that lies under it instead.
//
// Three of four nodes have one level, three of four of the others two, and so on. No edit moves a
// node, and no edit copies one: an insert links it from the lowest level up, an erase unlinks it.
//
// Why no reader misses a VMA that is there all the time: a node that has been unlinked keeps its
// links, and RCU keeps it until its readers have left. Each of its links leads to the first
// VMA above it that has stayed, or to one before that. A reader goes on while the next VMA begins
// at or below its address, or ends there, so it passes over none that it looks for.
//
// What it leaves out: the lock-free edits of later skip lists; a list that gains levels: it has
// enough for 65530 VMAs (vm.max_map_count).
#pragma once

#include <algorithm>
#include <string>

#include "locks/layout.hpp"
#include "locks/skip_heights.hpp"
#include "locks/types.hpp"
#include "locks/vmas/rcu_nodes.hpp"

namespace faultline::vmas {

struct SkipList {
  template <class P, class V>
  struct Links {};

  template <class P, class V>
  class Container;
};

// `next` and `gap` have `height` levels in use. A gap is the size of the largest hole between the
// node's VMA and that of the next node at that level, and up to the end of the address space where
// there is none. Only editors use gaps and heights.
template <class P, class V>
struct alignas(line_size) SkipListNode {
  static constexpr const char* label = "vmas.skiplist_node";
  static constexpr u32 most_levels = 8;
  static constexpr usize bytes = 192;

  typename P::template atomic<u64> state{live_node};
  typename P::template atomic<V*> vma{nullptr};
  typename P::template atomic<SkipListNode*> next[most_levels];
  typename P::template data<u64> height;
  typename P::template data<u64> gap[most_levels];
};

template <class P, class V>
class SkipList::Container {
  using Node = SkipListNode<P, V>;
  using Memory = RcuNodes<P, Node>;
  static constexpr u32 levels = Node::most_levels;

 public:
  static constexpr bool searchable_under_rcu = true;

  Container() {
    for (auto& next : head_.next) next.store(nullptr, std::memory_order_relaxed);
    head_.height.store(levels);
    for (auto& gap : head_.gap) gap.store(address_space_end - lowest_address);
  }

  V* first() const { return find(lowest_address); }
  V* last() const {
    return vma_of(*last_where([](Range) { return true; }));
  }
  V* next(const V& vma) const { return find(vma.range().end); }
  V* previous(const V& vma) const {
    const u64 start = vma.range().start;
    return vma_of(*last_where([&](Range range) { return range.start < start; }));
  }

  V* find(u64 address) const {
    const Node* node = follow(*last_where([&](Range range) { return range.end <= address; }), 0);
    // An edit may have linked another node there meanwhile.
    while (node != nullptr && vma_of(*node)->range().end <= address) node = follow(*node, 0);
    return node == nullptr ? nullptr : vma_of(*node);
  }

  V* find_rcu(u64 address) const {
    V* vma = vma_of(*last_where([&](Range range) { return range.start <= address; }));
    return vma != nullptr && vma->range().contains(address) ? vma : nullptr;
  }

  // A walk in ascending order, within one read section of RCU. Each step searches from the head, so
  // that it sees what came before it.
  class Walk {
   public:
    Walk(const Container& list, u64 address) : list_(list), position_(address) {}
    V* next() {
      V* vma = list_.find(position_);
      // The end may have moved down meanwhile. The walk does not go back.
      if (vma != nullptr) position_ = std::max(position_, vma->range().end);
      return vma;
    }

   private:
    const Container& list_;
    u64 position_;
  };

  u64 find_gap(u64 length) const {
    const Node* node = &head_;
    const Node* stop = nullptr;
    for (u32 level = levels; level-- > 0;) {
      // The last link under `stop` that has such a hole.
      const Node* best = nullptr;
      for (const Node* at = node; at != stop; at = load(*at, level))
        if (at->gap[level].load() >= length) best = at;
      if (best == nullptr) return 0;  // at the highest level, or at none
      node = best;
      stop = load(*best, level);
    }
    const u64 end = stop == nullptr ? address_space_end : vma_of(*stop)->range().start;
    return end - length;
  }

  void insert(V& vma) {
    Way way = way_to(vma.range().start);
    Node* node = memory_.take();
    const u32 height = heights_.draw(levels);
    // relaxed, both: link publishes them.
    node->vma.store(&vma, std::memory_order_relaxed);
    for (u32 level = 0; level < height; ++level)
      node->next[level].store(load(*way.nodes[level], level), std::memory_order_relaxed);
    node->height.store(height);
    for (u32 level = 0; level < height; ++level) link(*way.nodes[level], level, node);
    renew_gaps(way, node);
  }

  void erase(V& vma) {
    Way way = way_to(vma.range().start);
    Node* node = load(*way.nodes[0], 0);
    for (u32 level = static_cast<u32>(node->height.load()); level-- > 0;)
      link(*way.nodes[level], level, load(*node, level));
    renew_gaps(way, nullptr);
    typename Memory::Dead dead;
    dead.add(node);
    memory_.retire(dead);
  }

  void resize(V& vma, Range range) {
    Way way = way_to(vma.range().start);
    vma.set_range(range);
    renew_gaps(way, load(*way.nodes[0], 0));
  }

  void reserve(u64 n) { memory_.reserve(static_cast<u32>(n)); }

  std::string check() const {
    u64 end = lowest_address;
    for (const Node* node = load(head_, 0); node != nullptr; node = load(*node, 0)) {
      const Range range = vma_of(*node)->range();
      if (range.start >= range.end || range.start < end) return "VMAs are not sorted and disjoint";
      // relaxed: all threads are at rest.
      if (node->state.load(std::memory_order_relaxed) != live_node)
        return "a dead node is in the list";
      end = range.end;
    }
    for (u32 level = 0; level < levels; ++level)
      for (const Node* node = &head_; node != nullptr; node = load(*node, level)) {
        if (node->height.load() <= level)
          return "a node is linked at a level that it does not have";
        if (!leads_to_next(*node, level)) return "a link passes over a node of its level";
        if (node->gap[level].load() != gap_under(*node, level)) return "a gap is wrong";
      }
    return "";
  }

 private:
  // relaxed: it does not change while a reader can see the node.
  static V* vma_of(const Node& node) { return node.vma.load(std::memory_order_relaxed); }
  // relaxed: the caller excludes other edits.
  static Node* load(const Node& node, u32 level) {
    return node.next[level].load(std::memory_order_relaxed);
  }
  // acquire: pairs with the release in link. The reader sees the node as it was linked.
  static const Node* follow(const Node& node, u32 level) {
    return node.next[level].load(std::memory_order_acquire);
  }
  static void link(Node& before, u32 level, Node* node) {
    // release: pairs with the acquire of follow.
    before.next[level].store(node, std::memory_order_release);
  }

  // The last node whose VMA's range is `low`, as all those below it are, or the head.
  template <class F>
  const Node* last_where(const F& low) const {
    const Node* node = &head_;
    for (u32 level = levels; level-- > 0;)
      for (const Node* next = follow(*node, level); next != nullptr && low(vma_of(*next)->range());
           next = follow(*node, level))
        node = next;
    return node;
  }

  // At each level, the last node whose VMA begins below the address.
  struct Way {
    Node* nodes[levels];
  };
  Way way_to(u64 address) {
    Way way;
    Node* node = &head_;
    for (u32 level = levels; level-- > 0;) {
      for (Node* next = load(*node, level);
           next != nullptr && vma_of(*next)->range().start < address; next = load(*node, level))
        node = next;
      way.nodes[level] = node;
    }
    return way;
  }

  static u64 end_of(const Node& node) {
    return vma_of(node) == nullptr ? lowest_address : vma_of(node)->range().end;
  }
  // The largest hole under a link, from what is known of the level below.
  static u64 gap_under(const Node& node, u32 level) {
    const Node* next = load(node, level);
    if (level == 0) {
      const u64 end = next == nullptr ? address_space_end : vma_of(*next)->range().start;
      return end - end_of(node);
    }
    u64 gap = 0;
    for (const Node* at = &node; at != next; at = load(*at, level - 1))
      gap = std::max(gap, at->gap[level - 1].load());
    return gap;
  }
  // Corrects the gaps of the links that lead to the node's place, and its own.
  static void renew_gaps(const Way& way, Node* node) {
    for (u32 level = 0; level < levels; ++level) {
      Node& before = *way.nodes[level];
      before.gap[level].store(gap_under(before, level));
      if (node != nullptr && level < node->height.load())
        node->gap[level].store(gap_under(*node, level));
    }
  }
  // Whether no node between this one and the next of the level has the level.
  static bool leads_to_next(const Node& node, u32 level) {
    const Node* next = load(node, level);
    for (const Node* at = load(node, 0); at != next; at = load(*at, 0))
      if (at == nullptr || at->height.load() > level) return false;
    return true;
  }

  Node head_;
  SkipHeights<P> heights_;
  // Apart from the head, which every look-up reads.
  alignas(line_size) Memory memory_;
};

}  // namespace faultline::vmas
