// FreeBSD's range lock: it counts its holders like a plain reader-writer lock until the first
// conflict of kinds, and is the list of ranges from then on. Source: "cheat mode" in FreeBSD's
// sys/kern/kern_rangelock.c, by Konstantin Belousov (2024), read at the version that has
// rangelock_may_recurse. This is a new implementation of the algorithm.
//
// PATENTS: US patents 11,636,152 and 12,079,278 are said to cover the list, which is
// locks/range/list_range_lock.hpp. So this lock too is compiled only with the CMake option
// -DFAULTLINE_PATENTED=ON, which is off unless somebody sets it.
//
// A new lock counts: one exclusive hold or any number of shared ones, each as if it covered
// everything. A thread of the other kind, or a second exclusive one, forbids further counting and
// sleeps until the counted holds are gone. The last of them ends the counting for ever and wakes
// all who sleep. From then on each hold has an entry in the list. So a file that one thread writes
// and many then read never gets a list. The price: until the counting has ended, disjoint ranges
// may wait for one another, and a thread that holds a range must not wait for another one. A try
// fails where it would have to end the counting.
//
// How it differs from its source:
// - The count has a word of its own. FreeBSD's is the head of the list.
// - FreeBSD has no downgrades. Here a downgrade stays counted if nobody waits; otherwise the hold
//   moves to the list, so that those who no longer conflict go on. A hold that shrinks always moves
//   to the list, which ends the counting: only the list knows ranges. A shared hold that shrinks
//   makes later readers wait for the counted ones.
// - The list is that of list_range_lock.hpp. FreeBSD's list has no shorter way for an empty list.
//   Its readers too leave the list where their second look finds a writer. Its second looks unlink
//   released entries. Its waiters sleep in one queue, which each release wakes whole. Here readers
//   stay and come first, and waiters spin.
#pragma once

#include <string>
#include <vector>

#include "locks/events.hpp"
#include "locks/layout.hpp"
#include "locks/platform.hpp"
#include "locks/promise.hpp"
#include "locks/range/list_range_lock.hpp"
#include "locks/types.hpp"

namespace faultline {

// `List`, a range lock (locks/range/concept.hpp), keeps the ranges once the counting has ended.
template <class P, class List = ListRangeLock<P>>
class CountingListRangeLock {
 public:
  // In the list readers pass a writer without end.
  static constexpr Promise promise = no_promise;

  // Only the thread that holds the range uses its node.
  class Node {
   public:
    Node() = default;

   private:
    friend class CountingListRangeLock;
    typename List::Node listed;
    Range range{};
    u32 counted = 0;  // `reader` or `writer`, or 0 where the hold is in the list
  };

  CountingListRangeLock() : events_({"range.drains"}) { P::label(&state_, "range.count"); }
  CountingListRangeLock(const CountingListRangeLock&) = delete;
  CountingListRangeLock& operator=(const CountingListRangeLock&) = delete;

  // `range` is not empty. Do not nest, unless allow_nesting() has returned: a thread that already
  // holds a range, even a disjoint one, deadlocks.
  void lock(Node& node, Range range, bool exclusive) {
    for (;;) {
      const u32 seen = count(node, range, exclusive);
      if (node.counted != 0) return;
      if (seen == over) return list_.lock(node.listed, range, exclusive);
      drain(seen);
    }
  }

  // Fails beside a counted hold of another kind, even of a disjoint range, and where the list's try
  // fails.
  bool try_lock(Node& node, Range range, bool exclusive) {
    const u32 seen = count(node, range, exclusive);
    return node.counted != 0 || (seen == over && list_.try_lock(node.listed, range, exclusive));
  }

  void unlock(Node& node) {
    if (node.counted == 0)
      list_.unlock(node.listed);
    else
      leave(node.counted);
  }

  // Turns an exclusive hold into a shared one. Shared waiters no longer wait for it.
  void downgrade(Node& node) {
    if (node.counted == 0) return list_.downgrade(node.listed);
    u32 alone = counting | writer;
    // release: pairs with the acquire in count(): a reader that comes in sees what the writer did.
    // relaxed on failure: leave() releases.
    if (state_.compare_exchange_strong(alone, counting | reader, std::memory_order_release,
                                       std::memory_order_relaxed))
      node.counted = reader;
    else
      move_to_list(node, node.range, false);
  }

  // `range` is not empty and lies inside the held range.
  void downgrade_range(Node& node, Range range) {
    if (node.counted == 0)
      list_.downgrade_range(node.listed, range);
    else
      move_to_list(node, range, node.counted == writer);
  }

  // Ends the counting, and waits for the counted holds: from then on a thread may hold disjoint
  // ranges at once. FreeBSD calls it rangelock_may_recurse.
  void allow_nesting() {
    u32 seen = counting;
    // relaxed, both: the exchange continues the releases of those who have left.
    while (!state_.compare_exchange_strong(seen, over, std::memory_order_relaxed,
                                           std::memory_order_relaxed) &&
           seen != over) {
      drain(seen);
      seen = counting;
    }
  }

  void append_events(Events& events) const {
    events_.append_to(events);
    list_.append_events(events);
  }

  // A line for the counted holds, whose ranges nobody knows, and those of the list.
  std::vector<std::string> describe() const {
    std::vector<std::string> lines = list_.describe();
    const u32 seen = state_.load(std::memory_order_relaxed);  // relaxed: a report
    if (seen <= counting) return lines;
    std::string line = "an exclusive hold counted";
    if ((seen & writer) == 0) line = std::to_string(seen / reader) + " shared hold(s) counted";
    if ((seen & draining) != 0) line += ", for which others wait";
    lines.push_back(line);
    return lines;
  }

 private:
  // The word: `over`, or `counting`, perhaps `draining`, and one writer or a number of readers.
  static constexpr u32 over = 0, counting = 1, writer = 2, draining = 4, reader = 8;
  static constexpr u32 all_waiters = ~u32{0};
  enum Event : usize { drains, event_count };

  // Counts the hold unless it conflicts with one that is counted, or the counting is being ended.
  // Answers the word that has decided.
  u32 count(Node& node, Range range, bool exclusive) {
    node.range = range;
    node.counted = exclusive ? writer : reader;
    // acquire, here and below: pairs with the release in leave() and downgrade(): a hold has seen
    // the counted ones before it, and the first of the list have seen all of them.
    u32 seen = state_.load(std::memory_order_acquire);
    while (exclusive ? seen == counting : (seen & (counting | writer | draining)) == counting)
      if (state_.compare_exchange_weak(seen, seen + node.counted, std::memory_order_acquire,
                                       std::memory_order_acquire))
        return seen;
    node.counted = 0;
    return seen;
  }

  // Lets no further hold be counted, and sleeps until those that are have left. Returns at once if
  // the word is no longer `seen`: then the conflict may be gone, as after a downgrade.
  void drain(u32 seen) {
    // relaxed, all: the caller calls count() again, and the exchange continues the releases of
    // those who have left.
    if ((seen & draining) == 0 &&
        !state_.compare_exchange_strong(seen, seen | draining, std::memory_order_relaxed,
                                        std::memory_order_relaxed))
      return;
    events_.add(drains);
    const WaitScope<P> waiting(this, "counting_list_range_lock");
    for (seen |= draining; (seen & draining) != 0; seen = state_.load(std::memory_order_relaxed))
      P::wait(state_, seen, no_deadline);
  }

  // Ends a counted hold. With `more` = draining it ends the counting too.
  void leave(u32 counted, u32 more = 0) {
    u32 seen = state_.load(std::memory_order_relaxed);  // relaxed: the exchange decides
    u32 left = 0;
    do {
      left = (seen - counted) | more;
      if (left == (counting | draining)) left = over;
      // release: pairs with the acquire in count(). relaxed on failure: the next turn decides.
    } while (!state_.compare_exchange_weak(seen, left, std::memory_order_release,
                                           std::memory_order_relaxed));
    if (left == over) P::wake(state_, all_waiters);
  }

  // The list admits the hold at once. An exclusive counted hold is the only one of the lock, and
  // beside a shared one there are none but shared ones, counted or in the list.
  void move_to_list(Node& node, Range range, bool exclusive) {
    list_.lock(node.listed, range, exclusive);
    leave(node.counted, draining);
    node.counted = 0;
  }

  alignas(cache_line) typename P::template atomic<u32> state_{counting};
  List list_;
  EventCounters<P, event_count> events_;
};

}  // namespace faultline
