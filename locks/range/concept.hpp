// The verbs of a range lock: any number of disjoint, or overlapping shared, ranges at once. A Node
// is the caller's and lives from lock to unlock.
#pragma once

#include <concepts>
#include <string>
#include <vector>

#include "locks/events.hpp"
#include "locks/types.hpp"

namespace faultline {

// `downgrade` turns an exclusive hold into a shared one; `downgrade_range` shrinks a hold to a
// range inside it; waiters that no longer conflict go on. `try_lock` may fail although nothing
// conflicts (a lock says when). `describe` lists holders and waiters.
template <class L>
concept RangeLock = requires(L lock, const L& constant, typename L::Node& node, Range range,
                             bool exclusive, Events& events) {
  lock.lock(node, range, exclusive);
  { lock.try_lock(node, range, exclusive) } -> std::same_as<bool>;
  lock.unlock(node);
  lock.downgrade(node);
  lock.downgrade_range(node, range);
  constant.append_events(events);
  { constant.describe() } -> std::same_as<std::vector<std::string>>;
};

// lock() in two halves, for a caller that takes its place in the order of arrival while it holds a
// lock of its own, and waits without it. `enqueue` answers whether the range is held at once; if
// not, it is held when `wait` returns. Between the two the node conflicts with later arrivals as a
// holder does.
template <class L>
concept QueuedRangeLock = RangeLock<L> &&
    requires(L lock, typename L::Node& node, Range range, bool exclusive) {
  { lock.enqueue(node, range, exclusive) } -> std::same_as<bool>;
  lock.wait(node);
};

}  // namespace faultline
