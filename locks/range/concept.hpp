// The operations of a range lock. Any number of ranges may be held that are disjoint or overlap
// only shared, as far as the lock's header says. The caller owns the Node, which lives until
// unlock.
#pragma once

#include <concepts>
#include <string>
#include <vector>

#include "locks/events.hpp"
#include "locks/types.hpp"

namespace faultline {

// `downgrade` turns an exclusive hold into a shared one, and `downgrade_range` shrinks a hold to a
// range inside it. Both let waiters that no longer conflict go on. `try_lock` may fail although
// nothing conflicts; each lock says when. `describe` lists holders and
// waiters as far as the lock knows them.
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

// Whether shared ranges that overlap are held at the same time. A lock that is exclusive only says
// `shares = false`: each of its holds excludes, and a downgrade changes nothing.
template <RangeLock L>
inline constexpr bool shares_ranges = [] {
  if constexpr (requires { L::shares; })
    return L::shares;
  else
    return true;
}();

// lock() in two halves. The caller takes its place in the order of arrival while it holds a lock of
// its own, and waits after it has released that lock. `enqueue` answers whether the range is held
// at once. If not, the range is held when `wait` returns. Between the two calls the node conflicts
// with later arrivals as a holder does.
template <class L>
concept QueuedRangeLock = RangeLock<L> &&
    requires(L lock, typename L::Node& node, Range range, bool exclusive) {
  { lock.enqueue(node, range, exclusive) } -> std::same_as<bool>;
  lock.wait(node);
};

}  // namespace faultline
