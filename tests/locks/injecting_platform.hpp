// The native platform, and a second thread that runs an operation of its own just before a chosen
// atomic access of the first one's: a race wherever there can be one, without waiting for luck.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <thread>
#include <utility>

#include "harness/cells/atomic.hpp"
#include "harness/native/platform.hpp"

namespace faultline {

// The caller is thread 0; the thread that intrudes is thread 1.
class Injection {
 public:
  explicit Injection(std::function<void()> intruder) : intruder_(std::move(intruder)) {}

  // Runs `act`, and at its nth access the intruder, until that has ended or waits (as told
  // by wait_begin) for the caller. False: `act` made fewer accesses, and the intruder has not
  // run.
  template <class F>
  bool run(u32 n, F&& act) {
    left_ = n;
    current_ = this;
    act();
    current_ = nullptr;
    if (!thread_.joinable()) return false;
    thread_.join();
    return true;
  }

  static void at_access() {
    if (current_ != nullptr && --current_->left_ == 0) current_->intrude();
  }

 private:
  void intrude() {
    current_ = nullptr;
    done_ = false;
    thread_ = std::thread([this] {
      NativeThread registered(1, 1, 0, 2);
      intruder_();
      done_ = true;
    });
    // It sleeps: on a busy machine a yield gives a whole time slice away.
    while (!done_ && native::waiting_since(1) == 0)
      std::this_thread::sleep_for(std::chrono::microseconds(20));
  }

  // One for the thread, as native::this_thread is, since an access has no argument to name it.
  inline static thread_local Injection* current_ = nullptr;

  const std::function<void()> intruder_;
  std::thread thread_;
  std::atomic<bool> done_{false};
  u32 left_ = 0;
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
    return NativePlatform::wait(word.cell().word(), old, deadline);
  }
  static void wake(atomic<u32>& word, u32 n) { NativePlatform::wake(word.cell().word(), n); }
};

static_assert(Platform<InjectingPlatform>);

}  // namespace faultline
