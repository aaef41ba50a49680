#include <gtest/gtest.h>

#include <numeric>

#include "harness/sim/platform.hpp"
#include "locks/mutex/mcs.hpp"
#include "locks/mutex/ticket.hpp"

namespace faultline {
namespace {

using P = SimPlatform;

TEST(Sim, AThreadAloneRunsToItsEnd) {
  const sim::Machine machine = sim::Machine::load("ideal-4");
  sim::Simulation simulation(machine, {0, 1}, {});
  auto word = simulation.make<P::atomic<u64>>(0);
  for (u32 i = 0; i < 2; ++i)
    simulation.set_body(i, [&] {
      for (int turn = 0; turn < 1000; ++turn) word->fetch_add(1, std::memory_order_relaxed);
    });
  simulation.run();
  EXPECT_EQ(word->load(std::memory_order_relaxed), 2000U);
  printf("%lu ns %lu transfers\n", (unsigned long)simulation.now_ns(), (unsigned long)simulation.counts().transfers);
}

}  // namespace
}  // namespace faultline
