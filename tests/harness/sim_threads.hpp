// Threads in a loop on a modelled machine, for the simulator's tests. Completed operations are
// counted in simulated time, so the count is exact.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <numeric>
#include <vector>

#include "harness/sim/platform.hpp"

namespace faultline {

// ThreadSanitizer knows neither these fibers nor the arena's address range, and the process has
// only one thread. AddressSanitizer replaces operator new, with which the simulator fills its
// arena.
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
inline constexpr bool simulator_runs = false;
#else
inline constexpr bool simulator_runs = true;
#endif
inline constexpr const char* no_simulator = "no sanitizer can follow the simulator";

class SimTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!simulator_runs) GTEST_SKIP() << no_simulator;
  }
};

inline std::vector<u32> first_cpus(u32 threads) {
  std::vector<u32> cpus(threads);
  std::iota(cpus.begin(), cpus.end(), 0);
  return cpus;
}

struct LoopResult {
  u64 operations = 0;  // completed in the window
  u64 window_ns = 0;
  sim::Counts counts;  // of the window
  double per_us() const {
    return 1e3 * static_cast<double>(operations) / static_cast<double>(window_ns);
  }
};

// `threads` threads, on CPUs 0 and up, that call operation(shared, thread) again and again. The
// counted window begins after all have begun. `shared` is a T in the simulated memory.
template <class T, class F>
LoopResult run_loop(const sim::Machine& machine, u32 threads, u64 window_ns, F&& operation,
                    u64 seed = 1) {
  constexpr u64 warm_up_ns = 20'000;
  using P = SimPlatform;
  struct alignas(cache_line) Stop {
    P::atomic<u32> now{0};
  };
  sim::Simulation simulation(machine, first_cpus(threads), {.seed = seed});
  const auto stop = simulation.make<Stop>();
  const auto shared = simulation.make<T>();
  u64 done = 0, done_before = 0;
  for (u32 thread = 0; thread < threads; ++thread)
    simulation.set_body(thread, [&, thread] {
      while (stop->now.load(std::memory_order_relaxed) == 0) {
        operation(*shared, thread);
        ++done;
      }
    });
  LoopResult result;
  sim::Counts before;
  simulation.at(warm_up_ns, [&] { before = simulation.counts(), done_before = done; });
  simulation.at(warm_up_ns + window_ns, [&] {
    result.counts = simulation.counts().since(before);
    result.operations = done - done_before;
    stop->now.store(1, std::memory_order_relaxed);
  });
  simulation.run();
  result.window_ns = window_ns;
  return result;
}

// Acquisitions a microsecond of mutex L by `threads` threads that hold it for 100 ns each time.
template <class L>
double handoffs_per_us(const sim::Machine& machine, u32 threads) {
  struct alignas(cache_line) Shared {
    L lock;
  };
  return run_loop<Shared>(machine, threads, 500'000,
                          [](Shared& shared, u32) {
                            typename L::Node node;
                            shared.lock.lock(node);
                            SimPlatform::work(100);
                            shared.lock.unlock(node);
                          })
      .per_us();
}

}  // namespace faultline
