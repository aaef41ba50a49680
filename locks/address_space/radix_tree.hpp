// A radix tree over page numbers, after RadixVM (Clements, Kaashoek, Zeldovich, EuroSys 2013). Each
// bottom-most slot is a lock and a value in one word. A slot above the leaves stands for all its
// pages while they are alike (folded), whether they are mapped or a hole, so holes can be locked
// too. The holder of a slot expands it when its pages must differ. To expand, the holder fills a
// child with the slot's value, locks the slots of the child that it wants to keep, and stores the
// child's address in place of the value.
//
//   lock a range    locks the bottom-most slots from left to right. If a slot is expanded while the
//                   thread waits for it, the thread descends into the child. If the range cuts a
//                   folded slot, the thread expands that slot until the range's edges are slots'
//                   edges
//   unlock          unlocks slots in any order
//
// There is no deadlock: all slots that a thread holds lie left of the slot it waits for. Waiters
// spin, as RadixVM's do (bit_spinlock.hh of sv6, which tries again at each turn; here a waiter only
// reads until the slot looks free). Where threads share a CPU, P::pause yields it to the holder.
// Nodes are neither folded again nor freed while the tree lives. RadixVM frees them by Refcache;
// that would change little of what is measured here, and the number of pages that were ever mapped
// bounds the memory.
//
// The slots of the leaves have one of two forms. A WordSlot is 8 bytes, so 8 slots share a line,
// and faults on neighbouring pages contend for that line. An Sv6Slot is as large as RadixVM's.
#pragma once

#include <array>
#include <utility>
#include <vector>

#include "locks/events.hpp"
#include "locks/layout.hpp"
#include "locks/pool.hpp"
#include "locks/types.hpp"

namespace faultline {

// A slot's word by value. Bit 0: the slot is locked. Bit 1: the word holds a child's address. The
// rest is the user's value, where 0 stands for a hole.
struct RadixWord {
  static constexpr u64 lock_bit = 1, child_bit = 2, control_bits = 3;
};

template <class P>
struct WordSlot {
  typename P::template atomic<u64> word{0};
};

// vmdesc of sv6 (include/vm.hh; NCPU is 80 in the kernel of the published curves): the CPUs that
// use the page, the flags with the lock bit, the page, the file and its offset. 48 bytes. A leaf is
// a page of memory and has 64 slots, since sv6 rounds the size of a slot up to a power of two when
// it counts them (radix_array.hh). Only the word is used here.
template <class P>
struct Sv6Slot {
  u64 users[2] = {};
  typename P::template atomic<u64> word{0};
  u64 rest[3] = {};

  Sv6Slot() { static_assert(!PlainCells<P> || sizeof(Sv6Slot) == 48); }
};

// `levels` is 2 or more. Nodes above the leaves have 2^bits slots of a word, leaves 2^leaf_bits
// LeafSlots.
template <class P, u32 bits = 9, u32 levels = 4, template <class> class LeafSlot = WordSlot,
          u32 leaf_bits = bits>
class RadixTree {
 public:
  using Slot = typename P::template atomic<u64>;
  // The tree holds page numbers below this.
  static constexpr u64 pages = u64{1} << (leaf_bits + bits * (levels - 1));
  static constexpr u64 leaf_pages = u64{1} << leaf_bits;
  static constexpr const char* scheme = "lock_in_tree";
  static constexpr std::array<const char*, 2> space_events = {"lock_in_tree.placement_retries",
                                                              "lock_in_tree.stack_growth"};

  // For the calling thread.
  void reserve(usize leaves) {
    leaves_.reserve(leaves);
    nodes_.reserve(8);
  }

  // Locks the pages [first, end) and no others. Slots that the edges cut are expanded.
  void lock(u64 first, u64 end) {
    for (u64 at = first; at < end;) {
      const Place place = lock_slot_of(at);
      narrow(*place.slot, place.level, place.first, first, end);
      at = place.first + span(place.level);
    }
  }

  // The same for each two neighbours of `edges`: each is the edge of a slot afterwards.
  template <usize n>
  void lock_adjacent(const std::array<u64, n>& edges) {
    for (usize i = 0; i + 1 < n; ++i) lock(edges[i], edges[i + 1]);
  }
  template <usize n>
  void unlock_adjacent(const std::array<u64, n>& edges) {
    for (usize i = n - 1; i-- > 0;) unlock(edges[i], edges[i + 1]);
  }

  // The slot of the page below the break's start guards the break. It lies left of all slots that
  // the thread locks then.
  void lock_break(u64 page_below) { lock(page_below, page_below + 1); }
  void unlock_break(u64 page_below) { unlock(page_below, page_below + 1); }

  // Locks the bottom-most slot that holds `page`, with all its other pages, and answers its value.
  u64 lock_folded(u64 page, u64& first, u64& end) {
    const Place place = lock_slot_of(page);
    first = place.first;
    end = first + span(place.level);
    return value(*place.slot);
  }

  // Locks the page and answers its value. A hole stays folded: then all its pages are locked, and
  // unlocking this one unlocks them.
  u64 lock_page(u64 page) {
    u64 first = 0;
    u64 end = 0;
    const u64 value = lock_folded(page, first, end);
    if (value != 0 && end - first > 1) narrow_to(page, page + 1);
    return value;
  }

  // The caller holds a folded slot. Keeps [first, end) of it locked and unlocks the rest.
  void narrow_to(u64 first, u64 end) {
    const Place place = find(first);
    narrow(*place.slot, place.level, place.first, first, end);
  }

  void unlock(u64 first, u64 end) {
    visit(first, end, [&](Slot& slot, u64, u64, u64) {
      unlock_slot(slot);
      return true;
    });
  }

  // The caller holds [first, end). Gives all of it the value `fresh`.
  void fill(u64 first, u64 end, u64 fresh) {
    visit(first, end, [&](Slot& slot, u64, u64, u64) {
      set_value(slot, fresh);
      return true;
    });
  }

  // Calls look(value, first, end) for every bottom-most slot that touches [first, end), from left
  // to right, until it answers false. The slots do not change while a holder of the range looks.
  // Other threads see each slot as it was at some moment.
  template <class F>
  void for_each(u64 first, u64 end, F&& look) const {
    const_cast<RadixTree*>(this)->visit(first, end,
                                        [&](Slot&, u64 word, u64 slot_first, u64 slot_end) {
                                          return look(word, slot_first, slot_end);
                                        });
  }
  // The same for a holder of the range, who may also set each slot: change(value) answers the new
  // value.
  template <class F>
  void edit(u64 first, u64 end, F&& change) {
    visit(first, end, [&](Slot& slot, u64 word, u64, u64) {
      const u64 fresh = change(word);
      if (fresh != word) set_value(slot, fresh);
      return true;
    });
  }

  void append_events(Events& events) const { counters_.append_to(events); }

  // The pages [first, second) of each run of locked slots. Racy while threads work.
  std::vector<std::pair<u64, u64>> locked() const {
    std::vector<std::pair<u64, u64>> runs;
    const_cast<RadixTree*>(this)->visit(0, pages, [&](Slot& slot, u64, u64 first, u64 end) {
      // relaxed: the report shows one moment.
      if (!is_locked(slot.load(std::memory_order_relaxed))) return true;
      if (!runs.empty() && runs.back().second == first)
        runs.back().second = end;
      else
        runs.emplace_back(first, end);
      return true;
    });
    return runs;
  }

 private:
  // false_conflicts counts waits for a folded slot that its holder then expanded without keeping
  // the waiter's page. A fault at a hole also locks a folded slot, and unlocks it without expanding
  // it. Waits for such a fault are counted under `waits` alone.
  enum Event : usize { waits, expansions, false_conflicts, event_count };
  static constexpr std::array<const char*, event_count> event_names = {
      "lock_in_tree.waits", "lock_in_tree.expansions", "lock_in_tree.false_conflicts"};

  struct alignas(cache_line) Node {
    Node() { P::label(&slots, "radix_tree.slots"); }
    Slot slots[u64{1} << bits] = {};
    Node* next_free = nullptr;
  };
  struct alignas(cache_line) Leaf {
    Leaf() { P::label(&slots, "radix_tree.slots"); }
    LeafSlot<P> slots[leaf_pages] = {};
    Leaf* next_free = nullptr;
  };
  static_assert(!PlainCells<P> || sizeof(Slot[line_size / 8]) == line_size);
  struct Place {
    Slot* slot;
    u32 level;  // 0: the slot is one page
    u64 first;  // the slot's first page
  };

  static constexpr u64 span(u32 level) {
    return level == 0 ? 1 : u64{1} << (leaf_bits + bits * (level - 1));
  }
  static constexpr u64 slots_of(u32 level) { return level == 0 ? leaf_pages : u64{1} << bits; }
  // `node` is a Leaf at level 0, else a Node.
  static Slot& slot_of(void* node, u32 level, u64 i) {
    return level == 0 ? static_cast<Leaf*>(node)->slots[i].word
                      : static_cast<Node*>(node)->slots[i];
  }
  static bool is_child(u64 word) { return (word & RadixWord::child_bit) != 0; }
  static bool is_locked(u64 word) { return (word & RadixWord::lock_bit) != 0; }
  static void* child_of(u64 word) {
    return reinterpret_cast<void*>(word & ~RadixWord::control_bits);
  }
  static u64 value(const Slot& slot) {
    // relaxed: the caller holds the slot.
    return slot.load(std::memory_order_relaxed) & ~RadixWord::control_bits;
  }

  Place find(u64 page) {
    void* node = &root_;
    for (u32 level = levels - 1;; --level) {
      Slot& slot = slot_of(node, level, page / span(level) % slots_of(level));
      // acquire: pairs with the release in expand(), so that the child is seen constructed.
      const u64 word = slot.load(std::memory_order_acquire);
      if (!is_child(word)) return {&slot, level, page / span(level) * span(level)};
      node = child_of(word);
    }
  }

  Place lock_slot_of(u64 page) {
    for (u32 waited_at = 0;;) {
      const Place place = find(page);
      if (try_lock(*place.slot)) {
        if (place.level < waited_at) counters_.add(false_conflicts);
        return place;
      }
      if (wait(*place.slot)) waited_at = place.level;
    }
  }

  // False when the slot is locked or has become a child.
  static bool try_lock(Slot& slot) {
    u64 word = slot.load(std::memory_order_relaxed);  // relaxed: the exchange decides
    while (!is_child(word) && !is_locked(word))
      // acquire: pairs with unlock_slot's release, so that this thread sees what the last holder
      // did, to the page's entry in the page table too.
      if (slot.compare_exchange_weak(word, word | RadixWord::lock_bit, std::memory_order_acquire,
                                     std::memory_order_relaxed))
        return true;
    return false;
  }

  // Returns when the slot looks free or has become a child. False when it was so at once.
  bool wait(Slot& slot) {
    const auto held = [](u64 word) { return !is_child(word) && is_locked(word); };
    // relaxed, here and below: the thread acquires when it locks the slot.
    if (!held(slot.load(std::memory_order_relaxed))) return false;
    WaitScope<P> waiting(&slot, "slot of lock_in_tree");
    counters_.add(waits);
    while (held(slot.load(std::memory_order_relaxed))) P::pause(&slot);
    return true;
  }

  // Only the holder changes the word of a locked slot, so its plain stores lose nothing.
  void unlock_slot(Slot& slot) {
    // release: pairs with try_lock's acquire.
    slot.store(value(slot), std::memory_order_release);
  }

  // The caller holds the slot.
  static void set_value(Slot& slot, u64 fresh) {
    // relaxed: the caller holds the slot.
    const u64 held = slot.load(std::memory_order_relaxed) & RadixWord::control_bits;
    // release: a thread that reads the value without the lock (scan) sees what the value stands for
    // constructed.
    // weakened release survives, program: no program reads values without the lock.
    slot.store(fresh | held, std::memory_order_release);
  }

  // The caller holds the slot. Keeps what lies in [first, end) locked and unlocks the rest. Expands
  // as far down as the edges of the range require.
  void narrow(Slot& slot, u32 level, u64 slot_first, u64 first, u64 end) {
    if (slot_first >= first && slot_first + span(level) <= end) return;
    const u64 child_span = span(level - 1);
    void* child = expand(slot, level - 1, slot_first, first, end);
    for (u64 i = 0; i < slots_of(level - 1); ++i) {
      const u64 child_first = slot_first + i * child_span;
      if (child_first < end && child_first + child_span > first)
        narrow(slot_of(child, level - 1, i), level - 1, child_first, first, end);
    }
  }

  // Answers the child, whose level is `level`.
  void* expand(Slot& slot, u32 level, u64 slot_first, u64 first, u64 end) {
    counters_.add(expansions);
    void* child = level == 0 ? static_cast<void*>(leaves_.take()) : nodes_.take();
    const u64 inherited = value(slot);
    for (u64 i = 0; i < slots_of(level); ++i) {
      const u64 child_first = slot_first + i * span(level);
      const bool wanted = child_first < end && child_first + span(level) > first;
      // relaxed: published by the store below.
      slot_of(child, level, i)
          .store(inherited | (wanted ? RadixWord::lock_bit : 0), std::memory_order_relaxed);
    }
    // release: pairs with find()'s acquire. Threads that wait for the slot descend into the child.
    slot.store(reinterpret_cast<u64>(child) | RadixWord::child_bit, std::memory_order_release);
    return child;
  }

  template <class F>
  void visit(u64 first, u64 end, F&& see) {
    visit_node(&root_, levels - 1, 0, first, end, see);
  }

  // Calls see(slot, value, first page, one past the last) from left to right until it answers
  // false.
  template <class F>
  bool visit_node(void* node, u32 level, u64 node_first, u64 first, u64 end, F& see) {
    const u64 from = first > node_first ? (first - node_first) / span(level) : 0;
    for (u64 i = from; i < slots_of(level); ++i) {
      const u64 slot_first = node_first + i * span(level);
      if (slot_first >= end) return true;
      Slot& slot = slot_of(node, level, i);
      const u64 word = slot.load(std::memory_order_acquire);  // acquire: as in find()
      if (is_child(word)) {
        if (!visit_node(child_of(word), level - 1, slot_first, first, end, see)) return false;
      } else if (!see(slot, word & ~RadixWord::control_bits, slot_first,
                      slot_first + span(level))) {
        return false;
      }
    }
    return true;
  }

  Node root_;
  Pool<P, Node> nodes_;
  Pool<P, Leaf> leaves_;
  EventCounters<P, event_count> counters_{event_names};
};

}  // namespace faultline
