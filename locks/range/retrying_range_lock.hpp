// What the range locks share in which waiters try again: a thread whose range is in conflict sleeps
// until what it met is released or downgraded, or changes its edges, and then tries again. No order
// of arrival holds, so any waiter can starve.
#pragma once

#include <string>
#include <vector>

#include "locks/events.hpp"
#include "locks/layout.hpp"
#include "locks/mutex/section.hpp"
#include "locks/per_thread.hpp"
#include "locks/platform.hpp"
#include "locks/promise.hpp"
#include "locks/range/describe.hpp"
#include "locks/range/text.hpp"
#include "locks/range/waiter_queue.hpp"
#include "locks/range/waiters.hpp"
#include "locks/types.hpp"

namespace faultline {

// The part of the caller's node that every such lock has. While the range is held or waited for,
// the lock that guards its entry (a mutex, or the lock of a leaf) guards all members but `waiter`.
template <class P>
struct RangeHold {
  Range range() const { return {start.load(), end.load()}; }
  void set_range(Range range) {
    start.store(range.start);
    end.store(range.end);
  }

  typename P::template data<u64> start;
  typename P::template data<u64> end;
  typename P::template data<u32> thread;
  Waiter<P> waiter;
};

// `Held` has the held ranges. Its calls are atomic:
//   shares                says whether shared ranges may overlap
//   Node                  is the caller's node, a RangeHold. If the lock shares, it has `exclusive`
//                         too
//   take(node, joins)     takes the node's range and answers true. If a held range is in conflict,
//                         it answers false, and if `joins`, the node's waiter waits for that range
//   release(node), downgrade(node), shrink(node, range)
//                         do what unlock(), downgrade() and downgrade_range() say, and wake those
//                         who must try again
//   append_events(events), describe(), check()
//                         as in the lock
template <class P, class Held>
class RetryingRangeLock {
 public:
  using Node = typename Held::Node;
  static constexpr bool shares = Held::shares;
  // Whoever finds the range free gets it.
  static constexpr Promise promise = no_promise;

  RetryingRangeLock()
      : events_({"range.waits", "range.retries", "range.sleeps", "range.trylock_failed"}) {}
  RetryingRangeLock(const RetryingRangeLock&) = delete;
  RetryingRangeLock& operator=(const RetryingRangeLock&) = delete;

  // `range` is not empty. Do not nest: a thread that already holds an overlapping range deadlocks,
  // unless both holds are shared and the lock shares.
  void lock(Node& node, Range range, bool exclusive) {
    prepare(node, range, exclusive);
    if (!held_.take(node, true)) await(node);
  }

  // Fails only where a held range is in conflict.
  bool try_lock(Node& node, Range range, bool exclusive) {
    prepare(node, range, exclusive);
    if (held_.take(node, false)) return true;
    events_.add(trylock_failed);
    return false;
  }

  // The thread that holds the range calls it.
  void unlock(Node& node) { held_.release(node); }

  // Turns an exclusive hold into a shared one, if the lock shares.
  void downgrade(Node& node) { held_.downgrade(node); }

  // `range` is not empty and lies inside the held range.
  void downgrade_range(Node& node, Range range) { held_.shrink(node, range); }

  void append_events(Events& events) const {
    events_.append_to(events);
    held_.append_events(events);
  }

  // Lines for what is held and who waits, in the order of addresses. Gives up where another thread
  // keeps the ranges locked.
  std::vector<std::string> describe() const { return held_.describe(); }

  // For tests, with all threads at rest: answers what is wrong, or an empty string.
  std::string check() const { return held_.check(); }

 protected:
  const Held& held() const { return held_; }

 private:
  enum Event : usize { waits, retries, sleeps, trylock_failed, event_count };

  void prepare(Node& node, Range range, bool exclusive) {
    node.set_range(range);
    if constexpr (shares) node.exclusive.store(exclusive);
    node.thread.store(P::self());
    node.waiter.prepare(parkers_.here());
  }

  void await(Node& node) {
    events_.add(waits);
    WaitScope<P> scope(this, "range_lock");
    for (;;) {
      node.waiter.sleep([&] { events_.add(sleeps); });
      if (held_.take(node, true)) return;
      events_.add(retries);
    }
  }

  alignas(cache_line) Held held_;
  alignas(cache_line) PerThread<P, Parker<P>> parkers_;
  EventCounters<P, event_count> events_;
};

// Held ranges in a container under a mutex (locks/mutex/concept.hpp). A thread never holds the
// mutex over a sleep or a wake-up. `Ranges` is the container. Its calls but reserve() are made
// under the mutex:
//   shares, Node            as above
//   label                   is the name of the container in reports
//   reserve()               prepares the calling thread for one change
//   insert(node, wakes)     answers null. If a range is in conflict, it inserts nothing, and
//                           answers the queue of those who wait for that range
//   erase(node, wakes)      ends a hold
//   downgrade(node, wakes)  makes an exclusive hold a shared one. Needed only if the lock shares
//   describe(lines)         adds lines for what is held and who waits, in the order of addresses
//   check()                 answers what is wrong with the container, or an empty string
// `wakes` gets the waiters that must try again.
template <class P, class Ranges, class Mutex>
class GuardedRanges {
 public:
  using Node = typename Ranges::Node;
  static constexpr bool shares = Ranges::shares;

  GuardedRanges() {
    P::label(&mutex_, "range.mutex");
    P::label(&ranges_, Ranges::label);
  }

  bool take(Node& node, bool joins) {
    bool taken = false;
    change([&](Wakes<P>& wakes) {
      WaiterQueue<P>* queue = ranges_.insert(node, wakes);
      taken = queue == nullptr;
      if (!taken && joins) queue->add(node.waiter);
    });
    return taken;
  }
  void release(Node& node) {
    change([&](Wakes<P>& wakes) { ranges_.erase(node, wakes); });
  }
  void downgrade(Node& node) {
    if constexpr (shares) change([&](Wakes<P>& wakes) { ranges_.downgrade(node, wakes); });
  }
  void shrink(Node& node, Range range) {
    change([&](Wakes<P>& wakes) {
      ranges_.erase(node, wakes);
      node.set_range(range);
      ranges_.insert(node, wakes);
    });
  }

  void append_events(Events&) const {}
  std::vector<std::string> describe() const {
    return describe_in_section<P>(
        mutex_, [&](std::vector<std::string>& lines) { ranges_.describe(lines); });
  }
  std::string check() const { return ranges_.check(); }
  const Ranges& ranges() const { return ranges_; }

 private:
  template <class F>
  void change(const F& make) {
    Wakes<P> wakes;
    ranges_.reserve();
    {
      MutexSection<Mutex> section(mutex_);
      make(wakes);
    }
    wakes.send();
  }

  mutable Mutex mutex_;
  Ranges ranges_;
};

}  // namespace faultline
