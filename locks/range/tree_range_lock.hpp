// Bueso's range lock: a spinlock over an interval-augmented red-black tree of the ranges that
// threads hold or wait for. Sources: Davidlohr Bueso, "locking: Introduce range reader/writer lock"
// (LKML 2017, version 3 of the series), after Jan Kara's exclusive-only "lib: Implement range
// locks" (LKML 2013). This is a new implementation of the algorithm.
//
// Conflicting ranges are granted strictly in the order of arrival, and a waiter conflicts as a
// holder does. So no thread starves, but a waiter also delays a later arrival that conflicts with
// no holder (counted as range.false_conflicts). No thread steals a range or spins for one: every
// conflict is a sleep.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "locks/events.hpp"
#include "locks/layout.hpp"
#include "locks/mutex/qspinlock.hpp"
#include "locks/mutex/section.hpp"
#include "locks/per_thread.hpp"
#include "locks/platform.hpp"
#include "locks/promise.hpp"
#include "locks/range/describe.hpp"
#include "locks/range/text.hpp"
#include "locks/range/waiters.hpp"
#include "locks/rbtree.hpp"
#include "locks/types.hpp"

namespace faultline {

// `Spinlock`, a mutex (locks/mutex/concept.hpp), guards the tree. A thread holds it for one walk of
// the overlapping ranges, never over a sleep or a wake-up.
//
// `sharing` false: Kara's lock (kara_range_lock.hpp).
template <class P, template <class> class Spinlock = Qspinlock, bool sharing = true>
class TreeRangeLock {
 public:
  static constexpr bool shares = sharing;
  // A later arrival that conflicts waits for the waiters too, and a try fails where one conflicts.
  static constexpr Promise promise{.most_passes = 0, .since = "has its range in the tree"};

  // While the node is in the tree, the mutex guards all members but `waiter`, which is woken when
  // the range is granted.
  class Node {
   public:
    Node() = default;

   private:
    friend class TreeRangeLock;
    Range range() const { return {start.load(), end.load()}; }
    bool holds() const { return blocking.load() == 0; }

    RbLinks<P, Node> links;
    typename P::template data<u64> start;
    typename P::template data<u64> end;
    typename P::template data<u64> greatest_end;  // the greatest end in the node's subtree
    typename P::template data<u64> sequence;      // the order of arrival
    typename P::template data<bool> exclusive;
    typename P::template data<u32> thread;
    typename P::template data<u32> blocking;  // how many conflicting nodes arrived before
    Waiter<P> waiter;
  };

  TreeRangeLock()
      : events_({"range.waits", "range.false_conflicts", "range.sleeps", "range.trylock_failed",
                 "range.trylock_spurious"}) {
    if constexpr (PlainCells<P>) {
      constexpr usize last = offsetof(TreeRangeLock, next_sequence_) + sizeof(next_sequence_) - 1;
      static_assert(line_of(offsetof(TreeRangeLock, mutex_)) == line_of(last));
    }
    P::label(&mutex_, "range.mutex");
    P::label(&tree_, "range.tree");
  }
  TreeRangeLock(const TreeRangeLock&) = delete;
  TreeRangeLock& operator=(const TreeRangeLock&) = delete;

  // `range` is not empty. Do not nest: a thread that already holds an overlapping range deadlocks,
  // unless both holds are shared and no thread waits in between.
  void lock(Node& node, Range range, bool exclusive) {
    if (!enqueue(node, range, exclusive)) wait(node);
  }

  // lock() in two halves: see QueuedRangeLock.
  bool enqueue(Node& node, Range range, bool exclusive) {
    exclusive = exclusive || !sharing;
    prepare(node, range, exclusive);
    Conflicts conflicts;
    {
      Section section(mutex_);
      if (in_bounds(range)) conflicts = count_conflicts(range, exclusive);
      add(node, conflicts.all);
    }
    if (conflicts.all == 0) return true;
    events_.add(waits);
    if (conflicts.holders == 0) events_.add(false_conflicts);
    return false;
  }
  void wait(Node& node) { await(node); }

  // A shared range fails when an exclusive range overlaps it, held or awaited. An exclusive range
  // fails when it reaches into the hull of all ranges, even if it overlaps none, as in Bueso's
  // lock. range.trylock_spurious counts the failures without an overlap; to know them, every
  // failure looks at the overlaps. Kara's lock has no such failures.
  bool try_lock(Node& node, Range range, bool exclusive) {
    exclusive = exclusive || !sharing;
    prepare(node, range, exclusive);
    bool spurious = false;
    {
      Section section(mutex_);
      const bool near = in_bounds(range);
      const u32 conflicts = near ? count_conflicts(range, exclusive).all : 0;
      if (conflicts == 0 && !(sharing && near && exclusive)) {
        add(node, 0);
        return true;
      }
      spurious = conflicts == 0;
    }
    events_.add(trylock_failed);
    if (spurious) events_.add(trylock_spurious);
    return false;
  }

  // The thread that holds the range calls it.
  void unlock(Node& node) {
    Wakes<P> wakes;
    {
      Section section(mutex_);
      tree_.erase(&node);
      for_each_overlap(tree_.root(), node.range(), [&](Node& other) {
        if (waits_for(other, node)) release_once(other, wakes);
      });
    }
    wakes.send();
  }

  // Turns an exclusive hold into a shared one. Shared waiters no longer wait for this node.
  void downgrade(Node& node) {
    if (!sharing) return;
    Wakes<P> wakes;
    {
      Section section(mutex_);
      for_each_overlap(tree_.root(), node.range(), [&](Node& other) {
        if (!other.exclusive.load() && waits_for(other, node)) release_once(other, wakes);
      });
      node.exclusive.store(false);
    }
    wakes.send();
  }

  // `range` is not empty and lies inside the held range. Waiters that overlap only the released
  // part no longer wait for this node. The node keeps its place in the order of arrival.
  void downgrade_range(Node& node, Range range) {
    Wakes<P> wakes;
    {
      Section section(mutex_);
      for_each_overlap(tree_.root(), node.range(), [&](Node& other) {
        if (!other.range().overlaps(range) && waits_for(other, node)) release_once(other, wakes);
      });
      tree_.erase(&node);
      node.start.store(range.start);
      node.end.store(range.end);
      tree_.insert(&node);
    }
    wakes.send();
  }

  void append_events(Events& events) const { events_.append_to(events); }

  // One line per node, in the order of addresses: "thread 3 holds [0x1000, 0x2000) exclusive".
  // Gives up if the mutex stays held.
  std::vector<std::string> describe() const {
    return describe_in_section<P>(mutex_, [&](std::vector<std::string>& lines) {
      for (Node* node = tree_.first(); node != nullptr; node = Tree::next(node))
        lines.push_back(describe(*node));
    });
  }

  // For tests, with all threads at rest: answers what is wrong with the tree, or an empty string.
  std::string check() const { return tree_.check(); }

 private:
  enum Event : usize {
    waits,
    false_conflicts,
    sleeps,
    trylock_failed,
    trylock_spurious,
    event_count
  };

  struct Traits;
  using Tree = RbTree<P, Node, Traits>;
  struct Traits {
    static RbLinks<P, Node>& links(Node& node) { return node.links; }
    static u64 key(const Node& node) { return node.start.load(); }
    static bool update(Node& node) {
      u64 greatest = node.end.load();
      for (Node* child : {Tree::left(&node), Tree::right(&node)})
        if (child != nullptr) greatest = std::max(greatest, child->greatest_end.load());
      const bool changed = greatest != node.greatest_end.load();
      node.greatest_end.store(greatest);
      return changed;
    }
  };

  using Section = MutexSection<Spinlock<P>>;

  struct Conflicts {
    u32 all = 0;
    u32 holders = 0;
  };

  void prepare(Node& node, Range range, bool exclusive) {
    node.start.store(range.start);
    node.end.store(range.end);
    node.exclusive.store(exclusive);
    node.thread.store(P::self());
    node.waiter.prepare(parkers_.here());
  }

  void add(Node& node, u32 conflicts) {
    node.sequence.store(next_sequence_.load());
    next_sequence_.store(next_sequence_.load() + 1);
    node.blocking.store(conflicts);
    node.waiter.arm();
    tree_.insert(&node);
  }

  // Whether `range` reaches into the hull of all ranges. This O(1) test makes most walks needless.
  // Kara's lock does not have it.
  bool in_bounds(Range range) const {
    if (!sharing) return true;
    return !tree_.empty() && range.start < tree_.root()->greatest_end.load() &&
           tree_.first()->start.load() < range.end;
  }

  Conflicts count_conflicts(Range range, bool exclusive) const {
    Conflicts conflicts;
    for_each_overlap(tree_.root(), range, [&](Node& other) {
      if (!exclusive && !other.exclusive.load()) return;
      ++conflicts.all;
      if (other.holds()) ++conflicts.holders;
    });
    return conflicts;
  }

  // Visits the ranges in the order of their starts. `visit` must not change the tree. The recursion
  // is as deep as the tree.
  template <class F>
  static void for_each_overlap(Node* node, Range range, const F& visit) {
    while (node != nullptr && range.start < node->greatest_end.load()) {
      for_each_overlap(Tree::left(node), range, visit);
      if (node->start.load() >= range.end) return;
      if (range.start < node->end.load()) visit(*node);
      node = Tree::right(node);
    }
  }

  // Whether `other`, which overlaps `node`, counted `node` as a conflict on arrival.
  static bool waits_for(const Node& other, const Node& node) {
    return other.sequence.load() > node.sequence.load() &&
           (other.exclusive.load() || node.exclusive.load());
  }

  static void release_once(Node& other, Wakes<P>& wakes) {
    const u32 blocking = other.blocking.load() - 1;
    other.blocking.store(blocking);
    if (blocking == 0) wakes.add(other.waiter);
  }

  void await(Node& node) {
    P::promised(promise, P::self());
    WaitScope<P> scope(this, "range_lock");
    node.waiter.sleep([&] { events_.add(sleeps); });
  }

  static std::string describe(const Node& node) {
    const u32 blocking = node.blocking.load();
    return "thread " + std::to_string(node.thread.load()) +
           (blocking == 0 ? " holds " : " waits for ") +
           range_text(node.range(), node.exclusive.load()) +
           (blocking == 0 ? "" : ", behind " + std::to_string(blocking));
  }

  // The mutex and the members that each of its holders reads and writes share one line, as the
  // fields of the series' struct range_lock_tree do (root, leftmost, lock, seqnum).
  alignas(cache_line) mutable Spinlock<P> mutex_;
  Tree tree_;
  typename P::template data<u64> next_sequence_;
  alignas(cache_line) PerThread<P, Parker<P>> parkers_;
  EventCounters<P, event_count> events_;
};

}  // namespace faultline
