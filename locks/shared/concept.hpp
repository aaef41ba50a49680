// The operations of a reader-writer semaphore. A reader releases on the thread that acquired,
// unless a lock says that another thread may release.
#pragma once

#include <concepts>
#include <string>
#include <vector>

#include "locks/events.hpp"

namespace faultline {

// `downgrade` turns the caller's exclusive hold into a shared one. A lock that cannot do so
// atomically says that in `static constexpr bool atomic_downgrade`; its downgrade releases the lock
// in between. `append_events` and `describe` are for reports: the lock's own events, and its
// holders as far as racy reads can tell ("writer: thread 3", "3 readers, last seen thread 1").
template <class L>
concept SharedLock = requires(L lock, const L& constant, Events& events) {
  lock.lock_shared();
  { lock.try_lock_shared() } -> std::same_as<bool>;
  lock.unlock_shared();
  lock.lock();
  { lock.try_lock() } -> std::same_as<bool>;
  lock.unlock();
  lock.downgrade();
  { L::atomic_downgrade } -> std::convertible_to<bool>;
  constant.append_events(events);
  { constant.describe() } -> std::same_as<std::string>;
};

}  // namespace faultline
