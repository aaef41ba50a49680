// The memory of a container's nodes, where some threads take nodes and others retire them.
#include "locks/vmas/rcu_nodes.hpp"

#include <gtest/gtest.h>

#include <string>

#include "harness/sim/machine/machine.hpp"
#include "locks/mutex/ticket.hpp"
#include "tests/harness/sim_threads.hpp"

namespace faultline {
namespace {

using P = SimPlatform;

struct TestNode {
  static constexpr const char* label = "test.node";
  static constexpr usize bytes = 64;
  alignas(bytes) P::atomic<u64> state;
};
using Memory = vmas::RcuNodes<P, TestNode>;

// A tree as its memory sees it: threads of even number put nodes in, the others take nodes out.
class Tree {
 public:
  static constexpr u32 most_nodes = 256;
  static constexpr u32 nodes_of_an_edit = 8;

  void edit(u32 thread) {
    P::settle();
    const bool puts = thread % 2 == 0;
    memory_.reserve(puts ? nodes_of_an_edit : 0);
    Ticket<P>::Node entry;
    lock_.lock(entry);
    if (puts)
      put();
    else
      retire();
    lock_.unlock(entry);
  }
  u64 allocated() const { return memory_.allocated(); }
  u64 edits() const { return edits_; }

 private:
  void put() {
    if (count_ + nodes_of_an_edit > most_nodes) return;
    for (u32 i = 0; i < nodes_of_an_edit; ++i) nodes_[count_++] = memory_.take();
    ++edits_;
  }
  void retire() {
    if (count_ == 0) return;
    Memory::Dead dead;
    for (u32 i = 0; i < nodes_of_an_edit; ++i) dead.add(nodes_[--count_]);
    memory_.retire(dead);
    ++edits_;
  }

  Ticket<P> lock_;
  Memory memory_;
  TestNode* nodes_[most_nodes];
  u32 count_ = 0;
  u64 edits_ = 0;
};

struct Outcome {
  u64 nodes = 0, edits = 0;
};
Outcome edit_for(u32 threads, u64 window_us) {
  Outcome outcome;
  run_loop<Tree>(sim::Machine::load("ideal-" + std::to_string(threads)), threads, window_us * 1000,
                 [&](Tree& tree, u32 thread) {
                   tree.edit(thread);
                   outcome = {tree.allocated(), tree.edits()};
                 });
  return outcome;
}

class SimRcuNodes : public SimTest {};

TEST_F(SimRcuNodes, MemoryIsBoundedWhereSomeThreadsTakeAndOthersRetire) {
  for (const u32 threads : {2U, 16U}) {
    const Outcome early = edit_for(threads, 10'000), late = edit_for(threads, 40'000);
    EXPECT_GT(late.edits, early.edits * 3);
    EXPECT_EQ(late.nodes, early.nodes) << threads << " threads";
  }
}

}  // namespace
}  // namespace faultline
