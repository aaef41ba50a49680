// The memory of maple_range_lock, whose threads take the tree's nodes and retire those of others.
#include "locks/range/maple_range_lock.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "harness/sim/machine/machine.hpp"
#include "tests/harness/sim_threads.hpp"

namespace faultline {
namespace {

using P = SimPlatform;

struct Looped {
  // One turn in five is exclusive. Ranges are of any length within 256 pages.
  void turn() {
    P::settle();
    const u64 a = P::random() % 256, b = P::random() % 256;
    MapleRangeLock<P>::Node node;
    lock.lock(node, {std::min(a, b) * page_size, (std::max(a, b) + 1) * page_size},
              P::random() % 5 == 0);
    P::work(100);
    lock.unlock(node);
    ++turns;
  }
  MapleRangeLock<P> lock;
  u64 turns = 0;
};

struct Outcome {
  u64 nodes = 0, turns = 0;
};
Outcome loop_for(u32 threads, u64 window_us) {
  Outcome outcome;
  run_loop<Looped>(sim::Machine::load("ideal-" + std::to_string(threads)), threads,
                   window_us * 1000, [&](Looped& looped, u32) {
                     looped.turn();
                     outcome = {looped.lock.allocated_nodes(), looped.turns};
                   });
  return outcome;
}

class SimMapleRangeLock : public SimTest {};

TEST_F(SimMapleRangeLock, MemoryStopsGrowingOnceNodesComeBack) {
  for (const u32 threads : {2U, 8U}) {
    const Outcome early = loop_for(threads, 20'000), late = loop_for(threads, 80'000);
    EXPECT_GT(late.turns, early.turns * 3);
    EXPECT_LT(late.nodes, 128U * threads);
    EXPECT_LT(late.nodes, early.nodes * 5 / 4) << threads << " threads";
  }
}

}  // namespace
}  // namespace faultline
