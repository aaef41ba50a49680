// An intrusive red-black tree whose nodes carry a value computed from their subtree: the largest
// gap for VMAs, the greatest end for ranges. Algorithm: Cormen, Leiserson, Rivest, Stein,
// "Introduction to Algorithms", chapter 13, and chapter 14 for the augmentation. Null pointers
// replace the sentinel, which would be one cache line that all erasures write.
//
// One writer at a time edits, under the caller's lock. Readers under RCU may descend by the `_rcu`
// accessors while a writer rotates. The order in which children are stored leaves no loop in the
// tree at any moment. But a descent can miss a node that is in the tree, and new rotations can
// mislead it again and again. So a reader bounds its steps, and after a miss it asks again under
// the lock. `parent`, `next` and `prev` are for holders of the lock.
#pragma once

#include <string>

#include "locks/platform.hpp"

namespace faultline {

// The links embedded in each node. Colour and parent are plain data, since only holders of the
// tree's lock touch them. An erased node keeps its children, for the readers that have reached it.
template <class P, class Node>
struct RbLinks {
  typename P::template atomic<Node*> left{nullptr};
  typename P::template atomic<Node*> right{nullptr};
  typename P::template data<Node*> parent;
  typename P::template data<bool> red;
};

// Traits:
//   static RbLinks<P, Node>& links(Node&)
//   static u64 key(const Node&)     the order; equal keys stay in the order of insertion
//   static bool update(Node&)       recomputes the node's value from the node and its children's
//                                   values (RbTree::left and right), answers whether it changed
template <class P, class Node, class Traits>
class RbTree {
 public:
  RbTree() = default;
  RbTree(const RbTree&) = delete;
  RbTree& operator=(const RbTree&) = delete;

  // relaxed, here and in left and right: the caller holds the lock that orders all writers.
  Node* root() const { return root_.load(std::memory_order_relaxed); }
  static Node* left(Node* node) {
    return Traits::links(*node).left.load(std::memory_order_relaxed);
  }
  static Node* right(Node* node) {
    return Traits::links(*node).right.load(std::memory_order_relaxed);
  }
  static Node* parent(Node* node) { return Traits::links(*node).parent.load(); }

  // acquire, in all three: pairs with the release stores of set_left, set_right and set_root. A
  // reader sees the node behind the pointer as it was when published, or newer.
  Node* root_rcu() const { return root_.load(std::memory_order_acquire); }
  static Node* left_rcu(Node* node) {
    return Traits::links(*node).left.load(std::memory_order_acquire);
  }
  static Node* right_rcu(Node* node) {
    return Traits::links(*node).right.load(std::memory_order_acquire);
  }

  bool empty() const { return root() == nullptr; }

  // The node of least key, or null. The tree caches it, so this takes O(1).
  Node* first() const { return first_.load(); }

  // The node of greatest key, or null.
  Node* last() const {
    Node* node = root();
    while (node != nullptr && right(node) != nullptr) node = right(node);
    return node;
  }

  static Node* next(Node* node) {
    if (Node* child = right(node)) return leftmost(child);
    Node* up = parent(node);
    while (up != nullptr && node == right(up)) {
      node = up;
      up = parent(up);
    }
    return up;
  }

  static Node* prev(Node* node) {
    if (Node* child = left(node)) {
      while (right(child) != nullptr) child = right(child);
      return child;
    }
    Node* up = parent(node);
    while (up != nullptr && node == left(up)) {
      node = up;
      up = parent(up);
    }
    return up;
  }

  // The first node whose key is not below `key`, or null.
  Node* lower_bound(u64 key) const {
    Node* found = nullptr;
    for (Node* node = root(); node != nullptr;) {
      if (Traits::key(*node) < key) {
        node = right(node);
      } else {
        found = node;
        node = left(node);
      }
    }
    return found;
  }

  // The last node whose key is not above `key`, or null.
  Node* floor(u64 key) const {
    Node* found = nullptr;
    for (Node* node = root(); node != nullptr;) {
      if (Traits::key(*node) > key) {
        node = left(node);
      } else {
        found = node;
        node = right(node);
      }
    }
    return found;
  }

  // The caller has set the node's key and all other fields of the node that update() reads.
  void insert(Node* node) {
    Node* up = nullptr;
    bool at_left = false;
    bool least = true;
    for (Node* at = root(); at != nullptr;) {
      up = at;
      at_left = Traits::key(*node) < Traits::key(*at);
      least = least && at_left;
      at = at_left ? left(at) : right(at);
    }
    set_left(node, nullptr);
    set_right(node, nullptr);
    set_parent(node, up);
    set_red(node, true);
    Traits::update(*node);
    if (up == nullptr) {
      set_root(node);
    } else if (at_left) {
      set_left(up, node);
    } else {
      set_right(up, node);
    }
    if (least) first_.store(node);
    if (up != nullptr) propagate(up);
    rebalance_after_insert(node);
  }

  void erase(Node* node) {
    if (first() == node) first_.store(next(node));
    Node* gap = nullptr;         // the node that took the erased node's place in the tree
    Node* gap_parent = nullptr;  // its parent, which is known even where `gap` is null
    bool black_lost = !is_red(node);
    if (left(node) == nullptr || right(node) == nullptr) {
      gap = left(node) != nullptr ? left(node) : right(node);
      gap_parent = parent(node);
      transplant(node, gap);
    } else {
      Node* heir = leftmost(right(node));
      black_lost = !is_red(heir);
      gap = right(heir);
      gap_parent = parent(heir) == node ? heir : parent(heir);
      replace_by_heir(node, heir);
    }
    // This goes up to the root, whatever update() answers, since the heir's old value belongs to
    // its old place.
    for (Node* at = gap_parent; at != nullptr; at = parent(at)) Traits::update(*at);
    if (black_lost) rebalance_after_erase(gap, gap_parent);
  }

  // The caller calls this after it has changed a field of `node` that update() reads.
  void propagate(Node* node) {
    while (node != nullptr && Traits::update(*node)) node = parent(node);
  }

  // For tests and the oracle, under the lock: answers an empty string, or the first thing wrong
  // with colours, links, order, values or the cached first node.
  std::string check() const {
    if (root() == nullptr) return first() == nullptr ? "" : "empty tree has a first node";
    if (parent(root()) != nullptr) return "the root has a parent";
    if (is_red(root())) return "the root is red";
    if (first() != leftmost(root())) return "the first node is not the leftmost";
    std::string error;
    check_subtree(root(), error);
    for (Node* node = first(); error.empty() && next(node) != nullptr; node = next(node))
      if (Traits::key(*next(node)) < Traits::key(*node)) error = "keys out of order";
    return error;
  }

 private:
  // release, in all three: pairs with the acquire loads of the _rcu accessors and publishes the
  // earlier stores to the node. The tree of a range lock has no readers under RCU and would not
  // need these releases.
  void set_root(Node* node) { root_.store(node, std::memory_order_release); }
  static void set_left(Node* node, Node* child) {
    Traits::links(*node).left.store(child, std::memory_order_release);
  }
  static void set_right(Node* node, Node* child) {
    Traits::links(*node).right.store(child, std::memory_order_release);
  }
  static void set_parent(Node* node, Node* up) { Traits::links(*node).parent.store(up); }
  static void set_red(Node* node, bool red) { Traits::links(*node).red.store(red); }
  static bool is_red(Node* node) { return node != nullptr && Traits::links(*node).red.load(); }

  static Node* leftmost(Node* node) {
    while (left(node) != nullptr) node = left(node);
    return node;
  }

  // Puts `heir`, which may be null, into `node`'s place below `node`'s parent.
  void transplant(Node* node, Node* heir) {
    Node* up = parent(node);
    if (heir != nullptr) set_parent(heir, up);
    if (up == nullptr) {
      set_root(heir);
    } else if (node == left(up)) {
      set_left(up, heir);
    } else {
      set_right(up, heir);
    }
  }

  // `heir` is the least node right of `node` and takes its place and colour. It is unlinked from
  // its old place before it adopts the right subtree; in the other order a reader would find a
  // loop.
  void replace_by_heir(Node* node, Node* heir) {
    if (parent(heir) != node) {
      transplant(heir, right(heir));
      set_right(heir, right(node));
      set_parent(right(heir), heir);
    }
    set_left(heir, left(node));
    set_parent(left(heir), heir);
    set_red(heir, is_red(node));
    transplant(node, heir);
  }

  // Moves the child up into the node's place. The child's inner subtree moves first, for the reason
  // given at replace_by_heir.
  void rotate(Node* node, bool to_left) {
    Node* child = to_left ? right(node) : left(node);
    Node* inner = to_left ? left(child) : right(child);
    if (to_left) {
      set_right(node, inner);
      set_left(child, node);
    } else {
      set_left(node, inner);
      set_right(child, node);
    }
    if (inner != nullptr) set_parent(inner, node);
    transplant(node, child);
    set_parent(node, child);
    // The value of the whole subtree stays the same, so nothing above it changes.
    Traits::update(*node);
    Traits::update(*child);
  }

  void rebalance_after_insert(Node* node) {
    while (is_red(parent(node))) {
      Node* up = parent(node);
      Node* grand = parent(up);  // it exists, since a red node is not the root
      const bool up_is_left = up == left(grand);
      Node* uncle = up_is_left ? right(grand) : left(grand);
      if (is_red(uncle)) {
        set_red(up, false);
        set_red(uncle, false);
        set_red(grand, true);
        node = grand;
        if (parent(node) == nullptr) break;
        continue;
      }
      if (node == (up_is_left ? right(up) : left(up))) {
        rotate(up, up_is_left);
        up = node;
      }
      set_red(up, false);
      set_red(grand, true);
      rotate(grand, !up_is_left);
      break;
    }
    set_red(root(), false);
  }

  // Every path through `node` has one black node too few. `node` may be null, so `up` is its
  // parent.
  void rebalance_after_erase(Node* node, Node* up) {
    while (node != root() && !is_red(node)) {
      const bool is_left = node == left(up);
      // It is not null, since its paths have one black node more.
      Node* sibling = is_left ? right(up) : left(up);
      if (is_red(sibling)) {
        set_red(sibling, false);
        set_red(up, true);
        rotate(up, is_left);
        sibling = is_left ? right(up) : left(up);
      }
      Node* near = is_left ? left(sibling) : right(sibling);
      Node* far = is_left ? right(sibling) : left(sibling);
      if (!is_red(near) && !is_red(far)) {
        set_red(sibling, true);
        node = up;
        up = parent(node);
        continue;
      }
      if (!is_red(far)) {
        set_red(near, false);
        set_red(sibling, true);
        rotate(sibling, !is_left);
        far = sibling;
        sibling = near;
      }
      set_red(sibling, is_red(up));
      set_red(up, false);
      set_red(far, false);
      rotate(up, is_left);
      node = root();
    }
    if (node != nullptr) set_red(node, false);
  }

  // Answers the black height.
  static u32 check_subtree(Node* node, std::string& error) {
    if (node == nullptr || !error.empty()) return 0;
    for (Node* child : {left(node), right(node)}) {
      if (child == nullptr) continue;
      if (parent(child) != node) error = "a child does not know its parent";
      if (is_red(node) && is_red(child)) error = "a red node has a red child";
    }
    const u32 blacks_left = check_subtree(left(node), error);
    const u32 blacks_right = check_subtree(right(node), error);
    if (!error.empty()) return 0;
    if (blacks_left != blacks_right) error = "black heights differ";
    if (Traits::update(*node)) error = "a node's value is not that of its subtree";
    return blacks_left + (is_red(node) ? 0 : 1);
  }

  typename P::template atomic<Node*> root_{nullptr};
  typename P::template data<Node*> first_;
};

}  // namespace faultline
