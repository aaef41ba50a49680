// VMAs in a Bonsai tree: a weight-balanced binary tree that readers search under RCU without a lock
// (Clements, Kaashoek and Zeldovich: Scalable address spaces using RCU balanced trees, ASPLOS
// 2012). The balance is that of Hirai and Yamamoto (Balancing weight-balanced trees, Journal of
// Functional Programming 21, 2011), whose parameters are proved to hold after every insert and
// erase.
//
// A node leads to its VMA and to two children. It is not part of the VMA, since a VMA is for a
// moment in an old and in a new node. Every edit that readers see is one store to one link, which
// replaces a subtree by another one. A rotation makes the two or three nodes whose children change
// anew. All other nodes stay: the sizes and gaps above, which no reader looks at, are written in
// place. So an edit makes few nodes, and the old ones are freed by RCU.
//
// Why no reader misses a VMA that is there all the time: each such store replaces a subtree by one
// with the same VMAs, but for the one that comes or goes. So whatever link a reader follows, dead
// or alive, the subtree below has all VMAs of its place that stay. To erase a VMA with two
// children, the next VMA takes its node's place. That moves a VMA up, so all nodes from its old
// place to its new one are made anew, and a reader in the old ones finds it where it was.
//
// What it leaves out: the paper's fault handlers, which are schemes.
#pragma once

#include <algorithm>
#include <string>

#include "locks/layout.hpp"
#include "locks/types.hpp"
#include "locks/vmas/rcu_nodes.hpp"

namespace faultline::vmas {

struct Bonsai {
  template <class P, class V>
  struct Links {};

  template <class P, class V>
  class Container;
};

// `size`, `first`, `end` and `gap` describe the subtree: its VMAs, its lowest and highest address,
// and the largest hole between two of its VMAs. Only editors use them.
template <class P, class V>
struct alignas(line_size) BonsaiNode {
  static constexpr const char* label = "vmas.bonsai_node";
  static constexpr usize bytes = line_size;

  typename P::template atomic<u64> state{live_node};
  typename P::template atomic<BonsaiNode*> left{nullptr};
  typename P::template atomic<BonsaiNode*> right{nullptr};
  typename P::template atomic<V*> vma{nullptr};
  typename P::template data<u64> size;
  typename P::template data<u64> first;
  typename P::template data<u64> end;
  typename P::template data<u64> gap;
};

template <class P, class V>
class Bonsai::Container {
  using Node = BonsaiNode<P, V>;
  using Link = typename P::template atomic<Node*>;
  using Memory = RcuNodes<P, Node>;

 public:
  static constexpr bool searchable_under_rcu = true;

  V* first() const { return find(lowest_address); }
  V* last() const {
    V* best = nullptr;
    for (const Node* node = load(root_); node != nullptr; node = load(node->right))
      best = vma_of(*node);
    return best;
  }
  V* next(const V& vma) const { return find(vma.range().end); }
  V* previous(const V& vma) const {
    const u64 start = vma.range().start;
    V* best = nullptr;
    for (const Node* node = load(root_); node != nullptr;) {
      const bool below = vma_of(*node)->range().start < start;
      if (below) best = vma_of(*node);
      node = load(below ? node->right : node->left);
    }
    return best;
  }

  V* find(u64 address) const {
    V* best = nullptr;
    // acquire, both: pairs with the release in publish, for a walk. A holder of the lock needs
    // none.
    for (const Node* node = root_.load(std::memory_order_acquire); node != nullptr;) {
      V* vma = vma_of(*node);
      const Range range = vma->range();
      if (range.end > address) best = vma;
      if (range.contains(address)) break;
      node = (range.end > address ? node->left : node->right).load(std::memory_order_acquire);
    }
    return best;
  }

  V* find_rcu(u64 address) const {
    // acquire, both: pairs with the release in publish. The reader sees the node as published.
    for (const Node* node = root_.load(std::memory_order_acquire); node != nullptr;) {
      V* vma = vma_of(*node);
      const Range range = vma->range();
      if (range.contains(address)) return vma;
      node = (range.end > address ? node->left : node->right).load(std::memory_order_acquire);
    }
    return nullptr;
  }

  // A walk in ascending order, within one read section of RCU. Each step searches from the root, so
  // that it sees what came before it.
  class Walk {
   public:
    Walk(const Container& tree, u64 address) : tree_(tree), position_(address) {}
    V* next() {
      V* vma = tree_.find(position_);
      // The end may have moved down meanwhile. The walk does not go back.
      if (vma != nullptr) position_ = std::max(position_, vma->range().end);
      return vma;
    }

   private:
    const Container& tree_;
    u64 position_;
  };

  u64 find_gap(u64 length) const {
    const Node* node = load(root_);
    const u64 top = node == nullptr ? lowest_address : node->end.load();
    if (address_space_end - top >= length) return address_space_end - length;
    if (node == nullptr) return 0;
    if (node->gap.load() < length) {
      const u64 low = node->first.load();
      return low - lowest_address >= length ? low - length : 0;
    }
    return gap_below(*node, length);
  }

  void insert(V& vma) {
    Path path = path_to(vma.range().start);
    publish(*path.links[path.length], make(&vma, nullptr, nullptr));
    balance(path);
  }

  void erase(V& vma) {
    Path path = path_to(vma.range().start);
    Dead dead;
    Link& place = *path.links[--path.length];
    Node* old = load(place);
    dead.add(old);
    Node *left = load(old->left), *right = load(old->right);
    if (left == nullptr || right == nullptr)
      publish(place, left == nullptr ? right : left);
    else
      move_next_up(path, old, dead);
    memory_.retire(dead);
    balance(path);
  }

  void resize(V& vma, Range range) {
    const Path path = path_to(vma.range().start);
    vma.set_range(range);
    for (u32 i = path.length; i-- > 0;) describe(*load(*path.links[i]));
  }

  // An insert makes a node, and two or three for a rotation. Rarely it takes more rotations, and
  // then it may allocate.
  void reserve(u64 n) { memory_.reserve(static_cast<u32>(4 * n)); }

  std::string check() const {
    u64 end = lowest_address;
    return check_subtree(load(root_), end);
  }

 private:
  using Dead = typename Memory::Dead;
  // A subtree weighs one more than it has VMAs. A node weighs at most `delta` times its sibling,
  // and one rotation is enough where the inner grandchild weighs less than `ratio` times the outer
  // one.
  static constexpr u64 delta = 3;
  static constexpr u64 ratio = 2;
  // With weights of 3 to 1, a tree of 65530 VMAs (vm.max_map_count) has at most 39 levels.
  static constexpr u32 max_height = 48;
  static_assert(Dead::most > max_height);

  // relaxed: the caller excludes other edits.
  static Node* load(const Link& link) { return link.load(std::memory_order_relaxed); }
  // relaxed: it does not change while a reader can see the node.
  static V* vma_of(const Node& node) { return node.vma.load(std::memory_order_relaxed); }
  static u64 weight(const Node* node) { return node == nullptr ? 1 : node->size.load() + 1; }

  // release: pairs with the acquire of find_rcu and of a walk.
  static void publish(Link& link, Node* node) { link.store(node, std::memory_order_release); }

  // The links on the way from the root to the VMA that starts at the address, or to its place:
  // links[0] is the root's, links[length] the first that is null, or the one below the VMA's.
  struct Path {
    Link* links[max_height + 1];
    u32 length = 0;
    void add(Link& link) { links[++length] = &link; }
  };
  Path path_to(u64 start) {
    Path path;
    path.links[0] = &root_;
    for (Node* node = load(root_); node != nullptr; node = load(*path.links[path.length])) {
      const u64 here = vma_of(*node)->range().start;
      path.add(start < here ? node->left : node->right);
      if (start == here) break;
    }
    return path;
  }

  // What a node says of its subtree.
  struct Summary {
    u64 size, first, end, gap;
    bool operator==(const Summary&) const = default;
  };
  static Summary summary_below(const Node& node) {
    const Node *left = load(node.left), *right = load(node.right);
    const Range range = vma_of(node)->range();
    Summary summary{weight(left) + weight(right) - 1, range.start, range.end, 0};
    if (left != nullptr) {
      summary.first = left->first.load();
      summary.gap = std::max(left->gap.load(), range.start - left->end.load());
    }
    if (right != nullptr) {
      summary.end = right->end.load();
      summary.gap = std::max({summary.gap, right->gap.load(), right->first.load() - range.end});
    }
    return summary;
  }
  static void describe(Node& node) {
    const Summary summary = summary_below(node);
    node.size.store(summary.size);
    node.first.store(summary.first);
    node.end.store(summary.end);
    node.gap.store(summary.gap);
  }

  Node* make(V* vma, Node* left, Node* right) {
    Node* node = memory_.take();
    node->vma.store(vma, std::memory_order_relaxed);  // relaxed, all three: publish orders them
    node->left.store(left, std::memory_order_relaxed);
    node->right.store(right, std::memory_order_relaxed);
    describe(*node);
    return node;
  }

  // Corrects the nodes of the path from below, and rotates where one child is too heavy.
  void balance(const Path& path) {
    for (u32 i = path.length; i-- > 0;) {
      Link& place = *path.links[i];
      Node& node = *load(place);
      describe(node);
      const u64 left = weight(load(node.left)), right = weight(load(node.right));
      if (right > delta * left)
        rotate(place, node, &Node::right, &Node::left);
      else if (left > delta * right)
        rotate(place, node, &Node::left, &Node::right);
    }
  }

  // A child, by its side. The other side is the light one.
  using Side = Link Node::*;
  Node* make(V* vma, Node* outer, Node* inner, Side heavy) {
    return heavy == &Node::left ? make(vma, outer, inner) : make(vma, inner, outer);
  }
  void rotate(Link& place, Node& node, Side heavy, Side light) {
    Dead dead;
    Node& child = *load(node.*heavy);
    Node* outer = load(child.*heavy);
    Node* inner = load(child.*light);
    Node* other = load(node.*light);
    dead.add(&node);
    dead.add(&child);
    if (weight(inner) < ratio * weight(outer)) {
      Node* down = make(vma_of(node), inner, other, heavy);
      publish(place, make(vma_of(child), outer, down, heavy));
    } else {
      dead.add(inner);
      Node* down = make(vma_of(node), load(inner->*light), other, heavy);
      Node* kept = make(vma_of(child), outer, load(inner->*heavy), heavy);
      publish(place, make(vma_of(*inner), kept, down, heavy));
    }
    memory_.retire(dead);
  }

  // Replaces `old`, at the end of the path, by a node with the next VMA, and makes the nodes on the
  // way to that VMA's old place anew. The path then ends at that place.
  void move_next_up(Path& path, Node* old, Dead& dead) {
    Node* spine[max_height];
    u32 count = 0;
    for (Node* node = load(old->right); node != nullptr; node = load(node->left)) {
      spine[count++] = node;
      dead.add(node);
    }
    const Node* next = spine[--count];
    Node* below = load(next->right);
    for (u32 i = count; i-- > 0;) below = make(vma_of(*spine[i]), below, load(spine[i]->right));
    Node* fresh = make(vma_of(*next), load(old->left), below);
    publish(*path.links[path.length], fresh);
    path.add(fresh->right);
    for (; count > 0; --count, below = load(below->left)) path.add(below->left);
  }

  // The highest hole of that length between two VMAs of the subtree, which has one.
  static u64 gap_below(const Node& root, u64 length) {
    for (const Node* node = &root;;) {
      const Node *left = load(node->left), *right = load(node->right);
      const Range range = vma_of(*node)->range();
      if (right != nullptr && right->gap.load() >= length)
        node = right;
      else if (right != nullptr && right->first.load() - range.end >= length)
        return right->first.load() - length;
      else if (left != nullptr && range.start - left->end.load() >= length)
        return range.start - length;
      else
        node = left;
    }
  }

  // `end` is the end of the VMA before, and becomes that of the last one.
  static std::string check_subtree(const Node* node, u64& end) {
    if (node == nullptr) return "";
    const Node *left = load(node->left), *right = load(node->right);
    if (std::string error = check_subtree(left, end); !error.empty()) return error;
    const Range range = vma_of(*node)->range();
    if (range.start >= range.end || range.start < end) return "VMAs are not sorted and disjoint";
    end = range.end;
    if (std::string error = check_subtree(right, end); !error.empty()) return error;
    if (weight(left) > delta * weight(right) || weight(right) > delta * weight(left))
      return "a node's children differ too much in weight";
    // relaxed: all threads are at rest.
    if (node->state.load(std::memory_order_relaxed) != live_node)
      return "a dead node is in the tree";
    const Summary known{node->size.load(), node->first.load(), node->end.load(), node->gap.load()};
    return known == summary_below(*node) ? "" : "a node describes its subtree wrongly";
  }

  Link root_{nullptr};
  // Apart from the root, which every look-up reads.
  alignas(line_size) Memory memory_;
};

}  // namespace faultline::vmas
