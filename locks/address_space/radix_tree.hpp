// A radix tree over page numbers, after RadixVM (Clements, Kaashoek, Zeldovich, EuroSys 2013). Each
// bottom-most slot is a lock and a value in one word. A slot above the leaves stands for all its
// pages while they are alike (folded), whether they are mapped or a hole, so holes can be locked
// too. The locker of a slot expands it when its pages must differ: it fills a child with the slot's
// value, leaves those slots of the child locked that it wants, and stores the child's address in
// place of the value.
//
//   lock a range    locks the bottom-most slots from left to right. It descends into a slot that is
//                   expanded while it waits. It expands a folded slot that the range cuts, until
//                   the range's edge is a slot's edge
//   unlock          any slots, in any order
//
// There is no deadlock: all locks that a thread holds lie left of the slot it waits for. Waiters
// spin for a while, then sleep (WaitTable). Nodes are neither folded again nor freed before the
// tree is. RadixVM frees them by Refcache; here that would change little of what is measured, and
// the pages that were ever mapped bound the memory.
//
// A slot is 8 bytes, so 8 slots share a line, and faults on neighbouring pages meet there.
// RadixVM's own slots are larger.
#pragma once

#include <utility>
#include <vector>

#include "locks/address_space/wait_table.hpp"
#include "locks/events.hpp"
#include "locks/layout.hpp"
#include "locks/pool.hpp"
#include "locks/types.hpp"

namespace faultline {

// A slot's word by value. Bit 0: locked; bit 1: it holds a child's address; bit 2: a thread sleeps
// until it is unlocked. The rest is the user's value; 0 stands for a hole.
struct RadixWord {
  static constexpr u64 lock_bit = 1, child_bit = 2, waiters_bit = 4, control_bits = 7;
};

template <class P, u32 bits = 9, u32 levels = 4>
class RadixTree {
 public:
  using Slot = typename P::template atomic<u64>;
  static constexpr u64 pages = u64{1} << (bits * levels);  // the tree holds page numbers below this

  void reserve(usize nodes) { nodes_.reserve(nodes); }

  // Locks the pages [first, end) and no others: slots that the edges cut are expanded.
  void lock(u64 first, u64 end) {
    for (u64 at = first; at < end;) {
      const Place place = lock_slot_of(at);
      narrow(*place.slot, place.level, place.first, first, end);
      at = place.first + span(place.level);
    }
  }

  // Locks the bottom-most slot that holds `page`, whatever else it holds, and answers its value.
  u64 lock_folded(u64 page, u64& first, u64& end) {
    const Place place = lock_slot_of(page);
    first = place.first;
    end = first + span(place.level);
    return value(*place.slot);
  }

  // For a holder of a folded slot: keeps [first, end) of it locked, and lets go the rest.
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

  // For a holder of [first, end): gives all of it the value.
  void fill(u64 first, u64 end, u64 fresh) {
    visit(first, end, [&](Slot& slot, u64, u64, u64) {
      set_value(slot, fresh);
      return true;
    });
  }

  // look(value, first, end) for every bottom-most slot that touches [first, end), from left to
  // right, while it answers true. A holder of the range sees it stand still; others see each slot
  // as it was at some moment.
  template <class F>
  void for_each(u64 first, u64 end, F&& look) const {
    const_cast<RadixTree*>(this)->visit(first, end,
                                        [&](Slot&, u64 word, u64 slot_first, u64 slot_end) {
                                          return look(word, slot_first, slot_end);
                                        });
  }
  // The same for a holder, who may set what is looked at: edit(value) answers the new value.
  template <class F>
  void edit(u64 first, u64 end, F&& change) {
    visit(first, end, [&](Slot& slot, u64 word, u64, u64) {
      const u64 fresh = change(word);
      if (fresh != word) set_value(slot, fresh);
      return true;
    });
  }

  void append_events(Events& events) const { counters_.append_to(events); }

  // The pages [first, second) of each run of locked slots; racy while threads work.
  std::vector<std::pair<u64, u64>> locked() const {
    std::vector<std::pair<u64, u64>> runs;
    const_cast<RadixTree*>(this)->visit(0, pages, [&](Slot& slot, u64, u64 first, u64 end) {
      // relaxed: a report of the moment.
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
  // false_conflicts: waits for a folded slot that its holder then expanded without keeping the
  // waiter's page. A fault at a hole locks a folded slot too, and lets it go unexpanded: waits for
  // that are not told from others.
  enum Event : usize { waits, sleeps, expansions, false_conflicts, event_count };
  static constexpr std::array<const char*, event_count> event_names = {
      "lock_in_tree.waits", "lock_in_tree.sleeps", "lock_in_tree.expansions",
      "lock_in_tree.false_conflicts"};

  static constexpr u64 fan_out = u64{1} << bits;
  static constexpr u64 spin_ns = 8'000;  // before a waiter sleeps

  struct alignas(cache_line) Node {
    Node() { P::label(&slots, "radix_tree.slots"); }
    Slot slots[fan_out] = {};
    Node* next_free = nullptr;
  };
  static_assert(!PlainCells<P> || sizeof(Slot[line_size / 8]) == line_size);
  struct Place {
    Slot* slot;
    u32 level;  // 0: one page
    u64 first;  // page
  };

  static constexpr u64 span(u32 level) { return u64{1} << (bits * level); }
  static bool is_child(u64 word) { return (word & RadixWord::child_bit) != 0; }
  static bool is_locked(u64 word) { return (word & RadixWord::lock_bit) != 0; }
  static Node* child_of(u64 word) {
    return reinterpret_cast<Node*>(word & ~RadixWord::control_bits);
  }
  static u64 value(const Slot& slot) {
    return slot.load(std::memory_order_relaxed) &
           ~RadixWord::control_bits;  // relaxed: the caller holds the slot
  }

  Place find(u64 page) {
    Node* node = &root_;
    for (u32 level = levels - 1;; --level) {
      Slot& slot = node->slots[page / span(level) % fan_out];
      // acquire: pairs with the release in expand(): the child is seen made.
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

  // False: it is locked, or has become a child.
  static bool try_lock(Slot& slot) {
    u64 word = slot.load(std::memory_order_relaxed);  // relaxed: the exchange decides
    while (!is_child(word) && !is_locked(word))
      // acquire: pairs with unlock_slot's release. find() has acquired from the same word already;
      // only what was let go between its look and this is left to be acquired here.
      // weakened acquire survives, program: no program lets go of something newly made between the
      // two.
      if (slot.compare_exchange_weak(word, word | RadixWord::lock_bit, std::memory_order_acquire,
                                     std::memory_order_relaxed))
        return true;
    return false;
  }

  // Returns when the slot looks free, or has become a child. False: it was so at once.
  bool wait(Slot& slot) {
    const auto held = [](u64 word) { return !is_child(word) && is_locked(word); };
    // relaxed, here and below: who locks it then acquires.
    if (!held(slot.load(std::memory_order_relaxed))) return false;
    WaitScope<P> waiting(&slot, "slot of lock_in_tree");
    counters_.add(waits);
    for (const u64 limit = P::now() + spin_ns; P::now() < limit;) {
      if (!held(slot.load(std::memory_order_relaxed))) return true;
      P::pause(&slot);
    }
    for (;;) {
      const u32 ticket = sleepers_.ticket(&slot);
      u64 word = slot.load(std::memory_order_relaxed);
      if (!held(word)) return true;
      // relaxed: the bit carries no data. If it goes in, then the holder's unlock or expansion,
      // which comes later, sees it and wakes; the ticket is older than that, so the sleep below
      // does not outlast it.
      if ((word & RadixWord::waiters_bit) == 0 &&
          !slot.compare_exchange_strong(word, word | RadixWord::waiters_bit,
                                        std::memory_order_relaxed, std::memory_order_relaxed))
        continue;
      counters_.add(sleeps);
      sleepers_.wait(&slot, ticket);
    }
  }

  void unlock_slot(Slot& slot) {
    // release: pairs with try_lock's acquire.
    const u64 old =
        slot.fetch_and(~(RadixWord::lock_bit | RadixWord::waiters_bit), std::memory_order_release);
    if ((old & RadixWord::waiters_bit) != 0) sleepers_.wake(&slot);
  }

  // The holder's; sleepers may set their bit meanwhile.
  static void set_value(Slot& slot, u64 fresh) {
    u64 word = slot.load(std::memory_order_relaxed);  // relaxed: holder
    // release: whoever reads the value without the lock (scan) finds what it stands for made.
    // weakened release survives, program: no program reads values without the lock.
    while (!slot.compare_exchange_weak(word, fresh | (word & RadixWord::control_bits),
                                       std::memory_order_release, std::memory_order_relaxed)) {
    }
  }

  // The holder's. Keeps what lies in [first, end) locked and frees the rest, expanding as far down
  // as the edges ask.
  void narrow(Slot& slot, u32 level, u64 slot_first, u64 first, u64 end) {
    if (slot_first >= first && slot_first + span(level) <= end) return;
    const u64 child_span = span(level - 1);
    Node& child = expand(slot, child_span, slot_first, first, end);
    for (u64 i = 0; i < fan_out; ++i) {
      const u64 child_first = slot_first + i * child_span;
      if (child_first < end && child_first + child_span > first)
        narrow(child.slots[i], level - 1, child_first, first, end);
    }
  }

  Node& expand(Slot& slot, u64 child_span, u64 slot_first, u64 first, u64 end) {
    counters_.add(expansions);
    Node& child = *nodes_.take();
    const u64 inherited = value(slot);
    for (u64 i = 0; i < fan_out; ++i) {
      const u64 child_first = slot_first + i * child_span;
      const bool wanted = child_first < end && child_first + child_span > first;
      // relaxed: published by the exchange below.
      child.slots[i].store(inherited | (wanted ? RadixWord::lock_bit : 0),
                           std::memory_order_relaxed);
    }
    // release: pairs with find()'s acquire. Those who slept for the slot descend.
    const u64 old = slot.exchange(reinterpret_cast<u64>(&child) | RadixWord::child_bit,
                                  std::memory_order_release);
    if ((old & RadixWord::waiters_bit) != 0) sleepers_.wake(&slot);
    return child;
  }

  template <class F>
  void visit(u64 first, u64 end, F&& see) {
    visit_node(root_, levels - 1, 0, first, end, see);
  }

  // see(slot, value, first page, one past the last) left to right while it answers true.
  template <class F>
  bool visit_node(Node& node, u32 level, u64 node_first, u64 first, u64 end, F& see) {
    const u64 from = first > node_first ? (first - node_first) / span(level) : 0;
    for (u64 i = from; i < fan_out; ++i) {
      const u64 slot_first = node_first + i * span(level);
      if (slot_first >= end) return true;
      Slot& slot = node.slots[i];
      const u64 word = slot.load(std::memory_order_acquire);  // acquire: as in find()
      if (is_child(word)) {
        if (!visit_node(*child_of(word), level - 1, slot_first, first, end, see)) return false;
      } else if (!see(slot, word & ~RadixWord::control_bits, slot_first,
                      slot_first + span(level))) {
        return false;
      }
    }
    return true;
  }

  Node root_;
  Pool<P, Node> nodes_;
  WaitTable<P> sleepers_;
  EventCounters<P, event_count> counters_{event_names};
};

}  // namespace faultline
