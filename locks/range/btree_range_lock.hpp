// A range lock in a B+tree: the ranges that threads hold stand in a B+tree under a mutex, each
// entry of an inner node with the greatest end below it. After Dave Chinner's range lock for the
// I/O path of XFS (2019), of which no source was found. What is known: ranges in a B-tree under a
// mutex instead of Bueso's red-black tree under a spinlock, since a node holds many ranges next to
// each other and a walk meets few nodes; later with optimistic lock coupling instead of the mutex.
//
// All else is a choice made here:
// - 16 entries a node. A full node splits in halves, and a node is freed when it is empty, without
//   merging before. Nodes are taken from a list of free ones, which the mutex guards.
// - Entries are in the order of their starts; those of one start are in the order of the callers'
//   nodes, since shared ranges may begin at one address.
// - A thread whose range is in conflict sleeps until the first range that it met is released,
//   downgraded or shrunk, and then tries again. No order of arrival holds, so shared ranges can
//   starve an exclusive one.
// - The mutex spins (`Mutex`). It is held for one operation on the tree.
#pragma once

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
#include "locks/range/range_btree.hpp"
#include "locks/range/text.hpp"
#include "locks/range/waiter_queue.hpp"
#include "locks/range/waiters.hpp"
#include "locks/types.hpp"

namespace faultline {

// `Mutex`, a mutex (locks/mutex/concept.hpp), guards the tree. A thread never holds it over a sleep
// or a wake-up. `fan_out` is the number of entries of a node of the tree.
template <class P, template <class> class Mutex = Qspinlock, u32 fan_out = 16>
class BtreeRangeLock {
 public:
  // Whoever finds the range free gets it.
  static constexpr Promise promise = no_promise;

  // While the range is held or waited for, the mutex guards all members but `waiter`.
  class Node {
   public:
    Node() = default;

    Range range() const { return {start.load(), end.load()}; }

   private:
    friend class BtreeRangeLock;

    typename P::template data<u64> start;
    typename P::template data<u64> end;
    typename P::template data<bool> exclusive;
    typename P::template data<u32> thread;
    WaiterQueue<P> blocked;  // the threads that sleep until this range is released
    Waiter<P> waiter;
  };

  BtreeRangeLock()
      : events_({"range.waits", "range.retries", "range.sleeps", "range.trylock_failed"}) {
    P::label(&mutex_, "range.mutex");
    P::label(&tree_, "range.tree");
  }
  BtreeRangeLock(const BtreeRangeLock&) = delete;
  BtreeRangeLock& operator=(const BtreeRangeLock&) = delete;

  // `range` is not empty. Do not nest: a thread that already holds an overlapping range deadlocks,
  // unless both holds are shared.
  void lock(Node& node, Range range, bool exclusive) {
    prepare(node, range, exclusive);
    if (!take_or_join(node)) await(node);
  }

  // Fails only where a held range is in conflict.
  bool try_lock(Node& node, Range range, bool exclusive) {
    prepare(node, range, exclusive);
    {
      Section section(mutex_);
      if (conflict(node) == nullptr) {
        tree_.insert(node);
        return true;
      }
    }
    events_.add(trylock_failed);
    return false;
  }

  // The thread that holds the range calls it.
  void unlock(Node& node) {
    change(node, [&] { tree_.erase(node); });
  }

  // Turns an exclusive hold into a shared one. All who wait for it try again.
  void downgrade(Node& node) {
    change(node, [&] { node.exclusive.store(false); });
  }

  // `range` is not empty and lies inside the held range. All who wait for it try again.
  void downgrade_range(Node& node, Range range) {
    change(node, [&] {
      tree_.erase(node);
      node.start.store(range.start);
      node.end.store(range.end);
      tree_.insert(node);
    });
  }

  void append_events(Events& events) const { events_.append_to(events); }

  // One line per held range, in the order of addresses: "thread 3 holds [0x1000, 0x2000) exclusive,
  // before 2 that wait". Gives up if the mutex stays held.
  std::vector<std::string> describe() const {
    return describe_in_section<P>(mutex_, [&](std::vector<std::string>& lines) {
      tree_.for_each([&](const Node& node) {
        lines.push_back(holder_text(node.thread.load(), node.range(), node.exclusive.load(),
                                    node.blocked.size()));
      });
    });
  }

  // For tests, with all threads at rest: answers what is wrong with the tree, or an empty string.
  std::string check() const { return tree_.check(); }
  u32 height() const { return tree_.height(); }

 private:
  using Section = MutexSection<Mutex<P>>;
  enum Event : usize { waits, retries, sleeps, trylock_failed, event_count };

  void prepare(Node& node, Range range, bool exclusive) {
    node.start.store(range.start);
    node.end.store(range.end);
    node.exclusive.store(exclusive);
    node.thread.store(P::self());
    node.waiter.prepare(parkers_.here());
  }

  // The lowest held range that is in conflict, or null.
  Node* conflict(const Node& node) const {
    const bool exclusive = node.exclusive.load();
    return tree_.first_overlap(
        node.range(), [&](const Node& other) { return exclusive || other.exclusive.load(); });
  }

  // Takes the range if it is free. Else joins the queue of a range in conflict.
  bool take_or_join(Node& node) {
    Section section(mutex_);
    if (Node* other = conflict(node)) {
      other->blocked.add(node.waiter);
      return false;
    }
    tree_.insert(node);
    return true;
  }

  void await(Node& node) {
    events_.add(waits);
    WaitScope<P> scope(this, "range_lock");
    for (;;) {
      node.waiter.sleep([&] { events_.add(sleeps); });
      if (take_or_join(node)) return;
      events_.add(retries);
    }
  }

  template <class F>
  void change(Node& node, const F& make) {
    Wakes<P> wakes;
    {
      Section section(mutex_);
      make();
      node.blocked.move_to(wakes);
    }
    wakes.send();
  }

  alignas(cache_line) mutable Mutex<P> mutex_;
  RangeBtree<P, Node, fan_out> tree_;
  alignas(cache_line) PerThread<P, Parker<P>> parkers_;
  EventCounters<P, event_count> events_;
};

}  // namespace faultline
