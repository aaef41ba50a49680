// The blocks of a B+tree of ranges that threads search without a lock (btree_olc_range_lock.hpp),
// and the list of free ones.
#pragma once

#include <algorithm>
#include <new>

#include "locks/layout.hpp"
#include "locks/mutex/section.hpp"
#include "locks/platform.hpp"

namespace faultline {

// A block is a leaf or an inner block. It has a version: a counter, whose lowest bit is the block's
// lock. Only the thread that has locked a block changes it. Others may read it meanwhile, and then
// find another version. The memory of a block is used again only for blocks. Blocks of fewer than
// four entries are for tests: ranges that come in order make a tree of them that is as high as a
// list is long.
template <class P, class Node, u32 fan_out>
class alignas(cache_line) OlcBlock {
  static_assert(fan_out >= 2);

 public:
  using Version = typename P::template atomic<u64>;
  static constexpr u64 locked = 1;
  static constexpr u64 changed = 2;  // what a change adds to the version

  // Ranges are in the order of the starts with which they came, those of one start in the order of
  // their nodes.
  struct Key {
    u64 start = 0;
    Node* node = nullptr;
    bool operator<(const Key& other) const {
      return start != other.start ? start < other.start : node < other.node;
    }
  };
  // The key of an inner block's entry is at or below all keys under it, and above those under the
  // entry before; that of the first entry means nothing. `end` is the range's end, or the greatest
  // one under the entry.
  struct Entry {
    Key key;
    u64 end;   // 0 where an entry is to be taken away
    u64 more;  // in a leaf hold_of(begin, exclusive), in an inner block the block below
  };
  static u64 hold_of(u64 begin, bool exclusive) { return begin * 2 + (exclusive ? 1 : 0); }
  static u64 begin_of(u64 hold) { return hold / 2; }
  static bool is_exclusive(u64 hold) { return hold % 2 != 0; }

  // acquire: pairs with the release in write(). Who sees a new value sees the lock of the thread
  // that wrote it when it then loads the version. Who sees an address sees the block constructed.
  static auto read(const auto& cell) { return cell.load(std::memory_order_acquire); }
  // release: pairs with the acquire in read().
  static void write(auto& cell, auto value) { cell.store(value, std::memory_order_release); }

  u32 count() const { return read(count_); }  // at most `fan_out`, even while the block changes
  bool is_full() const { return count() == fan_out; }
  u64 start(u32 i) const { return read(start_[i]); }
  Node* node(u32 i) const { return read(node_[i]); }
  u64 end(u32 i) const { return read(end_[i]); }
  u64 hold(u32 i) const { return read(more_[i]); }
  OlcBlock* below(u32 i) const { return reinterpret_cast<OlcBlock*>(read(more_[i])); }
  Key key(u32 i) const { return {start(i), node(i)}; }
  Entry entry(u32 i) const { return {key(i), end(i), read(more_[i])}; }

  // The entry for this block in the block above it.
  Entry entry_above() const { return {key(0), greatest_end(), reinterpret_cast<u64>(this)}; }
  // The greatest end of all entries except entry `but`.
  u64 greatest_end(u32 but = fan_out) const {
    u64 greatest = 0;
    for (u32 i = count(); i-- > 0;)
      if (i != but) greatest = std::max(greatest, end(i));
    return greatest;
  }
  // The number of entries whose key is not above.
  u32 place_of(const Key& key) const {
    u32 i = count();
    while (i > 0 && key < this->key(i - 1)) --i;
    return i;
  }
  // The entry under which a key belongs in an inner block.
  u32 way_to(const Key& key) const {
    const u32 place = place_of(key);
    return place == 0 ? 0 : place - 1;
  }
  // The entry of the node's range in a leaf, or `fan_out`.
  u32 find(const Node& node) const {
    for (u32 i = count(); i-- > 0;)
      if (this->node(i) == &node) return i;
    return fan_out;
  }

  void set(u32 i, const Entry& entry) {
    write(start_[i], entry.key.start);
    write(node_[i], entry.key.node);
    set_end(i, entry.end);
    write(more_[i], entry.more);
  }
  void set_end(u32 i, u64 end) { write(end_[i], end); }
  // Inserts the entry at index `at`.
  void put(u32 at, const Entry& entry) {
    const u32 count = this->count();
    for (u32 i = count; i > at; --i) set(i, this->entry(i - 1));
    set(at, entry);
    write(count_, count + 1);
  }
  void drop(u32 at) {
    const u32 count = this->count() - 1;
    for (u32 i = at; i < count; ++i) set(i, entry(i + 1));
    write(count_, count);
  }
  void clear() { write(count_, 0U); }
  // Moves the upper half of a full block into an empty one.
  void split(OlcBlock& upper) {
    constexpr u32 half = fan_out / 2;
    for (u32 i = half; i < fan_out; ++i) upper.set(i - half, entry(i));
    write(upper.count_, fan_out - half);
    write(count_, half);
  }

  Version version{locked};
  typename P::template data<OlcBlock*> next_free;

 private:
  template <class T>
  using Cell = typename P::template atomic<T>;
  Cell<u32> count_{0};
  Cell<u64> start_[fan_out];
  Cell<Node*> node_[fan_out];
  Cell<u64> end_[fan_out];
  Cell<u64> more_[fan_out];
};

// Free blocks, which are locked. The platform keeps their memory until its end.
template <class P, template <class> class Mutex, class Block>
class OlcBlocks {
 public:
  OlcBlocks() { P::label(&mutex_, "range.free"); }

  // An empty block, which is locked. To publish it is to unlock it.
  Block& take() {
    MutexSection<Mutex<P>> section(mutex_);
    Block* block = free_.load();
    if (block == nullptr) {
      block = new (P::allocate(sizeof(Block), alignof(Block))) Block();
      P::label(block, "range.tree");
      made_.store(made_.load() + 1);
      return *block;
    }
    free_.store(block->next_free.load());
    block->clear();
    return *block;
  }
  static void publish(Block& block) {
    // relaxed: this thread has locked it. release: pairs with the acquire of who enters the block.
    // weakened release survives, program: a thread would have to read the address of a block, and
    // enter it once the block is free and in use again.
    block.version.store(block.version.load(std::memory_order_relaxed) + 1,
                        std::memory_order_release);
  }
  // The block is locked, and stays so.
  void give(Block& block) {
    MutexSection<Mutex<P>> section(mutex_);
    block.next_free.store(free_.load());
    free_.store(&block);
  }

  // For tests, with all threads at rest.
  u64 made() const { return made_.load(); }
  u64 count_free() const {
    u64 count = 0;
    for (const Block* block = free_.load(); block != nullptr; block = block->next_free.load())
      ++count;
    return count;
  }

 private:
  Mutex<P> mutex_;
  typename P::template data<Block*> free_;
  typename P::template data<u64> made_;
};

}  // namespace faultline
