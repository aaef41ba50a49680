// Container 1: VMAs in a red-black tree that knows the largest gap below each node, and in a doubly
// linked list, as Linux kept them until 6.1 (include/linux/mm_types.h, mm/mmap.c of 5.x).
#pragma once

#include <string>

#include "locks/address_space/rbtree.hpp"
#include "locks/address_space/types.hpp"

namespace faultline {

// A mapping. Bounds, protection and flags are atomics, since a look-up under RCU may read them
// while a writer edits; who may edit is the scheme's affair. `State` is what a scheme keeps in each
// VMA (refcount: the count and the sequence).
template <class P, class State>
struct alignas(cache_line) Vma {
  // The state names itself, if it must be told apart.
  Vma() {
    P::label(this, "vma");
    if constexpr (requires { state().label(); }) state().label();
  }
  typename P::template atomic<u64> start{0};
  typename P::template atomic<u64> end{0};
  typename P::template atomic<u32> prot{0};
  typename P::template atomic<u32> flags{0};
  typename P::template atomic<u64> anon_vma{
      0};  // 0 until the first anonymous write; VMAs with different ones do not merge
  typename P::template atomic<u32> attached{0};  // in the tree: read by the oracle
  RbLinks<P, Vma> links;
  typename P::template data<u64> gap;               // between the VMA before and this one
  typename P::template atomic<u64> largest_gap{0};  // of this one's subtree
  typename P::template data<Vma*> previous;
  typename P::template data<Vma*> next;
  Vma* next_free = nullptr;
  // What the scheme keeps here: what is mostly read, and what faults write.
  [[no_unique_address]] typename State::MostlyRead mostly_read;
  [[no_unique_address]] typename State::Hot hot;

  State state() { return State(hot, mostly_read); }

  // relaxed: the caller holds what keeps the bounds still, or re-checks them (refcount).
  Range range() const {
    return {start.load(std::memory_order_relaxed), end.load(std::memory_order_relaxed)};
  }
  bool permits(Access access) const {
    return prot_permits(prot.load(std::memory_order_relaxed), access);  // relaxed: as in range()
  }
  bool has(u32 flag) const {
    // relaxed: as in range(). Flags stay what the VMA was mapped with, but range_lock clears the
    // mark of a reservation under its structure lock.
    return (flags.load(std::memory_order_relaxed) & flag) != 0;
  }
  // Whether a write makes a page of the process's own, which needs an anon_vma to find it by.
  bool privately_written(Access access) const {
    return !has(map_shared) && (access == Access::write || !has(map_file));
  }
};

// All edits under the caller's exclusion; look-ups too, but find_rcu.
template <class P, class State>
class VmaTree {
 public:
  using V = Vma<P, State>;

  V* first() const { return tree_.first(); }
  V* last() const { return tree_.last(); }

  // The first VMA that ends above `address`, or null: it contains `address` or is the next one.
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

  // The VMA that contains `address` as far as a reader under RCU can tell: null may be a miss
  // during a rotation or `max_steps` spent, and a VMA that is found may already be another one. The
  // caller re-checks.
  V* find_rcu(u64 address, u32 max_steps) const {
    V* node = tree_.root_rcu();
    for (u32 step = 0; node != nullptr && step < max_steps; ++step) {
      const Range range = node->range();
      if (range.contains(address)) return node;
      node = range.end <= address ? Tree::right_rcu(node) : Tree::left_rcu(node);
    }
    return nullptr;
  }

  // The highest hole of `length` bytes in [lowest_address, address_space_end); its start, or 0.
  u64 find_gap(u64 length) const {
    const V* last = tree_.last();
    const u64 top = last == nullptr ? lowest_address : last->range().end;
    if (address_space_end - top >= length) return address_space_end - length;
    V* node = tree_.root();
    if (largest_gap(node) < length) return 0;
    for (;;) {
      if (largest_gap(Tree::right(node)) >= length)
        node = Tree::right(node);
      else if (node->gap.load() >= length)
        return node->range().start - length;
      else
        node = Tree::left(node);
    }
  }

  // The VMA's bounds are set and overlap no other's.
  void insert(V* vma) {
    const Range range = vma->range();
    V* after = find(range.start);
    V* before = after == nullptr ? tree_.last() : after->previous.load();
    vma->previous.store(before);
    vma->next.store(after);
    if (before != nullptr) before->next.store(vma);
    if (after != nullptr) after->previous.store(vma);
    vma->gap.store(gap_below(*vma));
    tree_.insert(vma);
    renew_gap(after);
    // relaxed, here and in erase: the oracle reads it under the scheme's own protection.
    vma->attached.store(1, std::memory_order_relaxed);
  }

  void erase(V* vma) {
    vma->attached.store(0, std::memory_order_relaxed);
    V* before = vma->previous.load();
    V* after = vma->next.load();
    tree_.erase(vma);
    if (before != nullptr) before->next.store(after);
    if (after != nullptr) after->previous.store(before);
    renew_gap(after);
  }

  // Moves a VMA's edges within the holes beside it.
  void set_bounds(V* vma, Range range) {
    // relaxed: readers under RCU re-check after they have locked the VMA.
    vma->start.store(range.start, std::memory_order_relaxed);
    vma->end.store(range.end, std::memory_order_relaxed);
    renew_gap(vma);
    renew_gap(vma->next.load());
  }

  // With all threads at rest: what is wrong, or nothing.
  std::string check() const {
    if (std::string error = tree_.check(); !error.empty()) return error;
    u64 end = lowest_address;
    V* before = nullptr;
    V* in_order = tree_.first();
    for (V* vma = in_order; vma != nullptr; vma = vma->next.load()) {
      const Range range = vma->range();
      if (vma != in_order) return "the list and the tree of VMAs differ";
      if (range.start >= range.end || range.start < end) return "VMAs are not sorted and disjoint";
      if (vma->previous.load() != before) return "the list of VMAs has a wrong back link";
      if (vma->gap.load() != range.start - end) return "a VMA's gap is wrong";
      if (vma->attached.load(std::memory_order_relaxed) == 0)
        return "a VMA in the tree is marked detached";
      end = range.end;
      before = vma;
      in_order = Tree::next(vma);
    }
    return in_order == nullptr ? "" : "the list of VMAs is shorter than the tree";
  }

 private:
  struct Traits {
    static RbLinks<P, V>& links(V& vma) { return vma.links; }
    static u64 key(const V& vma) { return vma.range().start; }
    static bool update(V& vma) {
      u64 largest = vma.gap.load();
      for (const V* child : {Tree::left(&vma), Tree::right(&vma)})
        if (largest_gap(child) > largest) largest = largest_gap(child);
      // relaxed: only holders of the tree read it.
      if (vma.largest_gap.load(std::memory_order_relaxed) == largest) return false;
      vma.largest_gap.store(largest, std::memory_order_relaxed);
      return true;
    }
  };
  using Tree = RbTree<P, V, Traits>;

  static u64 largest_gap(const V* vma) {
    return vma == nullptr ? 0 : vma->largest_gap.load(std::memory_order_relaxed);
  }

  static u64 gap_below(const V& vma) {
    const V* before = vma.previous.load();
    return vma.range().start - (before == nullptr ? lowest_address : before->range().end);
  }

  void renew_gap(V* vma) {
    if (vma == nullptr) return;
    const u64 gap = gap_below(*vma);
    if (vma->gap.load() == gap) return;
    vma->gap.store(gap);
    tree_.propagate(vma);
  }

  Tree tree_;
};

}  // namespace faultline
