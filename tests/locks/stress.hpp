// Threads that hammer a lock, and what must hold while they do. A run ends by the clock, and by the
// first violation; threads that do not come back from the lock then have been forgotten by it.
#pragma once

#include <gtest/gtest.h>
#include <sched.h>

#include <atomic>
#include <cctype>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "harness/native/platform.hpp"
#include "locks/mutex/concept.hpp"
#include "locks/shared/concept.hpp"

namespace faultline::stress {

using P = NativePlatform;
using Milliseconds = std::chrono::milliseconds;

inline std::vector<u32> allowed_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  sched_getaffinity(0, sizeof(set), &set);
  std::vector<u32> cpus;
  for (u32 cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  return cpus;
}

// The calling thread registered as number `id` and pinned, until this object's end.
class PinnedThread {
 public:
  PinnedThread(u32 id, u32 cpu) : thread_(id, cpu, 0, id) {
    sched_getaffinity(0, sizeof(before_), &before_);
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    sched_setaffinity(0, sizeof(set), &set);
  }
  ~PinnedThread() { sched_setaffinity(0, sizeof(before_), &before_); }
  PinnedThread(const PinnedThread&) = delete;
  PinnedThread& operator=(const PinnedThread&) = delete;

 private:
  NativeThread thread_;
  cpu_set_t before_;
};

struct Plan {
  u32 threads = 4;
  Milliseconds duration{200};
  // How long after that the threads may take to come back: generous, unless a lock is known to
  // forget some.
  Milliseconds patience{60'000};
  // Gets forgotten threads out of a lock that is broken on purpose. Without it the process ends, as
  // they can be neither joined nor left.
  std::function<void()> rescue = {};
};

struct Report {
  u64 operations = 0;
  u64 violations = 0;
  bool hung = false;
};

// Counters that a writer changes in two steps, and who is inside. `plain`: the counters are plain
// data, which shows a race to ThreadSanitizer too; a lock that is broken on purpose takes atomics.
// relaxed throughout: the lock under test is to make the order, not the checker.
template <bool plain>
class Guarded {
 public:
  void enter_writer() { expect(inside_.fetch_add(writer, std::memory_order_relaxed) == 0); }
  void leave_writer() { inside_.fetch_sub(writer, std::memory_order_relaxed); }
  void enter_reader() { expect(inside_.fetch_add(reader, std::memory_order_relaxed) < writer); }
  void leave_reader() { inside_.fetch_sub(reader, std::memory_order_relaxed); }
  // Before the lock's own downgrade, while nobody else can be inside.
  void downgrade() {
    expect(inside_.fetch_add(reader - writer, std::memory_order_relaxed) == writer);
  }

  u64 write(bool dwell) {
    first_.store(first_.load() + 1);
    if (dwell) sched_yield();
    second_.store(second_.load() + 1);
    return second_.load();
  }
  u64 read(bool dwell) {
    const u64 second = second_.load();
    if (dwell) sched_yield();
    expect(first_.load() == second);
    return second;
  }
  void expect(bool holds) {
    if (!holds) violations_.fetch_add(1, std::memory_order_relaxed);
  }
  u64 violations() const { return violations_.load(std::memory_order_relaxed); }

 private:
  class Relaxed {
   public:
    u64 load() const { return value_.load(std::memory_order_relaxed); }
    void store(u64 value) { value_.store(value, std::memory_order_relaxed); }

   private:
    std::atomic<u64> value_{0};
  };
  using Counter = std::conditional_t<plain, P::data<u64>, Relaxed>;

  static constexpr i64 reader = 1, writer = i64{1} << 32;
  Counter first_;
  Counter second_;
  std::atomic<i64> inside_{0};
  std::atomic<u64> violations_{0};
};

// Runs turn() on every thread again and again, until the plan's end or until failed().
class Hammer {
 public:
  explicit Hammer(const Plan& plan) : plan_(plan) {}

  template <class Turn, class Failed>
  Report run(Turn turn, Failed failed) {
    const std::vector<u32> cpus = allowed_cpus();
    std::vector<std::thread> threads;
    for (u32 id = 0; id < plan_.threads; ++id)
      threads.emplace_back([this, id, cpu = cpus[id % cpus.size()], &turn] {
        const PinnedThread self(id, cpu);
        u64 operations = 0;
        while (!stop_) operations += turn() ? 1 : 0;
        operations_ += operations;
        ++ended_;
      });
    wait_until(plan_.duration, failed);
    stop_ = true;
    Report report;
    report.hung = !wait_until(plan_.patience, [this] { return ended_ == plan_.threads; });
    if (report.hung) end_hang();
    for (std::thread& thread : threads) thread.join();
    report.operations = operations_;
    return report;
  }

 private:
  template <class Done>
  static bool wait_until(Milliseconds limit, Done done) {
    const auto end = std::chrono::steady_clock::now() + limit;
    while (!done()) {
      if (std::chrono::steady_clock::now() > end) return false;
      std::this_thread::sleep_for(Milliseconds(1));
    }
    return true;
  }

  void end_hang() {
    if (!plan_.rescue) {
      for (const std::string& line : native::waiting_threads())
        std::fprintf(stderr, "%s\n", line.c_str());
      std::fprintf(stderr, "the lock has forgotten %u thread(s)\n", plan_.threads - ended_);
      std::abort();
    }
    while (ended_ != plan_.threads) {
      plan_.rescue();
      std::this_thread::sleep_for(Milliseconds(1));
    }
  }

  Plan plan_;
  std::atomic<bool> stop_{false};
  std::atomic<u32> ended_{0};
  std::atomic<u64> operations_{0};
};

template <bool plain = true, Mutex L>
Report hammer_mutex(L& lock, const Plan& plan) {
  Guarded<plain> guarded;
  std::atomic<u64> writes{0};
  auto turn = [&] {
    typename L::Node node;
    const u64 dice = P::random();
    if (dice % 4 != 0)
      lock.lock(node);
    else if (!lock.try_lock(node))
      return false;
    guarded.enter_writer();
    guarded.write(dice % 64 == 1);
    guarded.leave_writer();
    lock.unlock(node);
    writes.fetch_add(1, std::memory_order_relaxed);  // relaxed: read after the join
    return true;
  };
  Report report = Hammer(plan).run(turn, [&] { return guarded.violations() != 0; });
  guarded.expect(guarded.read(false) == writes);
  report.violations = guarded.violations();
  return report;
}

// One write, which ends as a read where the dice say so.
template <bool plain, SharedLock L>
void write_and_unlock(L& lock, Guarded<plain>& guarded, u64 dice) {
  guarded.enter_writer();
  const u64 written = guarded.write(dice % 32 == 0);
  if (dice / 32 % 2 == 0) {
    guarded.leave_writer();
    lock.unlock();
    return;
  }
  if constexpr (L::atomic_downgrade) {
    guarded.downgrade();
    lock.downgrade();
    guarded.expect(guarded.read(dice % 32 == 1) == written);
  } else {
    guarded.leave_writer();
    lock.downgrade();
    guarded.enter_reader();
    guarded.read(false);
  }
  guarded.leave_reader();
  lock.unlock_shared();
}

// Six of ten turns read, the others write; a third of all try.
template <bool plain = true, SharedLock L>
Report hammer_shared(L& lock, const Plan& plan) {
  Guarded<plain> guarded;
  std::atomic<u64> writes{0};
  auto turn = [&] {
    const u64 dice = P::random();
    const bool tries = dice % 3 == 0;
    if (dice / 3 % 10 < 6) {
      if (!tries)
        lock.lock_shared();
      else if (!lock.try_lock_shared())
        return false;
      guarded.enter_reader();
      guarded.read(dice / 30 % 32 == 0);
      guarded.leave_reader();
      lock.unlock_shared();
      return true;
    }
    if (!tries)
      lock.lock();
    else if (!lock.try_lock())
      return false;
    write_and_unlock(lock, guarded, dice / 30);
    writes.fetch_add(1, std::memory_order_relaxed);  // relaxed: read after the join
    return true;
  };
  Report report = Hammer(plan).run(turn, [&] { return guarded.violations() != 0; });
  guarded.expect(guarded.read(false) == writes);
  report.violations = guarded.violations();
  return report;
}

// A registry's list of locks as gtest's types, and their names for it, in which it takes neither
// ':' nor '-'.
template <class... Named>
testing::Types<typename Named::Lock...> types_of(std::tuple<Named...>);

template <const auto& list>
struct Names {
  template <class L>
  static std::string GetName(int index) {
    std::vector<std::string> names;
    std::apply([&](auto... named) { (names.emplace_back(named.name), ...); }, list);
    for (char& c : names[static_cast<usize>(index)])
      if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
    return names[static_cast<usize>(index)];
  }
};

}  // namespace faultline::stress
