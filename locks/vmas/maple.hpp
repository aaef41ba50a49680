// VMAs in a maple tree: a B-tree of ranges, which a look-up and a walk read without a lock. Linux
// keeps its VMAs so since 6.1 (lib/maple_tree.c and include/linux/maple_tree.h, read at commit
// 002ebb925e2f).
//
// A node is 256 bytes. A leaf has 16 slots, each with a VMA or null for a hole, and an inner node
// has 10, each with a child and the largest hole below it. A pivot is the last address of its slot.
// The slots cover the address space, and two neighbouring slots are never both null, across nodes
// neither. So each hole is one slot.
//
// An edit stores an entry over a range. Where the number of slots stays, it stores in place, by one
// store: the slot, or the pivot between two slots. Otherwise it copies the leaf. A leaf that is too
// full becomes two, and one that is too empty takes in a sibling. A store that ends in another leaf
// than it begins in (spanning) replaces all leaves in between. Each of the two may change the
// parent's slots, which is then copied in turn, up to the first node where only one slot changes,
// or to the root. One store there publishes all copies. Then the old nodes are marked dead, and
// freed by RCU.
//
// Why no reader misses a VMA that is there all the time: while a node is in the tree, its bounds
// and the number of its slots do not change, and the range of the VMA's slot contains the address
// all the time. So a search through the pivots of live nodes ends at the slot, whichever other
// pivots move meanwhile. A node that has died keeps what it had when it died. A look-up began
// before that, so its answer was true at that moment or later. A walk stays in a leaf from one call
// to the next, and what it finds in a dead leaf may have been false when the call began. So it
// looks for the mark after it has read the slot, and walks again from the root.
//
// What it leaves out: the parent pointers, without which `next` and `previous` search from the root
// (the kernel's iterators stay in their leaf); the check for dead nodes in a single look-up, which
// the kernel needs since a freed node's rcu_head lies over its pivots; the nodes of other types;
// splits that move slots into a sibling with room; entries that one store overwrites beside the
// holes; the rule that no leaf but the last ends with null.
#pragma once

#include <algorithm>
#include <string>
#include <type_traits>

#include "locks/layout.hpp"
#include "locks/types.hpp"
#include "locks/vmas/maple_nodes.hpp"

namespace faultline::vmas {

// `leaf_slots` and `inner_slots` are smaller than Linux's in tests and in the checker.
template <u32 leaf_slots, u32 inner_slots>
struct MapleOf {
  template <class P, class V>
  struct Links {};

  template <class P, class V>
  class Container;
};
using Maple = MapleOf<16, 10>;

template <u32 leaf_slots, u32 inner_slots>
template <class P, class V>
class MapleOf<leaf_slots, inner_slots>::Container {
  using Leaf = MapleLeaf<P, V, leaf_slots>;
  using Inner = MapleInner<P, inner_slots>;

 public:
  static constexpr bool searchable_under_rcu = true;

  V* first() const { return find(lowest_address); }
  V* last() const { return at_or_below(top_address); }
  V* next(const V& vma) const { return find(vma.range().end); }
  V* previous(const V& vma) const {
    const u64 start = vma.range().start;
    return start == lowest_address ? nullptr : at_or_below(start - 1);
  }

  V* find(u64 address) const {
    address = std::max(address, lowest_address);
    while (address <= top_address) {
      const Entry entry = entry_at(address);
      if (entry.vma != nullptr) return entry.vma;
      address = entry.last + 1;
    }
    return nullptr;
  }

  V* find_rcu(u64 address) const {
    if (address < lowest_address || address > top_address) return nullptr;
    // acquire, here and below: pairs with the release in publish and in store_in_place. The reader
    // sees the node, or the VMA, as it was when published, or newer.
    u64 node = root_.load(std::memory_order_acquire);
    if (node == 0) return nullptr;
    while (!is_leaf(node)) {
      const Inner& inner = inner_of(node);
      node = inner.slots[search(inner.pivots, address)].load(std::memory_order_acquire);
    }
    const Leaf& leaf = leaf_of(node);
    return leaf.slots[search(leaf.pivots, address)].load(std::memory_order_acquire);
  }

  // A walk in ascending order, within one read section of RCU.
  class Walk {
   public:
    Walk(const Container& tree, u64 address)
        : tree_(tree), position_(std::max(address, lowest_address)) {}

    // The first VMA that ends above the position, or null; the position moves to its end. A VMA
    // that is there during the whole call is not passed over. One whose edges move meanwhile may be
    // answered twice.
    V* next() {
      while (position_ <= top_address) {
        if (leaf_ == nullptr && !descend()) return nullptr;
        u64 pivot = no_pivot;
        const u32 slot = search(leaf_->pivots, position_, pivot);
        // acquire: pairs with the release in store_in_place and in publish. It also keeps the load
        // of `state` behind.
        V* vma = leaf_->slots[slot].load(std::memory_order_acquire);
        // relaxed: coherence shows the mark to whoever follows the edit that made it. A search from
        // the root after that follows the edit too.
        if (leaf_->state.load(std::memory_order_relaxed) != live_node) {
          leaf_ = nullptr;
          continue;
        }
        const u64 last = std::min(pivot, last_);
        if (last == last_) leaf_ = nullptr;
        position_ = last + 1;
        if (vma != nullptr) return vma;
      }
      return nullptr;
    }

   private:
    // Finds the leaf of the position, and its end. False where the tree has no root yet.
    bool descend() {
      // acquire, here and below: as in find_rcu.
      u64 node = tree_.root_.load(std::memory_order_acquire);
      last_ = top_address;
      if (node == 0) return false;
      while (!is_leaf(node)) {
        const Inner& inner = inner_of(node);
        u64 pivot = no_pivot;
        const u32 slot = search(inner.pivots, position_, pivot);
        last_ = std::min(last_, pivot);
        node = inner.slots[slot].load(std::memory_order_acquire);
      }
      leaf_ = &leaf_of(node);
      return true;
    }

    const Container& tree_;
    u64 position_;
    const Leaf* leaf_ = nullptr;
    u64 last_ = 0;  // the last address of the leaf
  };

  u64 find_gap(u64 length) const {
    u64 node = root();
    if (node == 0)
      return length <= address_space_end - lowest_address ? address_space_end - length : 0;
    u64 first = lowest_address, last = top_address;
    while (!is_leaf(node)) {
      const Inner& inner = inner_of(node);
      u32 slot = last_slot(inner, last);
      while (inner.gaps[slot].load() < length)
        if (slot-- == 0) return 0;
      const u64 end = last_of(inner, slot, last);
      first = first_of(inner, slot, first);
      last = end;
      node = value(inner, slot);
    }
    const Leaf& leaf = leaf_of(node);
    for (u32 slot = last_slot(leaf, last) + 1; slot-- > 0;) {
      const u64 end = last_of(leaf, slot, last) + 1;
      if (value(leaf, slot) == 0 && end - first_of(leaf, slot, first) >= length)
        return end - length;
    }
    return 0;
  }

  void insert(V& vma) {
    if (root() == 0) make_root();
    const Range range = vma.range();
    store(range.start, range.end - 1, &vma);
  }

  void erase(V& vma) {
    const Range range = vma.range();
    clear(range.start, range.end - 1);
  }

  // First the VMA takes all of its old and its new range, then it leaves what it gives up. So a
  // reader finds it in what it keeps.
  void resize(V& vma, Range range) {
    const Range old = vma.range();
    const u64 first = std::min(old.start, range.start);
    const u64 end = std::max(old.end, range.end);
    if (first != old.start || end != old.end) store(first, end - 1, &vma);
    vma.set_range(range);
    if (first < range.start) clear(first, range.start - 1);
    if (range.end < end) clear(range.end, end - 1);
  }

  // An insert copies or splits at most one node of each level, and the root.
  void reserve(u64 n) {
    // relaxed: a stale height makes an insert allocate.
    const u32 inner_levels = height_.load(std::memory_order_relaxed);
    leaves_.reserve(static_cast<u32>(2 * n));
    inners_.reserve(static_cast<u32>(n * (2 * inner_levels + 1)));
  }

  // How many nodes the tree has, and how many it has allocated so far. With all threads at rest.
  u64 live_nodes() const { return root() == 0 ? 0 : nodes_below(root(), top_address); }
  u64 allocated_nodes() const { return leaves_.allocated() + inners_.allocated(); }
  u32 height() const { return height_.load(std::memory_order_relaxed); }

  std::string check() const {
    if (root() == 0) return height() == 0 ? "" : "an empty tree has a height";
    Checked all;
    check_subtree(root(), height(), lowest_address, top_address, true, all);
    return all.error;
  }

  // With all threads at rest: what is wrong with the nodes from the root to `address`, and with
  // what their parents know of them. Much cheaper than check().
  std::string check_path(u64 address) const {
    if (root() == 0) return "";
    const Path path = path_to(address);
    for (u32 level = 1; level < path.height; ++level) {
      const Step& step = path.steps[level];
      const u64 gap = inner_of(step.node).gaps[step.slot].load();
      if (gap != largest_gap(path.steps[level - 1])) return "a gap on the path is wrong";
    }
    for (u32 level = 0; level + 1 < path.height; ++level)
      if (slots_of(path.steps[level]) < least(level)) return "a node on the path is too empty";
    return "";
  }

 private:
  static constexpr u64 leaf_bit = 1;
  static constexpr u64 top_address = address_space_end - 1;
  // A node with fewer slots takes in a sibling. Of two nodes that a full one is split into, each
  // has more. Linux has the same numbers for nodes of 16 and 10 slots (mt_min_slots).
  static constexpr u32 leaf_least = std::max(2U, leaf_slots * 3 / 8);
  static constexpr u32 inner_least = std::max(2U, inner_slots * 2 / 5);
  static constexpr u32 least(u32 level) { return level == 0 ? leaf_least : inner_least; }
  static constexpr u32 most(u32 level) { return level == 0 ? leaf_slots : inner_slots; }
  static_assert((leaf_slots + 1) / 2 >= leaf_least && (inner_slots + 1) / 2 >= inner_least);
  // A tree of 65530 VMAs (vm.max_map_count) has at most 131061 slots, and leaves of 6 slots below
  // inner nodes of 4 make 8 levels. Small nodes in tests hold few VMAs.
  static constexpr u32 max_height = 16;

  // relaxed, in all that edits and look-ups under the lock read: the caller excludes other edits.
  u64 root() const { return root_.load(std::memory_order_relaxed); }
  static bool is_leaf(u64 node) { return (node & leaf_bit) != 0; }
  static Leaf& leaf_of(u64 node) { return *reinterpret_cast<Leaf*>(node & ~leaf_bit); }
  static Inner& inner_of(u64 node) { return *reinterpret_cast<Inner*>(node); }
  static u64 word_of(const Leaf& leaf) { return reinterpret_cast<u64>(&leaf) | leaf_bit; }
  static u64 word_of(const Inner& inner) { return reinterpret_cast<u64>(&inner); }

  // The slot of the address, and its pivot. relaxed: who finds the node finds its pivots as they
  // were when published, or newer, and each of them is true at some moment.
  template <class Pivots>
  static u32 search(const Pivots& pivots, u64 address, u64& pivot) {
    constexpr u32 count = std::extent_v<Pivots>;
    for (u32 slot = 0; slot < count; ++slot)
      if (const u64 seen = pivots[slot].load(std::memory_order_relaxed); seen >= address) {
        pivot = seen;
        return slot;
      }
    return count;
  }
  template <class Pivots>
  static u32 search(const Pivots& pivots, u64 address) {
    u64 pivot;
    return search(pivots, address, pivot);
  }

  // Of a node, for the lock's holder. `first` and `last` are the node's bounds.
  template <class Node>
  static u64 first_of(const Node& node, u32 slot, u64 first) {
    return slot == 0 ? first : node.pivots[slot - 1].load(std::memory_order_relaxed) + 1;
  }
  template <class Node>
  static u64 last_of(const Node& node, u32 slot, u64 last) {
    if (slot == std::extent_v<decltype(node.pivots)>) return last;
    return std::min(last, node.pivots[slot].load(std::memory_order_relaxed));
  }
  template <class Node>
  static u32 last_slot(const Node& node, u64 last) {
    return search(node.pivots, last);
  }
  static u64 value(const Inner& inner, u32 slot) {
    return inner.slots[slot].load(std::memory_order_relaxed);
  }
  static u64 value(const Leaf& leaf, u32 slot) {
    return reinterpret_cast<u64>(leaf.slots[slot].load(std::memory_order_relaxed));
  }

  // A node on the way from the root to a leaf, its bounds, and the slot in which the way goes on.
  struct Step {
    u64 node;
    u32 slot;
    u64 first, last;
  };
  // Calls visit with the Leaf or the Inner.
  template <class F>
  static auto visit(const Step& step, F&& f) {
    return is_leaf(step.node) ? f(leaf_of(step.node)) : f(inner_of(step.node));
  }
  static u64 first_of(const Step& step) {
    return visit(step, [&](const auto& node) { return first_of(node, step.slot, step.first); });
  }
  static u64 last_of(const Step& step) {
    return visit(step, [&](const auto& node) { return last_of(node, step.slot, step.last); });
  }
  static u32 slots_of(const Step& step) {
    return visit(step, [&](const auto& node) { return last_slot(node, step.last) + 1; });
  }

  // steps[0] is in the leaf, steps[height - 1] in the root.
  struct Path {
    u32 height = 0;
    Step steps[max_height];
    // Goes from the slot of the node above `level` down to a node at that level, and to its first
    // or last slot.
    void enter(u32 level, bool at_first) {
      const Step& above = steps[level + 1];
      Step& step = steps[level];
      step = {value(inner_of(above.node), above.slot), 0, first_of(above), last_of(above)};
      if (!at_first) step.slot = slots_of(step) - 1;
    }
    // To the next or previous node at this level. False, and nothing changes, where there is none.
    bool move(u32 level, bool forward) {
      u32 up = level + 1;
      const auto at_end = [&](const Step& step) {
        return step.slot == (forward ? slots_of(step) - 1 : 0);
      };
      while (up < height && at_end(steps[up])) ++up;
      if (up >= height) return false;
      steps[up].slot += forward ? 1 : ~u32{0};
      while (up-- > level) enter(up, forward);
      return true;
    }
    bool has_sibling(u32 level, bool forward) const {
      if (level + 1 >= height) return false;
      const Step& above = steps[level + 1];
      return forward ? above.slot + 1 < slots_of(above) : above.slot != 0;
    }
  };

  Path path_to(u64 address) const {
    Path path;
    path.height = height();
    Step step{root(), 0, lowest_address, top_address};
    for (u32 level = path.height; level-- > 0;) {
      step.slot = visit(step, [&](const auto& node) { return search(node.pivots, address); });
      path.steps[level] = step;
      if (level != 0)
        step = {value(inner_of(step.node), step.slot), 0, first_of(step), last_of(step)};
    }
    return path;
  }

  // A slot of a leaf.
  struct Entry {
    V* vma = nullptr;
    u64 first = lowest_address, last = top_address;
  };
  Entry entry_at(u64 address) const {
    Entry entry;
    u64 node = root();
    if (node == 0) return entry;
    const auto narrow = [&](const auto& in) {
      const u32 slot = search(in.pivots, address);
      const u64 last = last_of(in, slot, entry.last);
      entry.first = first_of(in, slot, entry.first);
      entry.last = last;
      return value(in, slot);
    };
    while (!is_leaf(node)) node = narrow(inner_of(node));
    entry.vma = reinterpret_cast<V*>(narrow(leaf_of(node)));
    return entry;
  }

  // The VMA that contains the address, or the one before it, or null.
  V* at_or_below(u64 address) const {
    const Entry entry = entry_at(address);
    if (entry.vma != nullptr || entry.first == lowest_address) return entry.vma;
    return entry_at(entry.first - 1).vma;
  }

  // Slots of a node that is to be made: a VMA or a child, its last address, and its largest hole.
  struct Slot {
    u64 value, last, gap;
  };
  struct Slots {
    // Two nodes at the ends of a spanning store, what comes in between, and a sibling.
    static constexpr u32 room = 3 * std::max(leaf_slots, inner_slots) + 4;
    Slot items[room];
    u32 count = 0;
    void add(Slot slot) { items[count++] = slot; }
    void put_before(const Slots& others) {
      std::copy_backward(items, items + count, items + count + others.count);
      std::copy(others.items, others.items + others.count, items);
      count += others.count;
    }
  };
  // Adds the slots of the step's node from `begin` to before `end`.
  static void add_slots(Slots& slots, const Step& step, u32 begin, u32 end) {
    for (u32 slot = begin; slot < end; ++slot) {
      const Step at{step.node, slot, step.first, step.last};
      const u64 gap = is_leaf(step.node) ? 0 : inner_of(step.node).gaps[slot].load();
      slots.add(
          {visit(step, [&](const auto& node) { return value(node, slot); }), last_of(at), gap});
    }
  }

  // The largest hole below a node.
  static u64 largest_gap(const Step& step) {
    u64 largest = 0;
    for (u32 slot = 0, count = slots_of(step); slot < count; ++slot) {
      const Step at{step.node, slot, step.first, step.last};
      if (!is_leaf(step.node))
        largest = std::max(largest, inner_of(step.node).gaps[slot].load());
      else if (value(leaf_of(step.node), slot) == 0)
        largest = std::max(largest, last_of(at) - first_of(at) + 1);
    }
    return largest;
  }

  // Makes [first, last] a hole, and one with the holes beside it.
  void clear(u64 first, u64 last) {
    if (first > lowest_address)
      if (const Entry below = entry_at(first - 1); below.vma == nullptr) first = below.first;
    if (last < top_address)
      if (const Entry above = entry_at(last + 1); above.vma == nullptr) last = above.last;
    store(first, last, nullptr);
  }

  // Makes [first, last] one slot with that VMA, or a hole.
  void store(u64 first, u64 last, V* vma) {
    const Path left = path_to(first);
    if (store_in_place(left, first, last, vma)) return renew_gaps(left, 1);
    Path right = left;
    if (Step& end = right.steps[0]; last <= end.last)
      end.slot = search(leaf_of(end.node).pivots, last);
    else
      right = path_to(last);
    rebuild(left, right, first, last, vma);
  }

  // False, and nothing is changed, where one store cannot do it.
  static bool store_in_place(const Path& path, u64 first, u64 last, V* vma) {
    const Step& step = path.steps[0];
    Leaf& leaf = leaf_of(step.node);
    const u64 from = first_of(step), to = last_of(step);
    if (from == first && to == last) {
      // release: pairs with the acquire of find_rcu and of a walk.
      leaf.slots[step.slot].store(vma, std::memory_order_release);
      return true;
    }
    if (step.slot + 1 == slots_of(step)) return false;
    // relaxed, both stores: the slots stay as they are, and a reader may see either bound.
    const Step after{step.node, step.slot + 1, step.first, step.last};
    if (from == first && to < last && last < last_of(after) && holds(leaf, step.slot, vma))
      leaf.pivots[step.slot].store(last, std::memory_order_relaxed);
    else if (from < first && first <= to && last == last_of(after) && holds(leaf, after.slot, vma))
      leaf.pivots[step.slot].store(first - 1, std::memory_order_relaxed);
    else
      return false;
    return true;
  }
  static bool holds(const Leaf& leaf, u32 slot, const V* vma) {
    return value(leaf, slot) == reinterpret_cast<u64>(vma);
  }

  // The node below `level` has a new largest hole.
  static void renew_gaps(const Path& path, u32 level) {
    for (; level < path.height; ++level) {
      const Step& step = path.steps[level];
      Step below{value(inner_of(step.node), step.slot), 0, first_of(step), last_of(step)};
      const u64 gap = largest_gap(below);
      auto& known = inner_of(step.node).gaps[step.slot];
      if (known.load() == gap) return;
      known.store(gap);
    }
  }

  // The slots of the leaves from `left` to `right` once [first, last] is stored over them.
  static Slots overwritten(const Step& left, const Step& right, u64 first, u64 last, V* vma) {
    Slots slots;
    add_slots(slots, left, 0, left.slot);
    if (first_of(left) < first) slots.add({value(leaf_of(left.node), left.slot), first - 1, 0});
    slots.add({reinterpret_cast<u64>(vma), last, 0});
    if (last < last_of(right))
      slots.add({value(leaf_of(right.node), right.slot), last_of(right), 0});
    add_slots(slots, right, right.slot + 1, slots_of(right));
    return slots;
  }

  // Replaces the leaves from `left` to `right`, and their parents as far up as more than one slot
  // changes.
  void rebuild(Path left, Path right, u64 first, u64 last, V* vma) {
    Dead dead;
    Slots slots = overwritten(left.steps[0], right.steps[0], first, last, vma);
    for (u32 level = 0;; ++level) {
      const bool is_all = !fill_up(slots, left, right, level);
      add_dead(dead, left, right.steps[level].node, level);
      if (is_all && level != 0 && slots.count == 1) {
        publish_root(slots.items[0].value, level);
        break;
      }
      const Slots made = make_nodes(slots, left.steps[level].first, level);
      if (level + 1 == left.height) {
        publish_root(made.count == 1 ? made.items[0].value : make_node(made.items, made.count),
                     level + (made.count == 1 ? 1 : 2));
        break;
      }
      if (made.count == 1 && left.steps[level].node == right.steps[level].node) {
        const Step& above = left.steps[level + 1];
        publish(inner_of(above.node).slots[above.slot], made.items[0].value);
        renew_gaps(left, level + 1);
        break;
      }
      slots.count = 0;
      add_slots(slots, left.steps[level + 1], 0, left.steps[level + 1].slot);
      for (u32 i = 0; i < made.count; ++i) slots.add(made.items[i]);
      const Step& end = right.steps[level + 1];
      add_slots(slots, end, end.slot + 1, slots_of(end));
    }
    leaves_.retire(dead.leaves);
    inners_.retire(dead.inners);
  }

  // Takes in siblings until there are enough slots for a node, of the same parent where it has any.
  // False where the level has no more nodes.
  static bool fill_up(Slots& slots, Path& left, Path& right, u32 level) {
    while (slots.count < least(level)) {
      const bool right_first = right.has_sibling(level, true) || !left.has_sibling(level, false);
      if (!take_in(slots, left, right, level, right_first) &&
          !take_in(slots, left, right, level, !right_first))
        return false;
    }
    return true;
  }
  static bool take_in(Slots& slots, Path& left, Path& right, u32 level, bool forward) {
    Path& path = forward ? right : left;
    if (!path.move(level, forward)) return false;
    const Step& step = path.steps[level];
    Slots taken;
    add_slots(taken, step, 0, slots_of(step));
    if (forward)
      for (u32 i = 0; i < taken.count; ++i) slots.add(taken.items[i]);
    else
      slots.put_before(taken);
    return true;
  }

  // Nodes that one edit has taken out of the tree.
  struct Dead {
    typename RcuNodes<P, Leaf>::Dead leaves;
    typename RcuNodes<P, Inner>::Dead inners;
  };
  // The nodes at this level from the path's to `last`.
  static void add_dead(Dead& dead, Path path, u64 last, u32 level) {
    for (;; path.move(level, true)) {
      const u64 node = path.steps[level].node;
      if (is_leaf(node))
        dead.leaves.add(&leaf_of(node));
      else
        dead.inners.add(&inner_of(node));
      if (node == last) return;
    }
  }

  // Makes as few nodes as the slots need, of about the same size. Answers the slots of their
  // parent.
  Slots make_nodes(const Slots& slots, u64 first, u32 level) {
    Slots made;
    const u32 nodes = (slots.count + most(level) - 1) / most(level);
    for (u32 node = 0, at = 0; node < nodes; ++node) {
      const u32 count = slots.count / nodes + (node < slots.count % nodes ? 1 : 0);
      const Slot* part = slots.items + at;
      const u64 word = level == 0 ? make_leaf(part, count) : make_node(part, count);
      const u64 last = part[count - 1].last;
      made.add({word, last, largest_gap({word, 0, first, last})});
      first = last + 1;
      at += count;
    }
    return made;
  }
  // relaxed, in all three: publish orders the stores.
  u64 make_leaf(const Slot* slots, u32 count) {
    Leaf& leaf = *leaves_.take();
    for (u32 i = 0; i < count; ++i)
      leaf.slots[i].store(reinterpret_cast<V*>(slots[i].value), std::memory_order_relaxed);
    set_pivots(leaf.pivots, slots, count);
    return word_of(leaf);
  }
  u64 make_node(const Slot* slots, u32 count) {
    Inner& inner = *inners_.take();
    for (u32 i = 0; i < count; ++i) {
      inner.slots[i].store(slots[i].value, std::memory_order_relaxed);
      inner.gaps[i].store(slots[i].gap);
    }
    set_pivots(inner.pivots, slots, count);
    return word_of(inner);
  }
  template <class Pivots>
  static void set_pivots(Pivots& pivots, const Slot* slots, u32 count) {
    for (u32 i = 0; i < std::extent_v<Pivots>; ++i)
      pivots[i].store(i + 1 < count ? slots[i].last : no_pivot, std::memory_order_relaxed);
  }

  // release: pairs with the acquire of find_rcu and of a walk.
  static void publish(typename P::template atomic<u64>& place, u64 node) {
    place.store(node, std::memory_order_release);
  }
  void publish_root(u64 node, u32 height) {
    publish(root_, node);
    height_.store(height, std::memory_order_relaxed);  // relaxed: as in reserve
  }
  void make_root() {
    const Slot hole{0, top_address, 0};
    publish_root(make_leaf(&hole, 1), 1);
  }

  // A node that ends at `last`, and the nodes below it.
  static u64 nodes_below(u64 node, u64 last) {
    u64 nodes = 1;
    if (is_leaf(node)) return nodes;
    const Inner& inner = inner_of(node);
    for (u32 slot = 0; slot <= last_slot(inner, last); ++slot)
      nodes += nodes_below(value(inner, slot), last_of(inner, slot, last));
    return nodes;
  }

  // What check_subtree has found so far.
  struct Checked {
    std::string error;
    bool after_hole = false;
  };
  void check_subtree(u64 node, u32 levels, u64 first, u64 last, bool is_root, Checked& all) const {
    const Step step{node, 0, first, last};
    if (is_leaf(node) != (levels == 1)) all.error = "the leaves of the tree differ in height";
    if (!all.error.empty()) return;
    const u32 count = slots_of(step);
    if (count < (is_root ? (levels == 1 ? 1 : 2) : least(levels - 1)))
      all.error = "a node is too empty";
    if (visit(step, [](const auto& in) { return in.state.load(std::memory_order_relaxed); }) !=
        live_node)
      all.error = "a dead node is in the tree";
    for (u32 slot = 0; slot < count && all.error.empty(); ++slot) {
      const Step at{node, slot, first, last};
      const u64 from = first_of(at), to = last_of(at);
      if (from > to || to > last) {
        all.error = "the pivots of a node are not sorted";
      } else if (levels == 1) {
        check_entry(reinterpret_cast<const V*>(value(leaf_of(node), slot)), from, to, all);
      } else {
        const u64 child = value(inner_of(node), slot);
        check_subtree(child, levels - 1, from, to, false, all);
        if (all.error.empty() &&
            inner_of(node).gaps[slot].load() != largest_gap({child, 0, from, to}))
          all.error = "a gap is wrong";
      }
    }
  }
  static void check_entry(const V* vma, u64 first, u64 last, Checked& all) {
    if (vma == nullptr && all.after_hole) all.error = "a hole is in two slots";
    if (vma != nullptr && (vma->range().start != first || vma->range().end != last + 1))
      all.error = "a VMA and its slot differ";
    all.after_hole = vma == nullptr;
  }

  typename P::template atomic<u64> root_{0};
  typename P::template atomic<u32> height_{0};
  // Apart from the root, which every look-up reads.
  alignas(line_size) RcuNodes<P, Leaf> leaves_;
  RcuNodes<P, Inner> inners_;
};

}  // namespace faultline::vmas
