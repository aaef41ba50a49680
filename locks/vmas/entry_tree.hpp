// A B-tree of ranges that many threads edit at the same time. Its slots cover the address space,
// and each slot of a leaf has the word of an entry (entry_lock.hpp). The tree of
// locking_maple.hpp, which says what the entries are; this file says how nodes hold them.
//
// Nodes have the size and the slots of Linux's maple tree (include/linux/maple_tree.h), and a pivot
// is the last address of its slot. Every node has a version, a counter with a lock bit. A look-up
// takes no lock: it goes down from node to node, and trusts what it has read of a node if the
// version is still the same (Leis, Haubenschild and Neumann, "Optimistic Lock Coupling", IEEE Data
// Eng. Bull. 42(1), 2019). An edit locks one leaf and changes it in place. An edit that splits a
// node, or takes one out of the tree, locks the node above too. It only tries these locks, and
// starts again where one is not free, so nodes bring no deadlock.
//
// Why in place: Linux's tree has one writer at a time, which copies a node and stores the copy's
// address in the node above. With many writers, all edits below one node would contend for that
// node's lines. So a reader does not find here what was, as under RCU in Linux, but waits for the
// short edit of a leaf.
//
// Heat. A leaf that several threads edit is split although it has room, at a page within a hole if
// there is one at the middle. So a leaf whose threads edit one place is split until the holes
// beside that place are single pages, up to 35 times for each, since a hole has 2^35 pages at most.
// A leaf of a single hole goes into the leaf beside it when one thread alone has edited it for long
// (after the contention-adapting search trees of Sagonas and Winblad, LCPC 2015). So threads that
// use ranges of their own come to have leaves of their own. An inner node that has come to have one
// child gives it to the node beside it, so all leaves lie at the same depth.
//
// A node that leaves the tree is marked dead under its lock, and its memory is used again after a
// grace period. Who waits for its lock, or has read it meanwhile, sees the mark and starts again at
// the root.
#pragma once

#include <algorithm>
#include <new>
#include <stdexcept>
#include <string>

#include "locks/events.hpp"
#include "locks/layout.hpp"
#include "locks/platform.hpp"
#include "locks/types.hpp"
#include "locks/vmas/entry_lock.hpp"
#include "locks/vmas/rcu_nodes.hpp"

namespace faultline::vmas {

// What a node's `state` says while the node is in the tree. `editor`: the thread that was the last
// to change a leaf. `dead_bit` and a list's link replace the state when the node has left the tree
// (rcu_nodes.hpp).
struct NodeState {
  static constexpr u64 locked = 2;
  static constexpr u32 count_shift = 2, heat_shift = 7, editor_shift = 16, version_shift = 27;
  static constexpr u64 count_mask = 31, heat_mask = 511, editor_mask = 2047;

  static bool is_dead(u64 state) { return (state & dead_bit) != 0; }
  static bool is_locked(u64 state) { return (state & locked) != 0; }
  static u32 count(u64 state) { return static_cast<u32>(state >> count_shift & count_mask); }
  static u32 heat(u64 state) { return static_cast<u32>(state >> heat_shift & heat_mask); }
  static u32 editor(u64 state) { return static_cast<u32>(state >> editor_shift & editor_mask); }
  static u64 edits(u64 state) { return state >> version_shift; }
  // The state after a change of the node whose state was `before`.
  static u64 next(u64 before, u32 count, u32 heat, u32 editor) {
    return (edits(before) + 1) << version_shift | u64{editor} << editor_shift |
           u64{heat} << heat_shift | u64{count} << count_shift;
  }
};

// The last slot has no pivot: it ends with the node. Inner nodes have as many slots as leaves, as
// Linux's have where the tree keeps no gaps (maple_range_64).
template <class P, u32 slot_count>
struct alignas(256) EntryNode {
  static constexpr const char* label = "vmas.maple_node";
  static constexpr usize bytes = 256;

  typename P::template atomic<u64> state{live_node};
  typename P::template atomic<u64> pivots[slot_count - 1];
  // Of an inner node the child, of a leaf the EntryWord.
  typename P::template atomic<u64> slots[slot_count];
};

// `edits_of_heat`: how many edits of one thread take 1 from a leaf's heat. `words_move`: other
// threads may change the words of VMAs while a leaf is locked. So an edit that moves such a word to
// another slot takes it out of the old one first. `Nodes` keeps the nodes' memory.
template <class P, u32 slot_count, u32 edits_of_heat, bool words_move,
          template <class, class> class Nodes>
class EntryTree {
  static_assert(slot_count >= 4 && slot_count <= NodeState::count_mask);
  static_assert(P::max_threads <= NodeState::editor_mask + 1);
  using Node = EntryNode<P, slot_count>;
  using Dead = typename Nodes<P, Node>::Dead;

 public:
  static constexpr u64 bottom = 0, top = address_space_end - 1;

  EntryTree() {
    P::label(&root_, "vmas.root");
    Node& leaf = *new (P::allocate(sizeof(Node), alignof(Node))) Node();
    P::label(&leaf, Node::label);
    leaf.state.store(NodeState::next(0, 1, 0, 0), std::memory_order_relaxed);
    leaf.slots[0].store(EntryWord::free, std::memory_order_relaxed);
    root_.store(word_of(leaf, true), std::memory_order_relaxed);  // relaxed, all: no threads yet
  }
  EntryTree(const EntryTree&) = delete;
  EntryTree& operator=(const EntryTree&) = delete;

  // As long as it lives, nodes that this thread has found keep their memory.
  using Section = RcuSection<P>;

  // A slot of a leaf. `cell` is the slot itself, and valid within the Section.
  struct Entry {
    u64 word;
    u64 first, last;
    typename P::template atomic<u64>* cell;
  };

  // In a Section. The entry of the address, as it was at one moment.
  Entry look(u64 address) const {
    for (;;) {
      const Step leaf = find_leaf(address);
      const Entry entry = entry_in(leaf, address);
      if (is_unchanged(leaf)) return entry;
    }
  }

 private:
  // A node on the way down, as it was when its state was read, and its bounds.
  struct Step {
    Node* node;
    u64 state;
    u64 first, last;
    u32 slot;     // of an inner node: the way down
    bool waited;  // the node was locked at first
  };
  // From the root down to a leaf. The tree grows when the root is full. An inner node that was
  // split is full again after 8 splits below it, if it has Linux's 16 slots. A child that it adopts
  // does not make the tree higher, since the node above loses one. So the height grows with the
  // logarithm of the number of splits, of base 8, and 24 levels take more than 2^60. With 4 slots,
  // as in tests, they take 2^22.
  static constexpr u32 most_height = 24;
  struct Path {
    Step steps[most_height];
    u32 leaf = 0;  // the leaf's index
  };

 public:
  // A leaf that this thread has locked. It is left by leave() or by replace().
  class Leaf {
   public:
    // After replace(): the leaf is one free hole, and edits have not contended for it for long.
    bool is_idle = false;

    u64 first() const { return step().first; }
    u64 last() const { return step().last; }
    Entry entry(u64 address) const { return entry_in(step(), address); }

   private:
    friend EntryTree;
    const Step& step() const { return path.steps[path.leaf]; }
    u32 heat() const {
      const u64 state = step().state;
      const u32 heat = NodeState::heat(state);
      const u32 more = contended ? heat_of_contention : NodeState::editor(state) != P::self();
      if (more != 0) return std::min(heat + more, most_heat);
      return heat != 0 && NodeState::edits(state) % edits_of_heat == 0 ? heat - 1 : heat;
    }

    Path path;
    bool contended = false;
  };

  // In a Section. Locks the leaf of the address, and sees to it that the leaf has room for `more`
  // slots. One slot that is put in the midst of another needs room for two.
  void lock_leaf(u64 address, Leaf& leaf, u32 more) {
    for (;;) {
      find_path(address, leaf.path);
      const Step& step = leaf.step();
      leaf.contended = leaf.contended || step.waited;
      const u32 count = NodeState::count(step.state);
      if (count + more > slot_count || (count >= 2 && NodeState::heat(step.state) >= hot))
        split(leaf.path, leaf.path.leaf);
      else if (try_lock(step))
        return;
      else
        leaf.contended = true;
    }
  }
  // Unlocks the leaf, which has not changed.
  void leave(const Leaf& leaf) { leave(leaf.step()); }
  // Puts one slot with `word` in place of [first, last], which lies in the leaf, and unlocks the
  // leaf. Answers the flags of what it has replaced, or-ed.
  u64 replace(Leaf& leaf, u64 first, u64 last, u64 word) {
    const Step& step = leaf.step();
    u32 left = NodeState::count(step.state);
    u64 start, end;
    const u32 slot = search(step, first, start, end);
    u64 replaced = 0;
    if (start == first && end == last && !joins_beside(step, slot, word)) {
      replaced = take(step.node->slots[slot]);
      write(step.node->slots[slot], word);
    } else {
      // The slot below may become a part of the new one.
      const u32 from = slot == 0 ? 0 : slot - 1;
      const Slots slots = composed(step, from, {first, last, word}, replaced);
      store(*step.node, from, slots);
      left = from + slots.count;
    }
    leave(step, left, leaf.heat(), P::self());
    leaf.is_idle = left == 1 && word == EntryWord::free && leaf.heat() == 0;
    return replaced & (EntryWord::exclusive | EntryWord::waited_for);
  }

  // Takes the leaf of the address out of the tree if it is one free hole, and so is the entry on
  // its right or on its left, under the same node. Nodes above that have come to have one slot go
  // too. Does nothing where another thread is at work there. Not in a Section: a platform may wait
  // for the readers when it retires nodes.
  void remove_if_empty(u64 address) {
    take_out([&](Dead& dead) { return remove_leaf(address, dead); });
    while (take_out([&](Dead& dead) { return remove_thin(address, dead); })) {
    }
  }

  // With all threads at rest: calls visit(entry) for each slot of each leaf, in ascending order.
  // Answers what is wrong with the tree.
  template <class F>
  std::string check(const F& visit) const {
    std::string wrong;
    // relaxed: threads are at rest.
    check_subtree(root_.load(std::memory_order_relaxed), height(), bottom, top, wrong, visit);
    return wrong;
  }
  void append_events(Events& events) const { events_.append_to(events); }
  // With all threads at rest. The number of nodes above a leaf.
  u32 height() const {
    u32 height = 0;
    for (u64 word = root_.load(std::memory_order_relaxed); !is_leaf(word); ++height)
      word = read(node_of(word)->slots[0]);
    return height;
  }
  u64 leaves() const {
    u64 count = 0;
    for (u64 at = bottom; at <= top; ++count) at = find_leaf(at).last + 1;
    return count;
  }
  // Prepares the calling thread for `n` edits. Each may split a node of each level. Trees are
  // seldom half as high as they may be, and an edit that lacks a node allocates it.
  void reserve(u64 n) { nodes_.reserve(static_cast<u32>(n * (most_height / 2))); }

 private:
  enum Event : usize { splits, hot_splits, removals, event_count };
  static constexpr u64 leaf_bit = 1;

  // An edit that follows another thread's edit adds 1, and much more if it has had to wait for the
  // leaf's lock. Of the other edits, few take 1 away, so that a leaf outlives times of calm: to
  // split a leaf and to take one out disturbs all threads below the node above.
  static constexpr u32 heat_of_contention = 50, hot = 200;
  static constexpr u32 most_heat = NodeState::heat_mask;

  static bool is_leaf(u64 word) { return (word & leaf_bit) != 0; }
  static Node* node_of(u64 word) { return reinterpret_cast<Node*>(word & ~leaf_bit); }
  static u64 word_of(const Node& node, bool leaf) {
    return reinterpret_cast<u64>(&node) | (leaf ? leaf_bit : 0);
  }
  // acquire: pairs with the release in write(). A reader that sees a writer's value sees the lock
  // of that writer when it then loads the state. A reader that sees a node's address sees the node
  // complete.
  static u64 read(const typename P::template atomic<u64>& cell) {
    return cell.load(std::memory_order_acquire);
  }
  // release: pairs with the acquire in read().
  static void write(typename P::template atomic<u64>& cell, u64 value) {
    // relaxed: this thread has locked the node, or made it.
    if (cell.load(std::memory_order_relaxed) != value) cell.store(value, std::memory_order_release);
  }
  static u64 pivot(const Step& step, u32 slot) {
    return slot + 1 < NodeState::count(step.state) ? read(step.node->pivots[slot]) : step.last;
  }

  // --- looking without a lock ---

  // Waits while the node is locked. False: the node has left the tree.
  static bool enter(Step& step) {
    step.waited = false;
    // acquire: pairs with the release in leave().
    while (NodeState::is_locked(step.state = step.node->state.load(std::memory_order_acquire)) &&
           !NodeState::is_dead(step.state)) {
      step.waited = true;
      P::pause(&step.node->state);
    }
    return !NodeState::is_dead(step.state);
  }
  static bool is_unchanged(const Step& step) {
    // relaxed: the acquires in read() order the loads.
    return step.node->state.load(std::memory_order_relaxed) == step.state;
  }
  // The slot of the address, and its bounds.
  static u32 search(const Step& step, u64 address, u64& first, u64& last) {
    const u32 count = NodeState::count(step.state);
    first = step.first;
    for (u32 slot = 0; slot + 1 < count; ++slot) {
      last = read(step.node->pivots[slot]);
      if (last >= address) return slot;
      first = last + 1;
    }
    last = step.last;
    return count - 1;
  }
  static Entry entry_in(const Step& leaf, u64 address) {
    Entry entry;
    entry.cell = &leaf.node->slots[search(leaf, address, entry.first, entry.last)];
    entry.word = read(*entry.cell);
    return entry;
  }

  Step find_leaf(u64 address) const {
    Step leaf;
    walk_down(address, [&](u32, const Step& step) { leaf = step; });
    return leaf;
  }
  void find_path(u64 address, Path& path) const {
    walk_down(address, [&](u32 depth, const Step& step) {
      path.steps[depth] = step;
      path.leaf = depth;
    });
  }
  // Calls visit(depth, step) for each node on the way down, the leaf last. Where it starts again at
  // the root, the calls start again at depth 0.
  template <class F>
  void walk_down(u64 address, const F& visit) const {
    while (!try_walk_down(address, visit)) {
    }
  }
  template <class F>
  bool try_walk_down(u64 address, const F& visit) const {
    u64 word = read(root_);
    Step step{node_of(word), 0, bottom, top, 0, false};
    // The second load shows that the node was the root. It may have been another node's child in
    // between, when its state was read, but then an edit would have changed its state to make it
    // the root again.
    if (!enter(step) || read(root_) != word) return false;
    for (u32 depth = 0; !is_leaf(word); ++depth) {
      Step below;
      step.slot = search(step, address, below.first, below.last);
      word = read(step.node->slots[step.slot]);
      if (!is_unchanged(step)) return false;
      below.node = node_of(word);
      // The second look shows that the node was below when its state was read.
      if (!enter(below) || !is_unchanged(step)) return false;
      visit(depth, step);
      below.slot = 0;
      step = below;
      if (is_leaf(word)) {
        visit(depth + 1, step);
        return true;
      }
    }
    visit(0, step);
    return true;
  }

  // --- locked nodes ---

  static bool try_lock(const Step& step) {
    u64 seen = step.state;
    // acquire: pairs with the release in leave(). relaxed on failure: the caller looks again.
    return step.node->state.compare_exchange_strong(
        seen, seen | NodeState::locked, std::memory_order_acquire, std::memory_order_relaxed);
  }
  // Unlocks a node that has not changed.
  static void leave(const Step& step) {
    // release: pairs with the acquires in enter() and try_lock().
    step.node->state.store(step.state, std::memory_order_release);
  }
  static void leave(const Step& step, u32 count, u32 heat) {
    leave(step, count, heat, NodeState::editor(step.state));
  }
  static void leave(const Step& step, u32 count, u32 heat, u32 editor) {
    // release: as above.
    step.node->state.store(NodeState::next(step.state, count, heat, editor),
                           std::memory_order_release);
  }

  // Slots that an edit has composed anew: of a leaf, or of an inner node.
  struct Slots {
    u64 word[slot_count + 2];
    u64 last[slot_count + 2];
    u32 count = 0;
    void add(u64 word_of_slot, u64 last_of_slot) {
      word[count] = word_of_slot;
      last[count++] = last_of_slot;
    }
    // Of a leaf: neighbouring slots of one VMA, and free holes, become one slot.
    void add_entry(u64 word_of_slot, u64 last_of_slot) {
      if (count == 0 || !joins(word[count - 1], word_of_slot))
        return add(word_of_slot, last_of_slot);
      word[count - 1] |= word_of_slot & EntryWord::waited_for;
      last[count - 1] = last_of_slot;
    }
  };
  static bool joins(u64 low, u64 high) {
    return low == EntryWord::free ? high == EntryWord::free
                                  : EntryWord::address(low) != 0 &&
                                        EntryWord::address(low) == EntryWord::address(high);
  }
  static bool joins_beside(const Step& leaf, u32 slot, u64 word) {
    return (slot != 0 && joins(read(leaf.node->slots[slot - 1]), word)) ||
           (slot + 1 < NodeState::count(leaf.state) &&
            joins(word, read(leaf.node->slots[slot + 1])));
  }
  // The word of a slot of a locked leaf, which the caller will store elsewhere.
  static u64 take(typename P::template atomic<u64>& cell) {
    if constexpr (words_move)
      // acquire: pairs with the releases of those who have unlocked the VMA. store() passes that on
      // to those who lock it in its new slot. release: pairs with the acquire in read(), as
      // write().
      return cell.exchange(EntryWord::moved, std::memory_order_acq_rel);
    else
      return read(cell);
  }

  struct Fresh {
    u64 first, last;
    u64 word;
  };
  // The slots of a locked leaf from slot `from` on, with `fresh` in place of its range. `replaced`:
  // the words that it has replaced, or-ed.
  static Slots composed(const Step& leaf, u32 from, Fresh fresh, u64& replaced) {
    const u32 count = NodeState::count(leaf.state);
    u64 words[slot_count], start = from == 0 ? leaf.first : pivot(leaf, from - 1) + 1;
    u64 at = start;
    for (u32 slot = from; slot < count; ++slot) {
      const u64 end = pivot(leaf, slot);
      words[slot] = take(leaf.node->slots[slot]);
      if (at <= fresh.last && end >= fresh.first) replaced |= words[slot];
      at = end + 1;
    }
    Slots slots;
    for (u32 slot = from; slot < count; ++slot) {
      const u64 end = pivot(leaf, slot);
      if (start < fresh.first) slots.add_entry(words[slot], std::min(end, fresh.first - 1));
      if (start <= fresh.first && fresh.first <= end) slots.add_entry(fresh.word, fresh.last);
      if (end > fresh.last) slots.add_entry(words[slot], end);
      start = end + 1;
    }
    return slots;
  }
  // Stores the slots of a node from slot `from` on.
  static void store(Node& node, u32 from, const Slots& slots) {
    for (u32 i = 0; i < slots.count; ++i) {
      write(node.slots[from + i], slots.word[i]);
      if (i + 1 < slots.count) write(node.pivots[from + i], slots.last[i]);
    }
  }

  // --- splitting, and taking nodes out ---

  // Splits the node at `depth`, or the one above if that has no room. Does nothing where another
  // thread is at work there.
  void split(const Path& path, u32 depth) {
    if (path.leaf + 1 == most_height) throw std::length_error("the tree of entries is too high");
    const Step& low = path.steps[depth];
    const bool leaf = depth == path.leaf;
    if (depth == 0) {
      // A root becomes another node's child only while it is locked.
      if (try_lock(low)) split_root(low, leaf);
      return;
    }
    const Step& above = path.steps[depth - 1];
    if (NodeState::count(above.state) == slot_count) return split(path, depth - 1);
    if (!try_lock(above)) return;
    if (!try_lock(low)) return leave(above);
    events_.add(NodeState::heat(low.state) < hot ? splits : hot_splits);
    const Half upper = take_upper_half(low, leaf);
    Slots children;
    for (u32 slot = above.slot; slot < NodeState::count(above.state); ++slot) {
      const u64 word = read(above.node->slots[slot]);
      if (slot == above.slot) children.add(word, upper.first - 1);
      children.add(slot == above.slot ? upper.word : word, pivot(above, slot));
    }
    store(*above.node, above.slot, children);
    leave(low, upper.left, heat_of_half(low.state));
    leave(above, NodeState::count(above.state) + 1, 0);
  }
  void split_root(const Step& root, bool leaf) {
    events_.add(NodeState::heat(root.state) < hot ? splits : hot_splits);
    const Half upper = take_upper_half(root, leaf);
    Slots children;
    children.add(word_of(*root.node, leaf), upper.first - 1);
    children.add(upper.word, top);
    write(root_, make(children, false, 0));
    leave(root, upper.left, heat_of_half(root.state));
  }

  // A new node with the upper half of a locked node's slots. `left`: how many slots the old one
  // keeps.
  struct Half {
    u64 word;
    u64 first;
    u32 left;
  };
  Half take_upper_half(const Step& step, bool leaf) {
    const u32 count = NodeState::count(step.state);
    const u32 kept = (count + 1) / 2;
    const Cut cut = leaf ? find_cut(step, kept) : Cut{count, 0};
    Slots moved;
    for (u32 slot = std::min(kept, cut.slot); slot < count; ++slot) {
      auto& cell = step.node->slots[slot];
      const bool stays = !leaf || slot == cut.slot;
      moved.add(stays ? read(cell) : take(cell), pivot(step, slot));
    }
    const u64 first = cut.slot == count ? pivot(step, kept - 1) + 1 : cut.first_of_upper;
    return {make(moved, leaf, step.state), first, cut.slot == kept ? kept + 1 : kept};
  }
  // The free hole at the middle of a leaf, of which each half gets a part. Then who edits a VMA
  // beside that hole finds the hole in the VMA's own leaf, and does not read a leaf that another
  // thread edits. `slot` is the number of slots if no hole is cut.
  struct Cut {
    u32 slot;
    u64 first_of_upper;
  };
  static Cut find_cut(const Step& leaf, u32 kept) {
    const u32 count = NodeState::count(leaf.state);
    for (const u32 slot : {kept - 1, kept}) {
      // An edit may put two slots more into a half.
      const bool fits = std::max(slot + 1, count - slot) + 2 <= slot_count;
      if (!fits || !is_hole(leaf, slot)) continue;
      const u64 first = slot == 0 ? leaf.first : pivot(leaf, slot - 1) + 1;
      const u64 middle = page_floor(first + (pivot(leaf, slot) - first + 1) / 2);
      if (middle > first) return {slot, middle};
    }
    return {count, 0};
  }
  static bool is_hole(const Step& leaf, u32 slot) {
    return read(leaf.node->slots[slot]) == EntryWord::free;
  }
  static u32 heat_of_half(u64 whole) { return NodeState::heat(whole) / 2; }
  // `whole`: the state of the node that is split.
  u64 make(const Slots& slots, bool leaf, u64 whole) {
    Node& node = *nodes_.take();
    store(node, 0, slots);
    // relaxed: write() publishes the node.
    node.state.store(NodeState::next(0, slots.count, heat_of_half(whole), NodeState::editor(whole)),
                     std::memory_order_relaxed);
    return word_of(node, leaf);
  }

  // Calls remove(dead), which answers whether it has taken a node out of the tree.
  template <class F>
  bool take_out(const F& remove) {
    Dead dead;
    bool removed;
    {
      const Section section;
      removed = remove(dead);
    }
    nodes_.retire(dead);
    return removed;
  }
  bool remove_leaf(u64 address, Dead& dead) {
    Path path;
    find_path(address, path);
    return NodeState::count(path.steps[path.leaf].state) == 1 &&
           remove_from_either(path, path.leaf, dead);
  }
  // An inner node with one slot, above the leaf of the address.
  bool remove_thin(u64 address, Dead& dead) {
    Path path;
    find_path(address, path);
    for (u32 depth = path.leaf; depth-- > 0;)
      if (NodeState::count(path.steps[depth].state) == 1 && remove_from_either(path, depth, dead))
        return true;
    return false;
  }
  bool remove_from_either(const Path& path, u32 depth, Dead& dead) {
    if (depth == 0) return path.leaf != 0 && remove_root(path.steps[0], dead);
    return remove(path, depth, true, dead) || remove(path, depth, false, dead);
  }
  // The root has one slot. The node below becomes the root.
  bool remove_root(const Step& root, Dead& dead) {
    if (!try_lock(root)) return false;
    write(root_, read(root.node->slots[0]));
    dead.add(root.node);
    events_.add(removals);
    return true;
  }
  // Takes the node at `depth`, which has one slot, out of the tree. Its range, and the child of an
  // inner node, go to the node on its right or on its left. False, and nothing done: there is no
  // such node, it has no room, or another thread is at work there.
  bool remove(const Path& path, u32 depth, bool right, Dead& dead) {
    const Step& node = path.steps[depth];
    const Step& above = path.steps[depth - 1];
    if (right ? above.slot + 1 == NodeState::count(above.state) : above.slot == 0) return false;
    Step beside = node;  // with wrong bounds. adopt() sets those that it stores.
    beside.node = node_of(read(above.node->slots[right ? above.slot + 1 : above.slot - 1]));
    if (!is_unchanged(above) || !enter(beside)) return false;
    const bool leaf = depth == path.leaf;
    // Still so once the nodes are locked, since a change would have changed their states.
    if (!(leaf ? is_hole_beside(node, beside, right) : has_room(beside))) return false;
    if (!try_lock(above)) return false;
    if (!try_lock(node)) return leave(above), false;
    if (!try_lock(beside)) return leave(node), leave(above), false;
    if (!leaf) adopt(node, beside, right);
    drop_slot(above, right);
    leave(beside, NodeState::count(beside.state) + !leaf, NodeState::heat(beside.state));
    dead.add(node.node);
    events_.add(removals);
    return true;
  }
  static bool has_room(const Step& node) { return NodeState::count(node.state) < slot_count; }
  static bool is_hole_beside(const Step& leaf, const Step& beside, bool right) {
    const u32 edge = right ? 0 : NodeState::count(beside.state) - 1;
    return is_hole(leaf, 0) && is_hole(beside, edge);
  }
  // Puts the child of `node` before or behind the children of the node beside it. Both are locked.
  static void adopt(const Step& node, const Step& beside, bool right) {
    const u64 child = read(node.node->slots[0]);
    Slots slots;
    if (right) slots.add(child, node.last);
    for (u32 slot = 0; slot < NodeState::count(beside.state); ++slot)
      slots.add(read(beside.node->slots[slot]), pivot(beside, slot));
    if (!right) {
      slots.last[slots.count - 1] = node.first - 1;
      slots.add(child, node.last);
    }
    store(*beside.node, 0, slots);
  }
  // Takes the slot of the way down out of a locked node, and unlocks it. The slot's range goes to
  // the slot on its right or on its left.
  static void drop_slot(const Step& node, bool right) {
    const u32 count = NodeState::count(node.state);
    const u32 from = node.slot == 0 ? 0 : node.slot - 1;
    Slots slots;
    for (u32 slot = from; slot < count; ++slot) {
      if (slot != node.slot)
        slots.add(read(node.node->slots[slot]), pivot(node, slot));
      else if (!right)
        slots.last[slots.count - 1] = pivot(node, slot);
    }
    store(*node.node, from, slots);
    leave(node, count - 1, 0);
  }

  template <class F>
  static void check_subtree(u64 word, u32 height, u64 first, u64 last, std::string& wrong,
                            const F& visit) {
    // relaxed: threads are at rest.
    const Step step{
        node_of(word), node_of(word)->state.load(std::memory_order_relaxed), first, last, 0, false};
    const u32 count = NodeState::count(step.state);
    if (NodeState::is_dead(step.state)) wrong = "a dead node is in the tree";
    if (NodeState::is_locked(step.state)) wrong = "a node is locked with all threads at rest";
    if (count == 0 || count > slot_count) wrong = "a node has no slots, or too many";
    if (is_leaf(word) != (height == 0)) return void(wrong = "leaves differ in height");
    for (u32 slot = 0; slot < count && wrong.empty(); ++slot) {
      const u64 end = pivot(step, slot);
      const u64 below = read(step.node->slots[slot]);
      if (first > end || end > last)
        wrong = "the pivots of a node are not sorted";
      else if (!is_leaf(word))
        check_subtree(below, height - 1, first, end, wrong, visit);
      else if (slot != 0 && joins(read(step.node->slots[slot - 1]), below))
        wrong = "a leaf has one entry in two slots";
      else
        wrong = visit(Entry{below, first, end, &step.node->slots[slot]});
      first = end + 1;
    }
  }

  alignas(cache_line) typename P::template atomic<u64> root_{0};
  alignas(cache_line) Nodes<P, Node> nodes_;
  EventCounters<P, event_count> events_{{"maple.splits", "maple.hot_splits", "maple.removals"}};
};

}  // namespace faultline::vmas
