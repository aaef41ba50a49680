// VMAs in a red-black tree, whose nodes know the largest gap of their subtree, and in a doubly
// linked list, as Linux kept them until 6.0 (include/linux/mm_types.h, mm/mmap.c of 5.x).
#pragma once

#include <algorithm>
#include <string>

#include "locks/rbtree.hpp"
#include "locks/types.hpp"

namespace faultline::vmas {

struct RbTree {
  template <class P, class V>
  struct Links {
    RbLinks<P, V> tree;
    // Bytes between the VMA before and this one.
    typename P::template data<u64> gap;
    // The largest gap of the subtree. It is an atomic only because VMAs are recycled while readers
    // under RCU look at them.
    typename P::template atomic<u64> largest_gap{0};
    typename P::template data<V*> previous;
    typename P::template data<V*> next;
  };

  template <class P, class V>
  class Container;
};

template <class P, class V>
class RbTree::Container {
 public:
  static constexpr bool searchable_under_rcu = true;

  V* first() const { return tree_.first(); }
  V* last() const { return tree_.last(); }
  static V* next(const V& vma) { return vma.links.next.load(); }
  static V* previous(const V& vma) { return vma.links.previous.load(); }

  V* find(u64 address) const {
    V* best = nullptr;
    for (V* node = tree_.root(); node != nullptr;) {
      const Range range = node->range();
      if (range.end <= address) {
        node = Tree::right(node);
        continue;
      }
      best = node;
      if (range.start <= address) break;
      node = Tree::left(node);
    }
    return best;
  }

  // Misses a VMA that a rotation hides, and gives up after max_rcu_steps.
  V* find_rcu(u64 address) const {
    V* node = tree_.root_rcu();
    for (u32 step = 0; node != nullptr && step < max_rcu_steps; ++step) {
      const Range range = node->range();
      if (range.contains(address)) return node;
      node = range.end <= address ? Tree::right_rcu(node) : Tree::left_rcu(node);
    }
    return nullptr;
  }

  u64 find_gap(u64 length) const {
    const V* highest = last();
    const u64 top = highest == nullptr ? lowest_address : highest->range().end;
    if (address_space_end - top >= length) return address_space_end - length;
    V* node = tree_.root();
    if (largest_gap(node) < length) return 0;
    for (;;) {
      if (largest_gap(Tree::right(node)) >= length)
        node = Tree::right(node);
      else if (node->links.gap.load() >= length)
        return node->range().start - length;
      else
        node = Tree::left(node);
    }
  }

  void insert(V& vma) {
    V* after = find(vma.range().start);
    V* before = after == nullptr ? last() : previous(*after);
    vma.links.previous.store(before);
    vma.links.next.store(after);
    if (before != nullptr) before->links.next.store(&vma);
    if (after != nullptr) after->links.previous.store(&vma);
    vma.links.gap.store(gap_below(vma));
    tree_.insert(&vma);
    renew_gap(after);
  }

  void erase(V& vma) {
    V* before = previous(vma);
    V* after = next(vma);
    tree_.erase(&vma);
    if (before != nullptr) before->links.next.store(after);
    if (after != nullptr) after->links.previous.store(before);
    renew_gap(after);
  }

  void resize(V& vma, Range range) {
    vma.set_range(range);
    renew_gap(&vma);
    renew_gap(next(vma));
  }

  // An insert needs no memory beyond the VMA's links.
  static void reserve(u64) {}

  std::string check() const {
    if (std::string error = tree_.check(); !error.empty()) return error;
    u64 end = lowest_address;
    V* before = nullptr;
    V* in_order = tree_.first();
    for (V* vma = in_order; vma != nullptr; vma = next(*vma)) {
      const Range range = vma->range();
      if (vma != in_order) return "the list and the tree of VMAs differ";
      if (range.start >= range.end || range.start < end) return "VMAs are not sorted and disjoint";
      if (previous(*vma) != before) return "the list of VMAs has a wrong back link";
      if (vma->links.gap.load() != range.start - end) return "a VMA's gap is wrong";
      end = range.end;
      before = vma;
      in_order = Tree::next(vma);
    }
    return in_order == nullptr ? "" : "the list of VMAs is shorter than the tree";
  }

 private:
  // Four times the height of a tree of 65530 VMAs (vm.max_map_count).
  static constexpr u32 max_rcu_steps = 128;

  struct Traits;
  using Tree = faultline::RbTree<P, V, Traits>;
  struct Traits {
    static RbLinks<P, V>& links(V& vma) { return vma.links.tree; }
    static u64 key(const V& vma) { return vma.range().start; }
    static bool update(V& vma) {
      u64 largest = vma.links.gap.load();
      for (const V* child : {Tree::left(&vma), Tree::right(&vma)})
        largest = std::max(largest, largest_gap(child));
      // relaxed: only holders of the tree's lock read it.
      if (vma.links.largest_gap.load(std::memory_order_relaxed) == largest) return false;
      vma.links.largest_gap.store(largest, std::memory_order_relaxed);
      return true;
    }
  };

  static u64 largest_gap(const V* vma) {
    // relaxed: only holders of the tree's lock read it.
    return vma == nullptr ? 0 : vma->links.largest_gap.load(std::memory_order_relaxed);
  }

  static u64 gap_below(const V& vma) {
    const V* before = previous(vma);
    return vma.range().start - (before == nullptr ? lowest_address : before->range().end);
  }

  void renew_gap(V* vma) {
    if (vma == nullptr) return;
    const u64 gap = gap_below(*vma);
    if (vma->links.gap.load() == gap) return;
    vma->links.gap.store(gap);
    tree_.propagate(vma);
  }

  Tree tree_;
};

}  // namespace faultline::vmas
