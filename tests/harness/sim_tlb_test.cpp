// The simulated CPUs' caches of translations.
#include <gtest/gtest.h>

#include "locks/address_space/page_table.hpp"
#include "tests/harness/sim_threads.hpp"

namespace faultline {
namespace {

using P = SimPlatform;
constexpr u64 page = lowest_address;
constexpr u32 rw = prot_read | prot_write;

AddressSpaceOptions options(u32 shootdown, u32 page_table) {
  AddressSpaceOptions options;
  options.frames_per_thread = 16;
  options.clear_pages = false;
  options.shootdown = shootdown;
  options.page_table = page_table;
  return options;
}

template <u32 shootdown, u32 page_table>
struct Shared {
  Violations<P> violations;
  PageTable<P> table{options(shootdown, page_table), violations};
  P::atomic<u32> step{0};

  void enter() {
    table.enter();
    table.fault_in(page, Access::write, rw, NewPage::own);
  }
  // The accesses to memory that an access to the page makes; ~0: it takes a fault.
  u64 accesses_of_touch(Access access) {
    const u64 before = sim::here.cpu->accesses;
    return table.touch(page, access) ? sim::here.cpu->accesses - before : ~u64{0};
  }
  void await(u32 value) {
    while (step.load(std::memory_order_acquire) != value) P::pause(&step);
  }
};

class SimTlb : public SimTest {};

// A hit finds the memory of the frame. A walk reads an entry of each level before.
constexpr u64 of_hit = 1, of_walk = 5;

// Thread 0 has accessed the page; `change` by thread 1 then takes it, or some rights, away.
template <u32 shootdown, u32 page_table, class F>
u64 accesses_after(Access access, F&& change) {
  const sim::Machine machine = sim::Machine::load("ideal-8");
  sim::Simulation simulation(machine, first_cpus(2), {.seed = 1});
  const auto shared = simulation.make<Shared<shootdown, page_table>>();
  u64 walk = 0, hit = 0, accesses = 0;
  simulation.set_body(0, [&] {
    shared->enter();
    walk = shared->accesses_of_touch(Access::read);
    hit = shared->accesses_of_touch(Access::write);
    shared->step.store(1, std::memory_order_release);
    shared->await(2);
    accesses = shared->accesses_of_touch(access);
  });
  simulation.set_body(1, [&] {
    shared->await(1);
    shared->table.enter();
    change(shared->table);
    shared->step.store(2, std::memory_order_release);
  });
  simulation.run();
  EXPECT_EQ(hit, of_hit);
  // The root of a CPU's own table is found first.
  EXPECT_EQ(walk, of_walk + (page_table == page_table_per_cpu ? 1 : 0));
  return accesses;
}

constexpr Range whole_page{page, page + page_size};
constexpr auto zap = [](PageTable<P>& table) { table.zap(whole_page); };
constexpr auto restrict = [](PageTable<P>& table) { table.restrict(whole_page, prot_read); };

TEST_F(SimTlb, AHitTakesNoLineOfThePageTable) {
  const auto nothing = [](PageTable<P>&) {};
  EXPECT_EQ((accesses_after<shootdown_cpumask, page_table_shared>(Access::write, nothing)), of_hit);
}

TEST_F(SimTlb, AShootdownOfAnyPolicyEmptiesIt) {
  constexpr u64 fault = ~u64{0};
  EXPECT_EQ((accesses_after<shootdown_cpumask, page_table_shared>(Access::read, zap)), fault);
  EXPECT_EQ((accesses_after<shootdown_precise, page_table_shared>(Access::read, zap)), fault);
  EXPECT_EQ((accesses_after<shootdown_precise, page_table_per_cpu>(Access::read, zap)), fault);
  EXPECT_EQ((accesses_after<shootdown_broadcast, page_table_shared>(Access::read, zap)), fault);
}

TEST_F(SimTlb, ARestrictionTakesTheRightsThatItNames) {
  EXPECT_EQ((accesses_after<shootdown_cpumask, page_table_shared>(Access::read, restrict)),
            of_walk);
  EXPECT_EQ((accesses_after<shootdown_cpumask, page_table_shared>(Access::write, restrict)),
            ~u64{0});
}

}  // namespace
}  // namespace faultline
