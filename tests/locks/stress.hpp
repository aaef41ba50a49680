// Threads that hammer a lock, and the conditions that must hold meanwhile. A run ends by the clock,
// and at the first violation. Threads that do not return from the lock by then were forgotten by
// it.
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
#include <utility>
#include <vector>

#include "harness/native/platform.hpp"
#include "harness/topology/pinned.hpp"
#include "harness/torture/lock_turns.hpp"

namespace faultline::stress {

using P = NativePlatform;
using Milliseconds = std::chrono::milliseconds;

// Registers the calling thread as number `id` and pins it, until this object's end.
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
  // How long the threads may then take to return: long, unless a lock is known to forget some.
  Milliseconds patience{60'000};
  // Frees forgotten threads from a lock that is broken on purpose. Without it the process ends,
  // since such threads can be neither joined nor left.
  std::function<void()> rescue = {};
};

struct Report {
  u64 operations = 0;
  u64 violations = 0;
  bool hung = false;
};

// Calls turn() on every thread again and again, until the plan's end or until failed().
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

// Turns (harness/torture/lock_turns.hpp) at the lock. `plain` has the meaning it has there.
template <bool plain = true, class L>
Report hammer(L& lock, const Plan& plan) {
  torture::Turns<L, plain> turns(lock);
  Report report =
      Hammer(plan).run([&] { return turns.turn(); }, [&] { return turns.violations() != 0; });
  turns.settle();
  report.violations = turns.violations();
  return report;
}

// A list of locks as types of gtest, with their names. gtest allows only letters, digits and '_' in
// names.
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
