// The native platform, and a second thread that runs an operation of its own just before a chosen
// atomic access of the first one's: a race wherever there can be one, without waiting for luck.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>

#include "harness/cells/atomic.hpp"
#include "harness/native/platform.hpp"

namespace faultline {

// The caller is thread 0; the thread that intrudes is thread 1. Only one of them
// runs at a time: the intruder until it has ended or waits, then the caller until it has ended or
// waits. A thread waits where it pauses in a loop, or sleeps in a futex. Time decides only when the
// other one sees that a thread has gone to sleep, or is awake again.
class Injection {
 public:
  explicit Injection(std::function<void()> intruder) : intruder_(std::move(intruder)) {}

  // Runs `act`, and the intruder at its nth access. False: `act` made fewer accesses, and the
  // intruder has not run.
  template <class F>
  bool run(u32 n, F&& act) {
    left_ = n;
    current_ = this;
    party_ = first;
    act();
    current_ = nullptr;
    if (!thread_.joinable()) return false;
    end_turns();
    thread_.join();
    return true;
  }

  static void at_access() {
    if (current_ != nullptr && party_ == first && current_->left_ != 0 && --current_->left_ == 0)
      current_->intrude();
  }
  // The thread waits in a loop.
  static void at_pause() {
    if (current_ != nullptr && current_->thread_.joinable()) current_->pass();
  }
  // The thread sleeps in `sleep`, until the other one wakes it.
  template <class F>
  static bool asleep(F&& sleep) {
    if (current_ == nullptr || !current_->thread_.joinable()) return sleep();
    current_->begin_sleep();
    const bool woken = sleep();
    current_->end_sleep();
    return woken;
  }

 private:
  // The caller and the intruder.
  enum Party : usize { first, second };

  static Party other() { return party_ == first ? second : first; }

  void intrude() {
    std::unique_lock lock(mutex_);
    over_ = false;
    asleep_ = {};
    turn_ = second;
    // The intruder's first pause finds `thread_` set, since the assignment is under the mutex too.
    thread_ = std::thread([this] {
      { const std::lock_guard started(mutex_); }
      current_ = this;
      party_ = second;
      NativeThread registered(1, 1, 0, 2);
      intruder_();
      end_turns();
    });
    await_turn(lock);
  }

  void pass() {
    std::unique_lock lock(mutex_);
    if (over_ || asleep_[other()]) return;
    turn_ = other();
    changed_.notify_all();
    await_turn(lock);
  }
  void begin_sleep() {
    const std::lock_guard lock(mutex_);
    asleep_[party_] = true;
    if (!asleep_[other()]) turn_ = other();
    changed_.notify_all();
  }
  void end_sleep() {
    std::unique_lock lock(mutex_);
    asleep_[party_] = false;
    await_turn(lock);
  }
  void await_turn(std::unique_lock<std::mutex>& lock) {
    changed_.wait(lock, [&] { return over_ || turn_ == party_ || asleep_[other()]; });
    turn_ = party_;
  }
  // One of the two has ended.
  void end_turns() {
    const std::lock_guard lock(mutex_);
    over_ = true;
    changed_.notify_all();
  }

  // One for the thread, as native::this_thread is, since an access has no argument to name it.
  inline static thread_local Injection* current_ = nullptr;
  inline static thread_local Party party_ = first;

  const std::function<void()> intruder_;
  std::thread thread_;
  u32 left_ = 0;  // accesses of the caller until the intruder runs; 0: it has begun

  std::mutex mutex_;
  std::condition_variable changed_;
  Party turn_ = first;  // whose turn it is; the other one blocks, or sleeps
  std::array<bool, 2> asleep_{};
  bool over_ = false;
};

// A std::atomic. The intruder may run before each of its accesses.
template <class T>
class InjectingCell {
  using Order = std::memory_order;

 public:
  using Where = cells::Nowhere;

  constexpr InjectingCell() = default;
  constexpr InjectingCell(T value) : word_(value) {}

  T load(Order order, Where) const { return accessed().load(order); }
  void store(T value, Order order, Where) { accessed().store(value, order); }
  template <class Change>
  T modify(const char*, const Change& change, Order order, Where) {
    std::atomic<T>& word = accessed();
    // relaxed: the exchange below orders the access.
    T before = word.load(std::memory_order_relaxed);
    while (!word.compare_exchange_weak(before, change(before), order, std::memory_order_relaxed)) {
    }
    return before;
  }
  bool compare_exchange(T& expected, T desired, bool weak, Order success, Order failure, Where) {
    std::atomic<T>& word = accessed();
    return weak ? word.compare_exchange_weak(expected, desired, success, failure)
                : word.compare_exchange_strong(expected, desired, success, failure);
  }

  // For the futex system call. The intruder does not run here.
  std::atomic<T>& word() const { return word_; }

 private:
  std::atomic<T>& accessed() const {
    Injection::at_access();
    return word_;
  }

  mutable std::atomic<T> word_{};
};

struct InjectingPlatform : NativePlatform, cells::StoresParts<InjectingCell> {
  template <class T>
  using atomic = cells::Atomic<T, InjectingCell>;

  using cells::StoresParts<InjectingCell>::store_low;

  static bool wait(atomic<u32>& word, u32 old, u64 deadline = no_deadline) {
    return Injection::asleep(
        [&] { return NativePlatform::wait(word.cell().word(), old, deadline); });
  }
  static void pause(const void* object) {
    Injection::at_pause();
    NativePlatform::pause(object);
  }
  static void wake(atomic<u32>& word, u32 n) { NativePlatform::wake(word.cell().word(), n); }
};

static_assert(Platform<InjectingPlatform>);

}  // namespace faultline
