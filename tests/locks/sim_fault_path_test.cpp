// What a fault and an edit of the kernel cost in the simulator beside the lock itself. Simulated
// time is exact, so these tests always hold or always fail.
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "harness/case/names.hpp"
#include "locks/address_space/page_table.hpp"
#include "locks/schemes/registry.hpp"
#include "tests/harness/sim_threads.hpp"

namespace faultline {
namespace {

using P = SimPlatform;
using sim::Kind;
using sim::Machine;
constexpr u64 us = 1000;
constexpr u32 rw = prot_read | prot_write;

class SimFaultPath : public SimTest {};

Machine ideal() {
  return Machine::load("ideal-64");
}

struct Space {
  // Chosen before the simulation begins, since the catalogue's tables outlive the simulated memory.
  static inline std::unique_ptr<const Chosen> scheme;
  std::unique_ptr<AddressSpace> space = make_scheme<P>(*scheme, {.threads = 64});
};

// Threads that call operation(space, own page) again and again, after all have mapped their pages.
LoopResult run_space(const std::string& scheme, const Machine& machine, u32 threads,
                     const std::function<void(AddressSpace&, u64)>& operation) {
  Space::scheme = std::make_unique<const Chosen>(scheme_named(scheme));
  std::vector<bool> entered(threads);
  return run_loop<Space>(machine, threads, 1000 * us, [&](Space& shared, u32 thread) {
    AddressSpace& space = *shared.space;
    const u64 page = space.fixed_base() + thread * (u64{4} << 20);
    if (!entered[thread]) {
      entered[thread] = true;
      space.enter();
      space.map(page, page_size, rw, map_fixed);
      space.fault(page, Access::write);
      sim::simulation().meet();
    }
    operation(space, page);
  });
}

// Faults on pages that are mapped already: the lock, the look-up and the entry, and no frame.
LoopResult run_faults(const std::string& scheme, u32 threads) {
  return run_space(scheme, ideal(), threads,
                   [](AddressSpace& space, u64 page) { space.fault(page, Access::write); });
}

TEST_F(SimFaultPath, AFaultReadsTheLocksWordAndThenExchangesItUntilItSucceeds) {
  const LoopResult faults = run_faults("mmap_sem", 16);
  const sim::Transfers count = faults.counts.of("rwsem.count");
  EXPECT_GT(count.of(Kind::load), faults.operations / 2);
  EXPECT_GT(count.of(Kind::rmw), 2 * faults.operations);
}

TEST_F(SimFaultPath, EveryReaderStoresTheOwner) {
  const LoopResult faults = run_faults("mmap_sem", 16);
  EXPECT_GT(faults.counts.of("rwsem.owner").of(Kind::store), faults.operations / 2);
}

TEST_F(SimFaultPath, APrefetchOfTheLockMovesItsLineAlsoWhereNoFaultTakesTheLock) {
  // The first threads map and fault while the last ones still map.
  EXPECT_LT(run_faults("refcount", 16).counts.of("rwsem.count").total(), 100U);
  const LoopResult prefetched = run_faults("refcount:prefetchw=on", 16);
  EXPECT_GT(prefetched.counts.of("rwsem.count").of(Kind::store), 1000U);
}

double ns_of(const LoopResult& result, u32 threads) {
  return threads * static_cast<double>(result.window_ns) / static_cast<double>(result.operations);
}

Machine with_work(KernelWork which, u64 ns) {
  Machine machine = ideal();
  machine.kernel_work[static_cast<usize>(which)] = ns * sim::ps_per_ns;
  return machine;
}

void fault_and_discard(AddressSpace& space, u64 page) {
  space.fault(page, Access::write);
  space.discard(page, page_size);
}

TEST_F(SimFaultPath, TheKernelsWorkInAFaultDelaysEachFaultAndNoOther) {
  const auto fault_ns = [](u64 work, u32 threads) {
    return ns_of(run_space("refcount", with_work(KernelWork::fault, work), threads,
                           [](AddressSpace& space, u64 page) { fault_and_discard(space, page); }),
                 threads);
  };
  EXPECT_NEAR(fault_ns(2000, 1) - fault_ns(1000, 1), 1000, 10);
  const auto mapped_ns = [](u64 work) {
    return ns_of(run_space("refcount", with_work(KernelWork::fault, work), 1,
                           [](AddressSpace& space, u64 page) { space.fault(page, Access::write); }),
                 1);
  };
  EXPECT_NEAR(mapped_ns(2000), mapped_ns(1000), 1);
}

TEST_F(SimFaultPath, AReadOfMemoryThatNobodyMayWriteTakesNoneOfTheWork) {
  const auto pair_ns = [](u64 work) {
    return ns_of(run_space("refcount", with_work(KernelWork::fault, work), 1,
                           [](AddressSpace& space, u64 page) {
                             space.protect(page, page_size, prot_read);
                             space.fault(page, Access::read);
                             space.discard(page, page_size);
                           }),
                 1);
  };
  EXPECT_NEAR(pair_ns(2000), pair_ns(1000), 1);
}

TEST_F(SimFaultPath, TheKernelsTimesVaryAroundTheirConstants) {
  const auto fault_ns = [](u32 jitter) {
    Machine machine = with_work(KernelWork::fault, 1000);
    machine.kernel_jitter = jitter;
    return ns_of(run_space("refcount", machine, 1,
                           [](AddressSpace& space, u64 page) { fault_and_discard(space, page); }),
                 1);
  };
  const double constant = fault_ns(0);
  EXPECT_NE(fault_ns(300), constant);
  EXPECT_NEAR(fault_ns(300), constant, 0.02 * constant);
}

void map_and_unmap(AddressSpace& space, u64 page) {
  space.map(page + page_size, page_size, rw, map_fixed);
  space.unmap(page + page_size, page_size);
}

TEST_F(SimFaultPath, TheWorkOfAnEditIsDoneUnderTheWriteLock) {
  const auto pair_ns = [](u64 work, u32 threads) {
    return ns_of(run_space("mmap_sem", with_work(KernelWork::edit, work), threads, map_and_unmap),
                 threads) /
           threads;
  };
  EXPECT_NEAR(pair_ns(2000, 1) - pair_ns(1000, 1), 2000, 200);
  EXPECT_GT(pair_ns(2000, 8), 4000);
}

// The time in which one CPU clears one of `pages` pages after the other.
double clear_ns(u32 pages) {
  Machine machine = ideal();
  machine.cluster_pages = 16;
  machine.clear_page_hot = 300 * sim::ps_per_ns;
  machine.clear_page_core = 900 * sim::ps_per_ns;
  struct Nothing {};
  std::byte* memory = nullptr;
  u32 next = 0;
  return ns_of(run_loop<Nothing>(machine, 1, 200 * us,
                                 [&](Nothing&, u32) {
                                   if (memory == nullptr)
                                     memory = static_cast<std::byte*>(
                                         P::allocate(64 * page_size, page_size));
                                   P::clear_page(memory + next++ % pages * page_size);
                                 }),
               1);
}

TEST_F(SimFaultPath, APageOfTheClustersCacheIsClearedFaster) {
  EXPECT_NEAR(clear_ns(1), 300, 5);
  EXPECT_NEAR(clear_ns(8), 300, 20);
  EXPECT_NEAR(clear_ns(64), 900, 20);
}

// Of 20 pages in a cache for 16 a share of 0.37 is missing: 1 - exp(-0.37 * 20 / 16).
TEST_F(SimFaultPath, FramesThatAreALittleTooManyForTheCacheAreOnlyPartlyCold) {
  EXPECT_NEAR(clear_ns(20), 300 + 0.37 * 600, 20);
}

TEST_F(SimFaultPath, AListHandsOutHotFramesAndRefcacheColdOnes) {
  const auto cycle_ns = [](const std::string& scheme) {
    Machine machine = ideal();
    machine.clear_page_hot = 1 * us * sim::ps_per_ns;
    machine.clear_page_core = 9 * us * sim::ps_per_ns;
    return ns_of(run_space(scheme, machine, 1, fault_and_discard), 1);
  };
  EXPECT_LT(cycle_ns("lock_in_tree"), 3 * us);
  EXPECT_GT(cycle_ns("lock_in_tree:frames=refcache"), 9 * us);
}

TEST_F(SimFaultPath, AFaultUnderRefcacheHasNoneOfLinuxsWork) {
  const auto fault_ns = [](const std::string& scheme, u64 work) {
    return ns_of(run_space(scheme, with_work(KernelWork::fault, work), 1, fault_and_discard), 1);
  };
  EXPECT_GT(fault_ns("lock_in_tree", 2000), fault_ns("lock_in_tree", 1000) + 900);
  EXPECT_NEAR(fault_ns("lock_in_tree:frames=refcache", 2000),
              fault_ns("lock_in_tree:frames=refcache", 1000), 1);
}

TEST_F(SimFaultPath, AFrameComesBackAtAThreadsTickAndNotBetweenTicks) {
  struct Table {
    Violations<P> violations;
    PageTable<P> table{{.frames_per_thread = 8,
                        .frame_delay = {.ns = 20 * us, .tick = 10 * us, .most = 8},
                        .fault_work = false},
                       violations};
  };
  const Machine machine = ideal();
  sim::Simulation simulation(machine, first_cpus(1), {});
  const auto shared = simulation.make<Table>();
  constexpr u64 base = u64{1} << 44;
  std::vector<FrameNumber> used;
  simulation.set_body(0, [&] {
    auto& table = shared->table;
    const auto fault = [&] {
      table.fault_in(base, Access::write, rw, NewPage::cached);
      table.for_each_entry([&](u64, Pte pte) { used.push_back(pte.frame()); });
    };
    table.enter();
    fault();  // makes the tables, which takes long
    table.zap({base, base + page_size});
    const u64 start = (P::now() / (10 * us) + 1) * 10 * us;
    // The frame above falls due after 20 us, those that are zapped at 1 and 6 us at 30 us.
    for (const u64 at : {1, 6, 12, 26, 32, 35}) {
      P::work(start + at * us - P::now());
      fault();
      table.zap({base, base + page_size});
    }
    fault();
  });
  simulation.run();
  ASSERT_EQ(used.size(), 8U);
  EXPECT_EQ(std::set<FrameNumber>(used.begin(), used.begin() + 5).size(), 5U);
  EXPECT_EQ(used[5], used[0]);
  EXPECT_EQ(used[6], used[2]);
  EXPECT_EQ(used[7], used[1]);
}

// How long a thread zaps a range without pages, while another thread zaps one with a page or does
// nothing.
u64 empty_zap_ns(bool beside) {
  struct Table {
    Violations<P> violations;
    PageTable<P> table{{.threads = 2}, violations};
  };
  const Machine machine = ideal();
  sim::Simulation simulation(machine, first_cpus(2), {});
  const auto shared = simulation.make<Table>();
  constexpr u64 base = u64{1} << 44;
  constexpr Range page{base, base + page_size};
  u64 took = 0;
  simulation.set_body(0, [&] {
    shared->table.enter();
    shared->table.fault_in(base, Access::write, rw, NewPage::cached);
    simulation.meet();
    if (beside) shared->table.zap(page);
  });
  simulation.set_body(1, [&] {
    shared->table.enter();
    simulation.meet();
    P::work(500);
    const u64 start = P::now();
    shared->table.zap({base + (u64{1} << 30), base + (u64{1} << 30) + page_size});
    took = P::now() - start;
    P::work(10 * us);
    P::settle();
  });
  simulation.run();
  return took;
}

TEST_F(SimFaultPath, ThreadsThatZapAtTheSameTimeAnywhereInTheMmBothFlush) {
  EXPECT_LT(empty_zap_ns(false), 500U);
  EXPECT_GT(empty_zap_ns(true), 1000U);
}

}  // namespace
}  // namespace faultline
