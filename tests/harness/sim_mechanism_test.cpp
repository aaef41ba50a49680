// The mechanisms that the simulator must show. Simulated time is exact, so these tests always hold
// or always fail.
#include <gtest/gtest.h>

#include "locks/mutex/mcs.hpp"
#include "locks/mutex/ticket.hpp"
#include "locks/per_thread.hpp"
#include "locks/shared/rwsem.hpp"
#include "tests/harness/sim_threads.hpp"

namespace faultline {
namespace {

using P = SimPlatform;
constexpr auto relaxed = std::memory_order_relaxed;
constexpr auto release = std::memory_order_release;
constexpr u64 us = 1000;

class SimMechanism : public SimTest {};

// Every transfer takes 100 ns on that machine.
constexpr double transfer_ns = 100;
sim::Machine ideal(u32 cpus = 256) {
  return sim::Machine::load("ideal-" + std::to_string(cpus));
}

struct alignas(cache_line) Counter {
  P::atomic<u64> value{0};
};

double fetch_and_add_ns(const sim::Machine& machine, u32 threads) {
  const LoopResult result =
      run_loop<Counter>(machine, threads, 500 * us,
                        [](Counter& counter, u32) { counter.value.fetch_add(1, relaxed); });
  return 1e3 / result.per_us();
}

TEST_F(SimMechanism, AContendedFetchAndAddTakesTheLinesOccupancyHoweverManyAsk) {
  for (const u32 threads : {3U, 4U, 16U, 64U, 256U})
    EXPECT_NEAR(fetch_and_add_ns(ideal(), threads), transfer_ns, 1) << threads;
}

TEST_F(SimMechanism, OccupancyGrowsWithTheRequestersAsTheMachineSays) {
  sim::Machine machine = ideal();
  for (u32 n = 2; n <= 256; ++n) machine.contention[sim::same_cluster][n] = 1024 + 8 * n;
  for (const u32 threads : {4U, 32U, 128U}) {
    // All threads but the one just served queue, and that one queues soon after.
    const double factor = 1 + 8.0 * (threads - 1) / 1024;
    EXPECT_NEAR(fetch_and_add_ns(machine, threads), factor * transfer_ns, 2) << threads;
  }
}

TEST_F(SimMechanism, AnArbiterThatFavoursNearRequestersServesMoreOfThem) {
  sim::Machine machine = sim::Machine::load("e7-8870");
  // The order of the adds has nothing to do with the places of the CPUs.
  const auto add_in_disorder = [](Counter& counter, u32) {
    P::work(P::random() % 20'000);
    counter.value.fetch_add(1, relaxed);
  };
  const auto rate = [&](u32 nearest_share) {
    machine.nearest_share = nearest_share;
    return run_loop<Counter>(machine, 80, 500 * us, add_in_disorder).per_us();
  };
  EXPECT_GT(rate(1024), 1.3 * rate(0));
}

template <class L>
double handoffs_per_us(const sim::Machine& machine, u32 threads) {
  struct alignas(cache_line) Shared {
    L lock;
  };
  return run_loop<Shared>(machine, threads, 500 * us,
                          [](Shared& shared, u32) {
                            typename L::Node node;
                            shared.lock.lock(node);
                            P::work(100);
                            shared.lock.unlock(node);
                          })
      .per_us();
}

TEST_F(SimMechanism, ATicketLockCollapses) {
  double before = handoffs_per_us<Ticket<P>>(ideal(), 4);
  for (const u32 threads : {16U, 64U, 256U}) {
    const double now = handoffs_per_us<Ticket<P>>(ideal(), threads);
    EXPECT_LT(now, 0.85 * before) << threads;
    before = now;
  }
  EXPECT_LT(before, 0.2 * handoffs_per_us<Ticket<P>>(ideal(), 4));
}

// Service rate 1 / (s + c * k / 2): each additional waiter costs half a response of the directory.
TEST_F(SimMechanism, EachWaiterMoreDelaysATicketLocksHandoff) {
  const double few = 1e3 / handoffs_per_us<Ticket<P>>(ideal(), 64);
  const double many = 1e3 / handoffs_per_us<Ticket<P>>(ideal(), 192);
  const double response = 10;
  EXPECT_GT((many - few) / 128, 0.3 * response);
  EXPECT_LT((many - few) / 128, 1.5 * response);
}

TEST_F(SimMechanism, AnMcsLockStaysFlat) {
  const double few = handoffs_per_us<Mcs<P>>(ideal(), 4);
  for (const u32 threads : {8U, 16U, 64U, 256U})
    EXPECT_NEAR(handoffs_per_us<Mcs<P>>(ideal(), threads) / few, 1, 0.1) << threads;
}

struct alignas(cache_line) Lines {
  Counter of[1024];
};

TEST_F(SimMechanism, DisjointLinesScaleLinearly) {
  const auto rate = [](u32 threads) {
    return run_loop<Lines>(
               ideal(1024), threads, 30 * us,
               [](Lines& lines, u32 thread) { lines.of[thread].value.fetch_add(1, relaxed); })
        .per_us();
  };
  const double one = rate(1);
  for (const u32 threads : {4U, 64U, 1024U}) EXPECT_NEAR(rate(threads) / (one * threads), 1, 0.02);
}

// The simplest reader-writer lock whose readers do not meet: each counts on a line of its own. This
// is the read side only; a writer would wait for all readers.
struct ReaderSlots {
  Counter writer;
  Counter slots[256];
  void lock_shared() {
    slots[P::self()].value.store(1, std::memory_order_seq_cst);
    while (writer.value.load(std::memory_order_seq_cst) != 0) P::pause(this);
  }
  void unlock_shared() { slots[P::self()].value.store(0, release); }
};

template <class L>
double reads_per_us(u32 threads) {
  struct alignas(cache_line) Shared {
    L lock;
  };
  return run_loop<Shared>(ideal(), threads, 200 * us,
                          [](Shared& shared, u32) {
                            shared.lock.lock_shared();
                            P::work(100);
                            shared.lock.unlock_shared();
                          })
      .per_us();
}

TEST_F(SimMechanism, ReadersWithSlotsOfTheirOwnScaleAndThoseOfAnRwsemDoNot) {
  EXPECT_GT(reads_per_us<ReaderSlots>(256) / reads_per_us<ReaderSlots>(4), 60);
  EXPECT_LT(reads_per_us<Rwsem<P>>(256) / reads_per_us<Rwsem<P>>(4), 2);
}

template <bool by_store>
struct alignas(cache_line) TestAndSet {
  struct Node {};
  P::atomic<u32> taken{0};
  void lock(Node&) {
    while (taken.exchange(1, relaxed) != 0)
      while (taken.load(relaxed) != 0) P::pause(this);
  }
  void unlock(Node&) {
    if (by_store)
      taken.store(0, release);
    else
      taken.exchange(0, release);
  }
};

// How long unlock() keeps the holder, on average, with that many threads.
template <bool by_store>
double unlock_ns(u32 threads) {
  u64 spent = 0, unlocks = 0;
  run_loop<TestAndSet<by_store>>(ideal(), threads, 200 * us, [&](TestAndSet<by_store>& lock, u32) {
    typename TestAndSet<by_store>::Node node;
    lock.lock(node);
    P::work(100);
    const sim::Time before = sim::here.cpu->clock;
    lock.unlock(node);
    spent += sim::here.cpu->clock - before;
    ++unlocks;
  });
  return 1e-3 * static_cast<double>(spent) / static_cast<double>(unlocks);
}

TEST_F(SimMechanism, UnlockingByAStoreIsCheaperThanByAnRmw) {
  EXPECT_LT(unlock_ns<true>(1), 0.5 * unlock_ns<false>(1));
  // The store is far cheaper where spinners have taken copies: the store is posted, while the RMW
  // waits.
  EXPECT_LT(unlock_ns<true>(4), 0.05 * unlock_ns<false>(4));
}

struct alignas(cache_line) Unpadded {
  P::atomic<u64> of[2];
};

TEST_F(SimMechanism, APaddedPairOfCountersBeatsAnUnpaddedOne) {
  const LoopResult unpadded = run_loop<Unpadded>(
      ideal(), 2, 200 * us,
      [](Unpadded& counters, u32 thread) { counters.of[thread].fetch_add(1, relaxed); });
  const LoopResult padded = run_loop<Lines>(ideal(), 2, 200 * us, [](Lines& lines, u32 thread) {
    lines.of[thread].value.fetch_add(1, relaxed);
  });
  EXPECT_GT(padded.per_us(), 5 * unpadded.per_us());
  // Every transfer of the unpadded pair is caused by the other counter, never by the thread's own.
  u64 false_ones = 0, true_ones = 0;
  for (const sim::Transfers& transfers : unpadded.counts.by_label) {
    false_ones += transfers.because(sim::Reason::false_sharing);
    true_ones += transfers.because(sim::Reason::true_sharing);
  }
  EXPECT_GT(false_ones, 1000U);
  EXPECT_LT(true_ones, 10U);
}

}  // namespace
}  // namespace faultline
