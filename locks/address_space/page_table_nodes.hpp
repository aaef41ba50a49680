// The page table as the range lock, after CortenMM_adv (Zhang et al., "CortenMM: Efficient Memory
// Management with Strong Correctness Guarantees", SOSP 2025; TELOS-syslab/asterinas, commit
// 070d04b3daba, ostd/src/mm/page_table/cursor/locking.rs). Every node of the page table has a lock
// and, for each of its entries, a word that says what is mapped there. These words replace the
// VMAs. An entry without a child stands for its whole span while its pages are alike.
//
//   lock a range  walks under RCU, without a lock, to the lowest node that covers the range, and
//                 locks it. Where a child is missing on the way, locks its parent and creates it.
//                 A node that was removed meanwhile is stray: the thread begins anew. Then locks
//                 the existing nodes below that the range touches, parents before children and from
//                 left to right
//   fill          gives an entry that lies in the range as a whole its new word, and removes what
//                 is below it: marks these nodes stray and unlocks them. Below an entry that the
//                 range cuts, creates the missing child, locked, with the entry's word in all its
//                 entries
//   unlock        unlocks in the reverse order. RCU frees the nodes that were removed
//
// A holder keeps others out of its range: they meet a locked node on their way down, or find no
// child and want the lock of its parent. There is no deadlock, since all threads lock nodes in one
// order, and nobody knows a new node before its creator holds it. Faults on the pages of one lowest
// node (2 MiB) wait for one another. Other faults share no lock, unless they lack a node below the
// same parent, or may grow a stack.
//
// The lock is Linux's spinlock, the lock of Linux's page tables. Its holder keeps no node of a
// queue. The holder of an MCS lock keeps one until it unlocks, and the holder of a long range has
// thousands of locks.
//
// How the model differs from CortenMM:
// - The entries for the hardware are a tree of their own (PageTable), whose nodes are never freed.
//   A node here has the lock and the metadata alone. So a fault walks two trees, and the removal of
//   a node frees no node of the hardware's table.
// - CortenMM ends the RCU section with the operation. Here it ends when the covering node is locked
//   and found not to be stray: from then on nobody else can remove what the thread walks over.
#pragma once

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "locks/address_space/radix_tree.hpp"
#include "locks/events.hpp"
#include "locks/layout.hpp"
#include "locks/mutex/qspinlock.hpp"
#include "locks/per_thread.hpp"
#include "locks/types.hpp"
#include "locks/vmas/rcu_nodes.hpp"

namespace faultline {

// The steps of the protocol. Only tests leave one out.
struct CoverSteps {
  bool locks_below = true;  // locks the nodes below the covering node
  bool sees_stray = true;   // begins anew when the node that it has locked is stray
  bool pushes_down = true;  // gives a new child its entry's word
};

// `levels` is 2 or more. A node has 2^bits entries. A thread holds one range at a time.
template <class P, u32 bits = 9, u32 levels = 4, template <class> class Spinlock = Qspinlock,
          CoverSteps steps = CoverSteps{}>
class PageTableNodes {
 public:
  // The tree holds page numbers below this.
  static constexpr u64 pages = u64{1} << bits * levels;
  static constexpr u64 leaf_pages = u64{1} << bits;
  static constexpr const char* scheme = "page_table_lock";
  static constexpr std::array<const char*, 2> space_events = {"page_table_lock.placement_retries",
                                                              "page_table_lock.stack_growth"};

  PageTableNodes() {
    P::label(&root_, Node::label);
    P::label(&break_lock_, "page_table.break_lock");
  }

  // For the calling thread.
  void reserve(usize leaves) {
    nodes_.reserve(static_cast<u32>(std::min<usize>(leaves, most_reserved)));
    held_.here();
  }

  // Locks the pages [first, end), and others that share a node with them.
  void lock(u64 first, u64 end) {
    nodes_.reserve(2 * levels);
    Held& held = held_.here();
    while (!lock_cover(held, first, end)) counters_.add(stray_retries);
    held.first = first;
    held.end = end;
    if (steps.locks_below) lock_below(*held.cover, held.level, first, end);
  }
  // Locks the pages from edges.front() to edges.back(), all at once.
  template <usize n>
  void lock_adjacent(const std::array<u64, n>& edges) {
    lock(edges.front(), edges.back());
  }
  template <usize n>
  void unlock_adjacent(const std::array<u64, n>& edges) {
    const u64 first = edges.front(), end = edges.back();
    unlock(first, end);
  }
  // Locks the page and answers its value.
  u64 lock_page(u64 page) {
    lock(page, page + 1);
    // relaxed: this thread holds the node.
    return entry_of(*held_.here().cover, page, 0).load(std::memory_order_relaxed);
  }

  // Unlocks the range that the thread holds, which is [first, end).
  void unlock(u64, u64) {
    Held& held = held_.here();
    if (steps.locks_below) unlock_below(*held.cover, held.level, held.first, held.end);
    unlock_node(*held.cover);
    retire(held);
  }

  // The break has a lock of its own, as in CortenMM's kernel (Asterinas, process_vm/heap.rs). A
  // thread takes it before any node.
  void lock_break(u64) { lock_mutex(break_lock_); }
  void unlock_break(u64) { unlock_mutex(break_lock_); }

  // The caller holds [first, end). Gives all of it the value `fresh`.
  void fill(u64 first, u64 end, u64 fresh) {
    Held& held = held_.here();
    fill(held, *held.cover, held.level, first, end, fresh);
  }

  // Calls look(value, first, end) for every entry without a child that touches [first, end), from
  // left to right, until it answers false. The entries do not change while a holder of the range
  // looks. Other threads see each entry as it was at some moment.
  template <class F>
  void for_each(u64 first, u64 end, F&& look) const {
    const RcuSection<P> section;
    visit(const_cast<Node&>(root_), levels - 1, first, end, look);
  }
  // The same for a holder of the range, who may also set what lies in it: change(value) answers the
  // new value.
  template <class F>
  void edit(u64 first, u64 end, F&& change) {
    Held& held = held_.here();
    edit(*held.cover, held.level, first, end, change);
  }

  void append_events(Events& events) const { counters_.append_to(events); }

  // The pages [first, second) of each locked node. Racy while threads work.
  std::vector<std::pair<u64, u64>> locked() const {
    std::vector<std::pair<u64, u64>> found;
    const RcuSection<P> section;
    append_locked(const_cast<Node&>(root_), levels - 1, 0, found);
    return found;
  }

 private:
  enum Event : usize { stray_retries, nodes_created, nodes_removed, event_count };
  static constexpr std::array<const char*, event_count> event_names = {
      "page_table_lock.stray_retries", "page_table_lock.nodes_created",
      "page_table_lock.nodes_removed"};
  // What a thread's free nodes keep (RcuNodes).
  static constexpr usize most_reserved = 64;

  using Entry = typename P::template atomic<u64>;
  // The kernel keeps the lock in the struct of the page that holds the entries.
  struct alignas(cache_line) Node {
    static constexpr const char* label = "page_table_node";
    static constexpr usize bytes =
        cache_line + (sizeof(u64) * leaf_pages + cache_line - 1) / cache_line * cache_line;

    Spinlock<P> lock;
    typename P::template atomic<u64> state{vmas::live_node};
    typename P::template data<u32> stray;  // the lock guards it
    Node* next_removed = nullptr;          // for the thread that has removed the node
    alignas(cache_line) Entry entries[leaf_pages] = {};
  };
  // What a thread holds: [first, end), by this node and those below it.
  struct Held {
    Node* cover = nullptr;
    u32 level = 0;
    u64 first = 0;
    u64 end = 0;
    Node* removed = nullptr;
  };

  // The pages of an entry of a node at `level`. The lowest nodes are at level 0.
  static constexpr u64 span(u32 level) { return u64{1} << bits * level; }
  static Entry& entry_of(Node& node, u64 page, u32 level) {
    return node.entries[page / span(level) % leaf_pages];
  }
  static bool is_child(u64 word) { return (word & RadixWord::child_bit) != 0; }
  static Node& child_of(u64 word) {
    return *reinterpret_cast<Node*>(word & ~RadixWord::control_bits);
  }

  // The holder of these spinlocks needs no node of their queues.
  static void lock_mutex(Spinlock<P>& lock) {
    typename Spinlock<P>::Node entry;
    lock.lock(entry);
  }
  static void unlock_mutex(Spinlock<P>& lock) {
    typename Spinlock<P>::Node entry;
    lock.unlock(entry);
  }
  static void unlock_node(Node& node) { unlock_mutex(node.lock); }
  // False: the node was stray, and is not locked. The caller reads under RCU.
  static bool lock_live(Node& node) {
    lock_mutex(node.lock);
    if (!steps.sees_stray || node.stray.load() == 0) return true;
    unlock_node(node);
    return false;
  }

  // Calls see(entry, first, end) for each entry of the node that touches [first, end), with what
  // lies in its span of that range, from left to right. The range lies in the node's span.
  template <class F>
  static void each_entry(Node& node, u32 level, u64 first, u64 end, F&& see) {
    for (u64 at = first / span(level) * span(level); at < end; at += span(level))
      see(entry_of(node, at, level), std::max(first, at), std::min(end, at + span(level)));
  }
  // Calls see(child, first, end) for the children of a node that the caller holds.
  template <class F>
  static void each_child(Node& node, u32 level, u64 first, u64 end, F&& see) {
    if (level == 0) return;
    each_entry(node, level, first, end, [&](Entry& entry, u64 from, u64 to) {
      // relaxed: the caller holds the node.
      const u64 word = entry.load(std::memory_order_relaxed);
      if (is_child(word)) see(child_of(word), from, to);
    });
  }

  // Locks the lowest node that covers the range, and creates it where it is missing. False: the
  // thread came too late to a node, which was removed.
  bool lock_cover(Held& held, u64 first, u64 end) {
    const RcuSection<P> section;
    Node* node = &root_;
    bool holds = false;
    u32 level = levels - 1;
    for (; level > 0 && first / span(level) == (end - 1) / span(level); --level) {
      Entry& entry = entry_of(*node, first, level);
      // acquire: pairs with the release in create().
      u64 word = entry.load(std::memory_order_acquire);
      if (!is_child(word) && !holds) {
        if (!lock_live(*node)) return false;
        holds = true;
        word = entry.load(std::memory_order_relaxed);  // relaxed: under the lock
      }
      Node* const below = is_child(word) ? &child_of(word) : &create(entry, word, true);
      if (holds) unlock_node(*node);
      holds = !is_child(word);
      node = below;
    }
    if (!holds && !lock_live(*node)) return false;
    held.cover = node;
    held.level = level;
    return true;
  }

  static void lock_below(Node& node, u32 level, u64 first, u64 end) {
    each_child(node, level, first, end, [&](Node& child, u64 from, u64 to) {
      lock_mutex(child.lock);
      lock_below(child, level - 1, from, to);
    });
  }
  static void unlock_below(Node& node, u32 level, u64 first, u64 end) {
    if (level == 0) return;
    for (u64 at = (end - 1) / span(level) * span(level);; at -= span(level)) {
      each_child(node, level, std::max(first, at), std::min(end, at + span(level)),
                 [&](Node& child, u64 from, u64 to) {
                   unlock_below(child, level - 1, from, to);
                   unlock_node(child);
                 });
      if (at <= first) return;
    }
  }

  // Puts a child in place of the entry's word, which all its entries inherit. The caller holds the
  // entry's node.
  Node& create(Entry& entry, u64 word, bool locked) {
    counters_.add(nodes_created);
    Node& child = *nodes_.take();
    if (locked) lock_mutex(child.lock);
    child.stray.store(0);
    for (Entry& one : child.entries)
      // relaxed: published by the store below.
      one.store(steps.pushes_down ? word : 0, std::memory_order_relaxed);
    // release: pairs with the acquires of threads that walk without a lock.
    entry.store(reinterpret_cast<u64>(&child) | RadixWord::child_bit, std::memory_order_release);
    return child;
  }
  Node& split(Entry& entry, u64 word) { return create(entry, word, steps.locks_below); }

  // relaxed, in fill and edit: the caller holds the entries' nodes. A thread that looks without a
  // lock learns no more from a value than what the value says.
  void fill(Held& held, Node& node, u32 level, u64 first, u64 end, u64 fresh) {
    each_entry(node, level, first, end, [&](Entry& entry, u64 from, u64 to) {
      const u64 word = entry.load(std::memory_order_relaxed);
      if (to - from == span(level)) {
        entry.store(fresh, std::memory_order_relaxed);
        if (is_child(word)) remove(held, child_of(word), level - 1);
      } else if (is_child(word)) {
        fill(held, child_of(word), level - 1, from, to, fresh);
      } else if (word != fresh) {
        fill(held, split(entry, word), level - 1, from, to, fresh);
      }
    });
  }
  template <class F>
  void edit(Node& node, u32 level, u64 first, u64 end, F&& change) {
    each_entry(node, level, first, end, [&](Entry& entry, u64 from, u64 to) {
      const u64 word = entry.load(std::memory_order_relaxed);
      if (is_child(word)) return edit(child_of(word), level - 1, from, to, change);
      const u64 fresh = change(word);
      if (fresh == word) return;
      if (to - from == span(level))
        entry.store(fresh, std::memory_order_relaxed);
      else
        edit(split(entry, word), level - 1, from, to, change);
    });
  }

  // No entry leads to this node any more. The thread holds it and all nodes below it, and unlocks
  // them: those that wait for them begin anew.
  void remove(Held& held, Node& node, u32 level) {
    counters_.add(nodes_removed);
    each_child(node, level, 0, span(level + 1),
               [&](Node& child, u64, u64) { remove(held, child, level - 1); });
    node.stray.store(1);
    node.next_removed = held.removed;
    held.removed = &node;
    if (steps.locks_below) unlock_node(node);
  }

  // Once the thread holds no node's lock, since RCU may wait here for threads that wait for one. It
  // may hold the lock of the break, for which nobody waits under RCU.
  void retire(Held& held) {
    while (held.removed != nullptr) {
      typename vmas::RcuNodes<P, Node>::Dead dead;
      for (; held.removed != nullptr && !dead.is_full(); held.removed = held.removed->next_removed)
        dead.add(held.removed);
      nodes_.retire(dead);
    }
  }

  template <class F>
  static bool visit(Node& node, u32 level, u64 first, u64 end, F& look) {
    bool goes_on = true;
    u64 at = first / span(level) * span(level);
    for (; at < end && goes_on; at += span(level)) {
      // acquire: as in lock_cover().
      const u64 word = entry_of(node, at, level).load(std::memory_order_acquire);
      goes_on = is_child(word) ? visit(child_of(word), level - 1, std::max(first, at),
                                       std::min(end, at + span(level)), look)
                               : look(word, at, at + span(level));
    }
    return goes_on;
  }

  static void append_locked(Node& node, u32 level, u64 first,
                            std::vector<std::pair<u64, u64>>& found) {
    typename Spinlock<P>::Node entry;
    if (node.lock.try_lock(entry))
      node.lock.unlock(entry);
    else
      found.emplace_back(first, first + span(level + 1));
    if (level == 0) return;
    for (u64 i = 0; i < leaf_pages; ++i) {
      // acquire: as in lock_cover().
      // weakened acquire survives, program: no program asks while threads work.
      const u64 word = node.entries[i].load(std::memory_order_acquire);
      if (is_child(word)) append_locked(child_of(word), level - 1, first + i * span(level), found);
    }
  }

  Node root_;
  vmas::RcuNodes<P, Node> nodes_;
  alignas(cache_line) Spinlock<P> break_lock_;
  // Apart from the lock, since each thread reads its slot in every operation.
  alignas(cache_line) PerThread<P, Held> held_;
  EventCounters<P, event_count> counters_{event_names};
};

}  // namespace faultline
