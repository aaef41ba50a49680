// A B+tree of ranges, which may overlap: the entries of its leaves are the callers' items, in the
// order of their starts. Each entry of an inner node has the greatest end below it, so a search for
// overlaps leaves out what ends before the range. The caller excludes other calls.
#pragma once

#include <algorithm>
#include <new>
#include <string>

#include "locks/platform.hpp"
#include "locks/types.hpp"

namespace faultline {

// Item has range(), which does not change while the item is in the tree.
template <class P, class Item, u32 fan_out>
class RangeBtree {
  static_assert(fan_out >= 2);

 public:
  RangeBtree() { root_.store(&first_); }
  RangeBtree(const RangeBtree&) = delete;
  RangeBtree& operator=(const RangeBtree&) = delete;

  // The first item in the order of the tree that overlaps and is `wanted`, or null.
  template <class F>
  Item* first_overlap(Range range, const F& wanted) const {
    return first_overlap(*root_.load(), height_.load(), range, wanted);
  }

  void insert(Item& item) {
    const Entry entry{key_of(item), item.range().end, &item};
    Block* upper = insert(*root_.load(), height_.load(), entry);
    if (upper == nullptr) return;
    Block* root = take();
    Block& lower = *root_.load();
    set(*root, 0, entry_of(lower));
    set(*root, 1, entry_of(*upper));
    root->count.store(2);
    root_.store(root);
    height_.store(height_.load() + 1);
  }

  void erase(Item& item) {
    erase(*root_.load(), height_.load(), key_of(item));
    while (height_.load() != 0 && root_.load()->count.load() == 1) {
      Block* root = root_.load();
      root_.store(static_cast<Block*>(root->below[0].load()));
      height_.store(height_.load() - 1);
      free(*root);
    }
  }

  template <class F>
  void for_each(const F& visit) const {
    for_each(*root_.load(), height_.load(), visit);
  }

  u32 height() const { return height_.load(); }

  // For tests: answers what is wrong with the tree, or an empty string.
  std::string check() const {
    std::string wrong;
    Key last{};
    check(*root_.load(), height_.load(), last, wrong);
    return wrong;
  }

 private:
  struct Key {
    u64 start = 0;
    const Item* item = nullptr;
    bool operator<(const Key& other) const {
      return start != other.start ? start < other.start : item < other.item;
    }
  };
  // `below` is an item in a leaf, else a block.
  struct Entry {
    Key key;
    u64 end;
    void* below;
  };
  // A key is at or below all keys under its entry, and above those under the entry before.
  struct alignas(line_size) Block {
    typename P::template data<u32> count;
    typename P::template data<Block*> next_free;
    typename P::template data<u64> start[fan_out];
    typename P::template data<const Item*> item[fan_out];
    typename P::template data<u64> end[fan_out];
    typename P::template data<void*> below[fan_out];
  };

  static Key key_of(const Item& item) { return {item.range().start, &item}; }
  static Key key_at(const Block& block, u32 i) {
    return {block.start[i].load(), block.item[i].load()};
  }
  static Item* item_at(const Block& block, u32 i) {
    return static_cast<Item*>(block.below[i].load());
  }
  static Block& block_at(const Block& block, u32 i) {
    return *static_cast<Block*>(block.below[i].load());
  }
  static void set(Block& block, u32 i, const Entry& entry) {
    block.start[i].store(entry.key.start);
    block.item[i].store(entry.key.item);
    block.end[i].store(entry.end);
    block.below[i].store(entry.below);
  }
  static Entry get(const Block& block, u32 i) {
    return {key_at(block, i), block.end[i].load(), block.below[i].load()};
  }
  // The entry for a block in the block above it.
  static Entry entry_of(Block& block) {
    u64 end = 0;
    for (u32 i = 0; i < block.count.load(); ++i) end = std::max(end, block.end[i].load());
    return {key_at(block, 0), end, &block};
  }

  // The last entry whose key is at or below, or the first one.
  static u32 place_of(const Block& block, const Key& key) {
    u32 i = block.count.load();
    while (i > 1 && key < key_at(block, i - 1)) --i;
    return i == 0 ? 0 : i - 1;
  }

  static void put(Block& block, u32 at, const Entry& entry) {
    const u32 count = block.count.load();
    for (u32 i = count; i > at; --i) set(block, i, get(block, i - 1));
    set(block, at, entry);
    block.count.store(count + 1);
  }
  static void drop(Block& block, u32 at) {
    const u32 count = block.count.load() - 1;
    for (u32 i = at; i < count; ++i) set(block, i, get(block, i + 1));
    block.count.store(count);
  }

  // Puts the entry in order. If the block is full, moves its upper half into a new one and answers
  // that.
  Block* put_in_order(Block& block, const Entry& entry) {
    u32 at = block.count.load();
    while (at > 0 && entry.key < key_at(block, at - 1)) --at;
    if (block.count.load() < fan_out) {
      put(block, at, entry);
      return nullptr;
    }
    constexpr u32 half = fan_out / 2;
    Block* upper = take();
    for (u32 i = half; i < fan_out; ++i) set(*upper, i - half, get(block, i));
    upper->count.store(fan_out - half);
    block.count.store(half);
    if (at <= half)
      put(block, at, entry);
    else
      put(*upper, at - half, entry);
    return upper;
  }

  // Answers the new block beside this one, if this one was split.
  Block* insert(Block& block, u32 height, const Entry& entry) {
    if (height == 0) return put_in_order(block, entry);
    const u32 at = place_of(block, entry.key);
    Block& below = block_at(block, at);
    Block* upper = insert(below, height - 1, entry);
    set(block, at, entry_of(below));
    return upper == nullptr ? nullptr : put_in_order(block, entry_of(*upper));
  }

  void erase(Block& block, u32 height, const Key& key) {
    const u32 at = place_of(block, key);
    if (height == 0) return drop(block, at);
    Block& below = block_at(block, at);
    erase(below, height - 1, key);
    if (below.count.load() != 0) return set(block, at, entry_of(below));
    free(below);
    drop(block, at);
  }

  template <class F>
  static Item* first_overlap(const Block& block, u32 height, Range range, const F& wanted) {
    for (u32 i = 0; i < block.count.load() && block.start[i].load() < range.end; ++i) {
      if (block.end[i].load() <= range.start) continue;
      if (height == 0) {
        if (Item* item = item_at(block, i); wanted(*item)) return item;
      } else if (Item* item = first_overlap(block_at(block, i), height - 1, range, wanted)) {
        return item;
      }
    }
    return nullptr;
  }

  template <class F>
  static void for_each(const Block& block, u32 height, const F& visit) {
    for (u32 i = 0; i < block.count.load(); ++i)
      if (height == 0)
        visit(*item_at(block, i));
      else
        for_each(block_at(block, i), height - 1, visit);
  }

  void check(Block& block, u32 height, Key& last, std::string& wrong) const {
    if (block.count.load() > fan_out) wrong = "a block has too many entries";
    if (block.count.load() == 0 && &block != root_.load()) wrong = "a block is empty";
    for (u32 i = 0; i < block.count.load(); ++i) {
      if (height != 0) {
        const Entry below = entry_of(block_at(block, i));
        if (below.end != block.end[i].load()) wrong = "an end is not the greatest one below";
        if (below.key < key_at(block, i)) wrong = "a key is above one below it";
        check(block_at(block, i), height - 1, last, wrong);
        continue;
      }
      if (!(last < key_at(block, i))) wrong = "ranges are not in order";
      if (item_at(block, i)->range().end != block.end[i].load()) wrong = "a range's end is wrong";
      last = key_at(block, i);
    }
  }

  // A block with unspecified content.
  Block* take() {
    Block* block = free_.load();
    if (block == nullptr) {
      block = new (P::allocate(sizeof(Block), alignof(Block))) Block();
      P::label(block, "range.tree");
      return block;
    }
    free_.store(block->next_free.load());
    return block;
  }
  void free(Block& block) {
    block.next_free.store(free_.load());
    free_.store(&block);
  }

  typename P::template data<Block*> root_;
  typename P::template data<u32> height_;
  typename P::template data<Block*> free_;
  Block first_;  // the first root
};

}  // namespace faultline
