// The verbs of a reader-writer semaphore. A reader may release on another thread than it acquired
// on only where a lock says so.
#pragma once

#include <concepts>
#include <string>
#include <vector>

#include "locks/events.hpp"

namespace faultline {

// `downgrade` turns the caller's exclusive hold into a shared one; a lock that cannot do it
// atomically says so in `static constexpr bool atomic_downgrade` and lets go in between.
// `append_events` and `describe` are for reports: the lock's own events, and who holds it as far as
// racy reads can tell ("writer: thread 3", "3 readers, last seen thread 1").
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
