// Data that the lock under test guards, and counts of the threads inside it: both show when the
// lock lets in a thread that it should have kept out. All accesses are relaxed or plain, so that
// only the lock orders them.
#pragma once

#include <sched.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <type_traits>

#include "harness/native/platform.hpp"

namespace faultline::torture {

// Makes a section last for a time that `dice` chooses: mostly a few instructions, sometimes up to 2
// us, now and then a yield or a sleep of up to 200 us.
inline void linger(u64 dice) {
  if (dice % 256 == 0)
    std::this_thread::sleep_for(std::chrono::microseconds(dice / 256 % 200));
  else if (dice % 64 == 1)
    sched_yield();
  else if (dice % 8 == 2)
    NativePlatform::work(dice / 8 % 2000);
}

// `plain`: the value is plain data, so that ThreadSanitizer sees a race too. For a lock that is
// broken on purpose it is an atomic, since a data race is undefined behaviour.
template <bool plain>
class GuardedValue {
 public:
  u64 load() const { return value_.load(std::memory_order_relaxed); }
  void store(u64 value) { value_.store(value, std::memory_order_relaxed); }

 private:
  std::atomic<u64> value_{0};
};
template <>
class GuardedValue<true> : public NativePlatform::data<u64> {};

// Two counters that a writer increments one after the other, and a count of the holders inside.
template <bool plain>
class Guarded {
 public:
  void enter_writer() { expect(inside_.fetch_add(writer, std::memory_order_relaxed) == 0); }
  void leave_writer() { inside_.fetch_sub(writer, std::memory_order_relaxed); }
  void enter_reader() { expect(inside_.fetch_add(reader, std::memory_order_relaxed) < writer); }
  void leave_reader() { inside_.fetch_sub(reader, std::memory_order_relaxed); }
  // Call it before the lock's downgrade, while no other thread can be inside.
  void downgrade() {
    expect(inside_.fetch_add(reader - writer, std::memory_order_relaxed) == writer);
  }

  u64 write(u64 dice) {
    first_.store(first_.load() + 1);
    linger(dice);
    second_.store(second_.load() + 1);
    return second_.load();
  }
  u64 read(u64 dice) {
    const u64 second = second_.load();
    linger(dice);
    expect(first_.load() == second);
    return second;
  }
  void expect(bool holds) {
    if (!holds) violations_.fetch_add(1, std::memory_order_relaxed);
  }
  // With all threads at rest: expects no thread inside, and `writes` writes.
  void settle(u64 writes) {
    expect(inside_.load(std::memory_order_relaxed) == 0);
    expect(read(3) == writes);
  }
  u64 violations() const { return violations_.load(std::memory_order_relaxed); }

 private:
  static constexpr i64 reader = 1, writer = i64{1} << 32;
  GuardedValue<plain> first_;
  GuardedValue<plain> second_;
  std::atomic<i64> inside_{0};
  std::atomic<u64> violations_{0};
};

// The same for a range lock: a count of the holders of each page, and one counter a page.
template <bool plain>
class GuardedPages {
 public:
  static constexpr u64 pages = 64;

  void enter(Range range, bool exclusive) {
    for_each_page(range, [&](u64 page) {
      const u32 before = inside_[page].fetch_add(exclusive ? writer : 1, std::memory_order_relaxed);
      if (exclusive ? before != 0 : before >= writer)
        violations_.fetch_add(1, std::memory_order_relaxed);
    });
  }
  void leave(Range range, bool exclusive) {
    for_each_page(range, [&](u64 page) {
      inside_[page].fetch_sub(exclusive ? writer : 1, std::memory_order_relaxed);
    });
  }
  // Call it before the lock's downgrade, while no other thread can be inside.
  void downgrade(Range range) {
    for_each_page(range, [&](u64 page) {
      if (inside_[page].fetch_add(1 - writer, std::memory_order_relaxed) != writer)
        violations_.fetch_add(1, std::memory_order_relaxed);
    });
  }
  // Reads the counter of every page in `range`, which an exclusive holder increments first. Returns
  // their sum.
  u64 touch(Range range, bool exclusive) {
    u64 sum = 0;
    for_each_page(range, [&](u64 page) {
      if (exclusive) counters_[page].store(counters_[page].load() + 1);
      sum += counters_[page].load();
    });
    return sum;
  }
  u64 violations() const { return violations_.load(std::memory_order_relaxed); }
  // With all threads at rest: how many times exclusive holders have incremented a page's counter.
  u64 writes() const {
    u64 sum = 0;
    for (const auto& counter : counters_) sum += counter.load();
    return sum;
  }

 private:
  template <class F>
  static void for_each_page(Range range, F&& visit) {
    for (u64 page = range.start / page_size; page < range.end / page_size; ++page) visit(page);
  }

  static constexpr u32 writer = 1 << 16;
  std::atomic<u32> inside_[pages] = {};
  GuardedValue<plain> counters_[pages];
  std::atomic<u64> violations_{0};
};

}  // namespace faultline::torture
