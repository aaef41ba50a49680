// The native platform, and a second thread that runs an operation of its own just before a chosen
// atomic access of the first one's: a race wherever there can be one, without waiting for luck.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <thread>
#include <utility>

#include "harness/native/platform.hpp"

namespace faultline {

// The caller is thread 0; the thread that intrudes is thread 1.
class Injection {
 public:
  explicit Injection(std::function<void()> intruder) : intruder_(std::move(intruder)) {}

  // Runs `act`, and at its nth access the intruder, until that has ended or waits (as told
  // by wait_begin) for the caller. False: there were fewer, and the intruder has not run.
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
    // A sleep, not a yield, which on a busy machine gives a whole slice away.
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

struct InjectingPlatform : NativePlatform {
  template <class T>
  struct atomic : std::atomic<T> {
    using Base = std::atomic<T>;
    using Order = std::memory_order;
    using Base::Base;
    using Base::operator=;
    T load(Order order = Order::seq_cst) const { return accessed().load(order); }
    void store(T value, Order order = Order::seq_cst) { accessed().store(value, order); }
    T exchange(T value, Order order = Order::seq_cst) { return accessed().exchange(value, order); }
    template <class U>
    T fetch_add(U amount, Order order = Order::seq_cst) {
      return accessed().fetch_add(amount, order);
    }
    template <class U>
    T fetch_sub(U amount, Order order = Order::seq_cst) {
      return accessed().fetch_sub(amount, order);
    }
    template <class... Orders>
    bool compare_exchange_strong(T& expected, T desired, Orders... orders) {
      return accessed().compare_exchange_strong(expected, desired, orders...);
    }
    template <class... Orders>
    bool compare_exchange_weak(T& expected, T desired, Orders... orders) {
      return accessed().compare_exchange_weak(expected, desired, orders...);
    }

   private:
    Base& accessed() {
      Injection::at_access();
      return *this;
    }
    const Base& accessed() const {
      Injection::at_access();
      return *this;
    }
  };
};

static_assert(Platform<InjectingPlatform>);

}  // namespace faultline
