// What range locks share that keep the held ranges in a container under a mutex. A thread whose
// range is in conflict sleeps until what it met is released or downgraded, or changes its edges,
// and then tries again. No order of arrival holds, so shared ranges can starve an exclusive one.
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
// the mutex guards all members but `waiter`.
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

// `Mutex` (locks/mutex/concept.hpp) guards the ranges. A thread never holds it over a sleep or a
// wake-up. `Ranges` is the container. Its calls but reserve() are made under the mutex:
//   shares                  says whether shared ranges may overlap
//   label                   is the name of the container in reports
//   Node                    is the caller's node, a RangeHold. If the lock shares, it has
//                           `exclusive` too
//   reserve()               prepares the calling thread for one change
//   insert(node, wakes)     answers null. If a range is in conflict, it inserts nothing, and
//                           answers the queue of those who wait for that range
//   erase(node, wakes)      ends a hold
//   downgrade(node, wakes)  makes an exclusive hold a shared one, if the lock shares
//   describe(lines)         adds lines for what is held and who waits, in the order of addresses
//   check()                 answers what is wrong with the container, or an empty string
// `wakes` gets the waiters that must try again.
template <class P, class Ranges, class Mutex>
class RetryingRangeLock {
 public:
  using Node = typename Ranges::Node;
  static constexpr bool shares = Ranges::shares;
  // Whoever finds the range free gets it.
  static constexpr Promise promise = no_promise;

  RetryingRangeLock()
      : events_({"range.waits", "range.retries", "range.sleeps", "range.trylock_failed"}) {
    P::label(&mutex_, "range.mutex");
    P::label(&ranges_, Ranges::label);
  }
  RetryingRangeLock(const RetryingRangeLock&) = delete;
  RetryingRangeLock& operator=(const RetryingRangeLock&) = delete;

  // `range` is not empty. Do not nest: a thread that already holds an overlapping range deadlocks,
  // unless both holds are shared.
  void lock(Node& node, Range range, bool exclusive) {
    prepare(node, range, exclusive);
    if (!take_or_join(node)) await(node);
  }

  // Fails only where a held range is in conflict.
  bool try_lock(Node& node, Range range, bool exclusive) {
    prepare(node, range, exclusive);
    bool taken = false;
    change([&](Wakes<P>& wakes) { taken = ranges_.insert(node, wakes) == nullptr; });
    if (!taken) events_.add(trylock_failed);
    return taken;
  }

  // The thread that holds the range calls it.
  void unlock(Node& node) {
    change([&](Wakes<P>& wakes) { ranges_.erase(node, wakes); });
  }

  // Turns an exclusive hold into a shared one.
  void downgrade(Node& node) {
    change([&](Wakes<P>& wakes) { ranges_.downgrade(node, wakes); });
  }

  // `range` is not empty and lies inside the held range.
  void downgrade_range(Node& node, Range range) {
    change([&](Wakes<P>& wakes) {
      ranges_.erase(node, wakes);
      node.set_range(range);
      ranges_.insert(node, wakes);
    });
  }

  void append_events(Events& events) const { events_.append_to(events); }

  // Gives up if the mutex stays held.
  std::vector<std::string> describe() const {
    return describe_in_section<P>(
        mutex_, [&](std::vector<std::string>& lines) { ranges_.describe(lines); });
  }

  // For tests, with all threads at rest: answers what is wrong, or an empty string.
  std::string check() const { return ranges_.check(); }

 protected:
  const Ranges& ranges() const { return ranges_; }

 private:
  enum Event : usize { waits, retries, sleeps, trylock_failed, event_count };

  void prepare(Node& node, Range range, bool exclusive) {
    node.set_range(range);
    if constexpr (shares) node.exclusive.store(exclusive);
    node.thread.store(P::self());
    node.waiter.prepare(parkers_.here());
  }

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

  // Takes the range if it is free. Else joins the queue of a range in conflict.
  bool take_or_join(Node& node) {
    bool taken = false;
    change([&](Wakes<P>& wakes) {
      WaiterQueue<P>* queue = ranges_.insert(node, wakes);
      taken = queue == nullptr;
      if (!taken) queue->add(node.waiter);
    });
    return taken;
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

  alignas(cache_line) mutable Mutex mutex_;
  Ranges ranges_;
  alignas(cache_line) PerThread<P, Parker<P>> parkers_;
  EventCounters<P, event_count> events_;
};

}  // namespace faultline
