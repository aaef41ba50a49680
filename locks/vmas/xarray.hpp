// VMAs in an XArray: a radix tree over page numbers, as Linux keeps the page cache in
// (include/linux/xarray.h, lib/xarray.c of 6.x). A node has 64 slots and takes 576 bytes. A VMA is
// a multi-index entry: it lies in every slot whose pages it covers all of, at the highest level
// possible, and in a part of the slots of the nodes at its two ends.
//
// The XArray was tried for VMAs before the maple tree, and rejected: it cannot answer where a hole
// of some length is but by looking at one VMA after another, as find_gap does here; a VMA whose
// ends are not aligned takes slots at up to six levels; and a node of 64 slots is mostly empty
// where VMAs are far apart.
//
// Why no reader misses a VMA that is there all the time: each of its pages leads to it at every
// moment. Where a slot of its own gives way to a node, the node is filled with it before one store
// publishes the node. A node leaves the tree when it is empty, or when one VMA comes to cover all
// its pages. A reader that is still in it began before that. Nodes are freed by RCU.
//
// The root is as high as the highest VMA needs. A higher one takes it in as its first slot.
//
// What it leaves out: marks; a root that becomes lower again; sibling entries, which lead to the
// first slot of a multi-index entry: here each slot leads to the VMA itself.
#pragma once

#include <algorithm>
#include <bit>
#include <string>

#include "locks/layout.hpp"
#include "locks/types.hpp"
#include "locks/vmas/rcu_nodes.hpp"

namespace faultline::vmas {

// `slot_bits` is smaller than Linux's in tests and in the checker.
template <u32 slot_bits>
struct XArrayOf {
  template <class P, class V>
  struct Links {};

  template <class P, class V>
  class Container;
};
using XArray = XArrayOf<6>;

// A slot is 0, a VMA, or a node: its address and node_bit. A slot has 2^shift pages; a published
// node keeps its shift. `count` is the number of slots that are not 0; only editors use it. Linux's
// slots begin at byte 40 too.
template <class P, u32 slot_bits>
struct alignas(line_size) XArrayNode {
  static constexpr const char* label = "vmas.xarray_node";
  static constexpr u32 slot_count = 1U << slot_bits;
  static constexpr usize bytes = (40 + 8 * slot_count + line_size - 1) / line_size * line_size;

  typename P::template atomic<u64> state{live_node};
  typename P::template atomic<u64> shift{0};
  typename P::template data<u64> count;
  typename P::template data<u64> unused[2];
  typename P::template atomic<u64> slots[slot_count];
};

template <u32 slot_bits>
template <class P, class V>
class XArrayOf<slot_bits>::Container {
  using Node = XArrayNode<P, slot_bits>;
  using Memory = RcuNodes<P, Node>;

 public:
  static constexpr bool searchable_under_rcu = true;

  V* first() const { return find(lowest_address); }
  V* last() const { return at_or_below(last_page); }
  V* next(const V& vma) const { return find(vma.range().end); }
  V* previous(const V& vma) const { return at_or_below(page_of(vma.range().start) - 1); }

  V* find(u64 address) const {
    if (address >= address_space_end) return nullptr;
    return first_from(page_of(address)).vma;
  }

  V* find_rcu(u64 address) const {
    if (address >= address_space_end) return nullptr;
    // acquire, here and below: pairs with the release in publish. The reader sees the node, or the
    // VMA, as it was when published, or newer.
    u64 entry = root_.load(std::memory_order_acquire);
    const u64 page = page_of(address);
    if (!has(entry, page)) return nullptr;
    for (u32 shift = shift_of(node_of(entry)); is_node(entry); shift -= slot_bits)
      entry = node_of(entry).slots[slot_of(page, shift)].load(std::memory_order_acquire);
    return vma_of(entry);
  }

  // A walk in ascending order, within one read section of RCU. Each step searches from the root.
  class Walk {
   public:
    Walk(const Container& array, u64 address) : array_(array), page_(page_of(address)) {}
    V* next() {
      if (page_ > last_page) return nullptr;
      const Found found = array_.first_from(page_);
      if (found.vma == nullptr) return nullptr;
      // The VMA's end may have moved down meanwhile. The walk does not go back.
      page_ = std::max(found.page + 1, page_of(found.vma->range().end));
      return found.vma;
    }

   private:
    const Container& array_;
    u64 page_;
  };

  u64 find_gap(u64 length) const {
    u64 top = address_space_end;
    for (const V* vma = last(); vma != nullptr; vma = previous(*vma)) {
      const Range range = vma->range();
      if (top - range.end >= length) return top - length;
      top = range.start;
    }
    return top - lowest_address >= length ? top - length : 0;
  }

  void insert(V& vma) { set(vma.range(), &vma); }
  void erase(V& vma) { set(vma.range(), nullptr); }

  // First the VMA takes all of its old and its new range, then it leaves what it gives up. So a
  // reader finds it in what it keeps.
  void resize(V& vma, Range range) {
    const Range old = vma.range();
    const Range both{std::min(old.start, range.start), std::max(old.end, range.end)};
    if (both.start != old.start || both.end != old.end) set(both, &vma);
    vma.set_range(range);
    if (both.start < range.start) set({both.start, range.start}, nullptr);
    if (range.end < both.end) set({range.end, both.end}, nullptr);
  }

  // A VMA's two ends lie in at most two nodes of each level, and the root may rise over all levels.
  void reserve(u64 n) { memory_.reserve(static_cast<u32>((2 * n + 1) * levels)); }

  // How many nodes the array has. With all threads at rest.
  u64 live_nodes() const { return is_node(root()) ? nodes_below(node_of(root())) : 0; }

  std::string check() const {
    if (root() == 0) return "";
    Checked all;
    check_node(node_of(root()), 0, all);
    all.end_run();
    return all.error;
  }

 private:
  using Dead = typename Memory::Dead;
  static constexpr u64 node_bit = 1;
  static constexpr u64 last_page = address_space_end / page_size - 1;
  static constexpr u32 levels = (std::bit_width(last_page) + slot_bits - 1) / slot_bits;

  static u64 page_of(u64 address) { return address / page_size; }
  static u32 slot_of(u64 page, u32 shift) {
    return static_cast<u32>(page >> shift) % Node::slot_count;
  }
  // relaxed: a published node keeps its shift.
  static u32 shift_of(const Node& node) {
    return static_cast<u32>(node.shift.load(std::memory_order_relaxed));
  }
  // Whether the root, 0 or a node, is high enough for the page.
  static bool has(u64 root, u64 page) {
    return is_node(root) && page >> shift_of(node_of(root)) < Node::slot_count;
  }
  // The first page of the slot after the page's.
  static u64 page_after(u64 page, u32 shift) { return ((page >> shift) + 1) << shift; }

  static bool is_node(u64 entry) { return (entry & node_bit) != 0; }
  static Node& node_of(u64 entry) { return *reinterpret_cast<Node*>(entry & ~node_bit); }
  static V* vma_of(u64 entry) { return reinterpret_cast<V*>(entry); }
  // relaxed: the caller excludes other edits.
  u64 root() const { return root_.load(std::memory_order_relaxed); }
  static u64 value(const Node& node, u32 slot) {
    return node.slots[slot].load(std::memory_order_relaxed);
  }

  // A VMA, and a page in whose slot it was found.
  struct Found {
    V* vma = nullptr;
    u64 page = 0;
  };
  Found first_from(u64 page) const {
    const u64 entry = root_.load(std::memory_order_acquire);  // acquire: as in find_rcu
    return has(entry, page) ? first_in(node_of(entry), page) : Found{};
  }
  static Found first_in(const Node& node, u64 page) {
    const u32 shift = shift_of(node);
    for (u32 slot = slot_of(page, shift); slot < Node::slot_count; ++slot) {
      const u64 entry =
          node.slots[slot].load(std::memory_order_acquire);  // acquire: as in find_rcu
      Found found{is_node(entry) ? nullptr : vma_of(entry), page};
      if (is_node(entry)) found = first_in(node_of(entry), page);
      if (found.vma != nullptr) return found;
      page = page_after(page, shift);
    }
    return {};
  }

  V* at_or_below(u64 page) const {
    if (root() == 0) return nullptr;
    const Node& top = node_of(root());
    return last_in(top, std::min(page, (u64{Node::slot_count} << shift_of(top)) - 1));
  }
  static V* last_in(const Node& node, u64 page) {
    const u32 shift = shift_of(node);
    for (u32 slot = slot_of(page, shift) + 1; slot-- > 0;) {
      const u64 entry = value(node, slot);
      V* vma = is_node(entry) ? last_in(node_of(entry), page) : vma_of(entry);
      if (vma != nullptr) return vma;
      page = ((page >> shift) << shift) - 1;
    }
    return nullptr;
  }

  // Writes the VMA, or 0, into all slots of the range.
  void set(Range range, V* vma) {
    raise_root(page_of(range.end) - 1);
    Dead dead;
    set_in(node_of(root()), page_of(range.start), page_of(range.end) - 1,
           reinterpret_cast<u64>(vma), dead);
    memory_.retire(dead);
  }
  void raise_root(u64 page) {
    if (root() == 0) publish(root_, word_of(make_node(0, 0)));
    while (!has(root(), page)) {
      // An empty root stays out and its memory is lost: at most one node for each level.
      const Node& below = node_of(root());
      Node& above = make_node(0, shift_of(below) + slot_bits);
      if (below.count.load() != 0) {
        above.slots[0].store(root(), std::memory_order_relaxed);  // relaxed: publish orders it
        above.count.store(1);
      }
      publish(root_, word_of(above));
    }
  }
  // `first` and `last` are pages of the node.
  void set_in(Node& node, u64 first, u64 last, u64 wanted, Dead& dead) {
    const u32 shift = shift_of(node);
    while (first <= last) {
      const u64 end = std::min(page_after(first, shift) - 1, last);
      const bool covers = end - first + 1 == u64{1} << shift;
      auto& slot = node.slots[slot_of(first, shift)];
      const u64 old = value(node, slot_of(first, shift));
      u64 entry = wanted;
      if (!covers && old != wanted)
        entry = set_below(old, shift - slot_bits, first, end, wanted, dead);
      if (entry != old) replace(node, slot, old, entry, dead);
      first = end + 1;
    }
  }
  // Sets a part of the pages of a slot, and answers what the slot has to hold then.
  u64 set_below(u64 old, u32 shift, u64 first, u64 last, u64 wanted, Dead& dead) {
    Node& child = is_node(old) ? node_of(old) : make_node(old, shift);
    set_in(child, first, last, wanted, dead);
    return child.count.load() == 0 ? 0 : word_of(child);
  }
  void replace(Node& node, typename P::template atomic<u64>& slot, u64 old, u64 entry, Dead& dead) {
    publish(slot, entry);
    node.count.store(node.count.load() + (entry != 0) - (old != 0));
    if (is_node(old)) add_dead(node_of(old), dead);
  }
  void add_dead(Node& node, Dead& dead) {
    for (u32 slot = 0; slot < Node::slot_count; ++slot)
      if (is_node(value(node, slot))) add_dead(node_of(value(node, slot)), dead);
    if (dead.is_full()) {
      memory_.retire(dead);
      dead = {};
    }
    dead.add(&node);
  }

  static u64 word_of(const Node& node) { return reinterpret_cast<u64>(&node) | node_bit; }
  Node& make_node(u64 entry, u32 shift) {
    Node& node = *memory_.take();
    // relaxed: publish orders the stores.
    for (auto& slot : node.slots) slot.store(entry, std::memory_order_relaxed);
    node.shift.store(shift, std::memory_order_relaxed);
    node.count.store(entry == 0 ? 0 : Node::slot_count);
    return node;
  }
  // release: pairs with the acquire of find_rcu and of a walk.
  static void publish(typename P::template atomic<u64>& slot, u64 entry) {
    slot.store(entry, std::memory_order_release);
  }

  static u64 nodes_below(const Node& node) {
    u64 nodes = 1;
    for (u32 slot = 0; slot < Node::slot_count; ++slot)
      if (is_node(value(node, slot))) nodes += nodes_below(node_of(value(node, slot)));
    return nodes;
  }

  // What check_node has found so far, and the pages in a row that lead to one VMA, or to none.
  struct Checked {
    std::string error;
    const V* vma = nullptr;
    u64 first = 0, end = 0;
    void add(const V* at, u64 page, u64 pages) {
      if (at != vma) {
        end_run();
        vma = at;
        first = page;
      }
      end = page + pages;
    }
    void end_run() {
      if (vma == nullptr) return;
      const Range range = vma->range();
      if (page_of(range.start) != first || page_of(range.end) != end)
        error = "a VMA and its slots differ";
    }
  };
  static void check_node(const Node& node, u64 page, Checked& all) {
    const u32 shift = shift_of(node);
    // relaxed: all threads are at rest.
    if (node.state.load(std::memory_order_relaxed) != live_node)
      all.error = "a dead node is in the array";
    u64 count = 0;
    for (u32 slot = 0; slot < Node::slot_count && all.error.empty(); ++slot) {
      const u64 entry = value(node, slot);
      const u64 from = page + (u64{slot} << shift);
      count += entry != 0;
      if (!is_node(entry))
        all.add(vma_of(entry), from, u64{1} << shift);
      else if (node_of(entry).count.load() == 0)
        all.error = "an empty node is in the array";
      else
        check_node(node_of(entry), from, all);
    }
    if (all.error.empty() && count != node.count.load()) all.error = "a node's count is wrong";
  }

  typename P::template atomic<u64> root_{0};
  // Apart from the root, which every look-up reads.
  alignas(line_size) Memory memory_;
};

}  // namespace faultline::vmas
