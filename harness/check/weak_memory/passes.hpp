// Counts how often each waiter is passed, once the lock has promised it a bound
// (locks/promise.hpp).
#pragma once

#include <array>

#include "harness/check/common/log.hpp"
#include "harness/check/common/program.hpp"
#include "locks/promise.hpp"

namespace faultline::check {

class Passes {
 public:
  // Of the lock that is explored. The promises of locks inside it are not heeded.
  const Promise* promise = nullptr;
  u64 promises = 0;  // made in all executions

  void begin_execution() {
    waiters_ = {};
    calls_ = {};
    acting_ = begun_ = waiting_ = 0;
  }

  // The thread calls to acquire. The acquisition begins with its first operation, since other
  // threads may run before that.
  void call(u32 thread, const Act& act) {
    acting_ |= bit(thread);
    begun_ &= ~bit(thread);
    calls_[thread] = act;
  }
  // The thread performs an operation.
  void perform(u32 thread) {
    if ((acting_ & ~begun_ & bit(thread)) == 0) return;
    begun_ |= bit(thread);
    for (Waiter& waiter : waiters_) waiter.later |= bit(thread);
  }
  void make(const Promise& made, u32 thread) {
    if (&made != promise || (acting_ & bit(thread)) == 0 || (waiting_ & bit(thread)) != 0) return;
    ++promises;
    waiting_ |= bit(thread);
    waiters_[thread] = {};
  }
  // The call returns. Answers the waiter that it has passed too often, or `nobody`.
  u32 end(u32 thread, bool acquired) {
    acting_ &= ~bit(thread);
    waiting_ &= ~bit(thread);
    u32 starved = nobody;
    for (u32 i = 0; i < most_threads; ++i) {
      Waiter& waiter = waiters_[i];
      const bool passed = acquired && (waiting_ & bit(i)) != 0 &&
                          (waiter.later & bit(thread)) != 0 && conflict(calls_[i], calls_[thread]);
      waiter.later &= ~bit(thread);
      if (passed && ++waiter.passes > promise->most_passes) starved = i;
    }
    return starved;
  }

 private:
  struct Waiter {
    u32 later = 0;  // the threads whose present calls began after the promise
    u32 passes = 0;
  };

  static constexpr u32 bit(u32 thread) { return 1U << thread; }

  std::array<Waiter, most_threads> waiters_{};
  std::array<Act, most_threads> calls_{};
  u32 acting_ = 0;   // threads inside a call
  u32 begun_ = 0;    // those that have performed an operation of it
  u32 waiting_ = 0;  // those that have a promise
};

}  // namespace faultline::check
