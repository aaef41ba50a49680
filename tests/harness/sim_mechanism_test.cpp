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

sim::Machine with_service(double share, u32 cpus = 256) {
  sim::Machine machine = ideal(cpus);
  machine.service[sim::same_cluster] = static_cast<u32>(share * 1024);
  return machine;
}

TEST_F(SimMechanism, AQueuedTransferTakesItsServiceTime) {
  for (const u32 threads : {8U, 32U, 128U}) {
    EXPECT_NEAR(fetch_and_add_ns(with_service(0.25), threads), 0.25 * transfer_ns, 3) << threads;
    EXPECT_NEAR(fetch_and_add_ns(with_service(1.5), threads), 1.5 * transfer_ns, 3) << threads;
  }
}

TEST_F(SimMechanism, NoRequestBeatsTheLatencyOfALoneOne) {
  for (const u32 threads : {2U, 3U, 64U}) {
    sim::Time least = ~sim::Time{0};
    run_loop<Counter>(with_service(0.1), threads, 100 * us, [&](Counter& counter, u32) {
      const sim::Time before = sim::here.cpu->clock;
      counter.value.fetch_add(1, relaxed);
      if (before > 10 * us * sim::ps_per_ns) least = std::min(least, sim::here.cpu->clock - before);
    });
    EXPECT_GE(least, transfer_ns * sim::ps_per_ns) << threads;
  }
}

// Each of two CPUs waits until its own request has travelled, so together they complete two adds
// per latency.
TEST_F(SimMechanism, TwoCpusHandALineOverTwiceALatency) {
  EXPECT_NEAR(fetch_and_add_ns(with_service(0.25), 2), transfer_ns / 2, 2);
  EXPECT_NEAR(fetch_and_add_ns(with_service(1), 2), transfer_ns, 2);
}

double near_adds_per_us(double nearest_share) {
  sim::Machine machine = sim::Machine::load("e7-8870");
  machine.nearest_share = static_cast<u32>(1024 * nearest_share);
  // The order of the adds has nothing to do with the places of the CPUs.
  return run_loop<Counter>(machine, 80, 500 * us,
                           [](Counter& counter, u32) {
                             P::work(P::random() % 2'000);
                             counter.value.fetch_add(1, relaxed);
                           })
      .per_us();
}

TEST_F(SimMechanism, AnArbiterThatFavoursNearRequestersServesMoreOfThem) {
  EXPECT_GT(near_adds_per_us(1), 2 * near_adds_per_us(0));
}

// A compare-and-swap loop succeeds when its CPU is drawn twice and no other CPU has succeeded in
// between. With n CPUs, some CPU is drawn twice after about sqrt(n) draws. If the line served
// requests in their order, one attempt in n would succeed.
TEST_F(SimMechanism, SuccessesOfACompareAndSwapLoopFallMoreSlowlyThanCpusGrow) {
  const auto success_ns = [](u32 threads) {
    return 1e3 /
           run_loop<Counter>(ideal(), threads, 500 * us, [](Counter& counter, u32) {
             u64 value = counter.value.load(relaxed);
             while (!counter.value.compare_exchange_weak(value, value + 1, relaxed, relaxed)) {
             }
           }).per_us();
  };
  const double few = success_ns(8), many = success_ns(128);
  EXPECT_GT(many, 2 * few);
  EXPECT_LT(many, 6 * few) << "in order it would be 16 times";
}

// CPU 0 writes once while all others spin on the word. Returns the time from the write's completion
// until the last spinner has read the new value, in ns.
double last_reader_ns(u32 threads) {
  sim::Machine machine = sim::Machine::load("e7-8870");
  machine.jitter = 0;
  machine.cluster_copy = 20 * sim::ps_per_ns;
  machine.home_copy = 300 * sim::ps_per_ns;
  sim::Simulation simulation(machine, first_cpus(threads), {});
  const auto flag = simulation.make<Counter>();
  sim::Time written = 0, last = 0;
  for (u32 thread = 0; thread < threads; ++thread)
    simulation.set_body(thread, [&, thread] {
      if (thread == 0) {
        P::work(100 * us);
        flag->value.fetch_add(1, relaxed);
        written = sim::here.cpu->clock;
      } else {
        while (flag->value.load(relaxed) == 0) P::pause(nullptr);
        last = std::max(last, sim::here.cpu->clock);
      }
    });
  simulation.run();
  return static_cast<double>(last - written) / sim::ps_per_ns;
}

TEST_F(SimMechanism, AClusterWithACopyServesItsOwnCpusWhileTheHomeServesTheNextCluster) {
  const double one = last_reader_ns(10);  // nine readers in the writer's own socket
  EXPECT_GE(one, 9 * 20);
  EXPECT_LE(one, 9 * 20 + 60);
  // The sockets get their copies one after the other. The ten CPUs of each socket add no more time
  // than those of one socket, since all sockets serve their CPUs at the same time.
  const double two = last_reader_ns(20), eight = last_reader_ns(80);
  EXPECT_NEAR(eight - two, 6 * 300, 60);
  EXPECT_LT(eight, 8 * 300 + 10 * 20 + 100);
}

// With residency, an owner goes on with its line while the snoop of a lone requester travels.
// Each thread loads the word before it adds. The owner sends the first copy after a write, which
// keeps the line for as long as a write does. Further copies are out 10 ns apart.
TEST_F(SimMechanism, TheFirstReadAfterAWriteTakesATransferFromTheOwner) {
  const auto add_ns = [](bool loads) {
    return 1e3 /
           run_loop<Counter>(with_service(0.25), 16, 500 * us, [loads](Counter& counter, u32) {
             if (loads) static_cast<void>(counter.value.load(relaxed));
             counter.value.fetch_add(1, relaxed);
           }).per_us();
  };
  EXPECT_NEAR(add_ns(false), 0.25 * transfer_ns, 1);
  // Several threads read between two writes, so there are fewer first reads than additions.
  EXPECT_GT(add_ns(true) - add_ns(false), 10);
}

// A lock is free for less time than a copy of its word takes to the spinner. The spinner sees it
// free all the same, since its copy was sent in that time.
TEST_F(SimMechanism, ASpinnerSeesAPhaseThatIsShorterThanATransfer) {
  const sim::Machine machine = with_service(0.1, 8);
  sim::Simulation simulation(machine, first_cpus(3), {});
  const auto word = simulation.make<Counter>();
  u64 seen = 1;
  sim::Time freed = 0, taken = 0, seen_at = 0;
  simulation.set_body(0, [&] {
    word->value.exchange(1, relaxed);
    P::work(10 * us);
    word->value.exchange(0, relaxed);
    freed = sim::here.cpu->clock;
    P::work(10 * us);
    word->value.exchange(2, relaxed);  // ends the spin in any case
  });
  simulation.set_body(1, [&] {
    P::work(1 * us);
    while ((seen = word->value.load(relaxed)) == 1) P::pause(nullptr);
    seen_at = sim::here.cpu->clock;
  });
  simulation.set_body(2, [&] {
    P::work(10 * us + 150);
    word->value.exchange(1, relaxed);
    taken = sim::here.cpu->clock;
  });
  simulation.run();
  EXPECT_EQ(seen, 0U);
  EXPECT_LT(freed, taken);
  EXPECT_LT(taken, seen_at);
}

TEST_F(SimMechanism, AnOwnerKeepsItsLineWhileTheSnoopTravels) {
  const auto adds_per_visit = [](u32 residency) {
    sim::Machine machine = ideal();
    machine.residency = residency;
    u64 visits = 0, adds = 0;
    run_loop<Counter>(machine, 2, 200 * us, [&](Counter& counter, u32 thread) {
      if (thread == 1) P::work(1 * us);
      counter.value.fetch_add(1, relaxed);
      ++(thread == 1 ? visits : adds);
    });
    return static_cast<double>(adds) / static_cast<double>(visits);
  };
  // The owner keeps the line 60 ns longer. An add takes it 5 ns for the hit and the loop's time.
  EXPECT_GT(adds_per_visit(614) - adds_per_visit(0), 8);
  EXPECT_LT(adds_per_visit(614) - adds_per_visit(0), 12);
}

// Every thread adds in a loop. An add takes an owner 5 ns for the hit and the loop's time.
TEST_F(SimMechanism, AnOwnerAddsAgainWhileTheSnoopForAQueuedWriterTravels) {
  const auto ns_an_add = [](u32 queued_residency) {
    sim::Machine machine = with_service(0.5);
    machine.queued_residency = queued_residency;
    return 1e3 / run_loop<Counter>(machine, 16, 200 * us, [](Counter& counter, u32) {
                   counter.value.fetch_add(1, relaxed);
                 }).per_us();
  };
  const double alone = ns_an_add(0);
  EXPECT_NEAR(alone, 50, 2);
  // 20 ns of 100: the transfer takes as long as before, and the owner adds three times more or so.
  const double kept = ns_an_add(205);
  EXPECT_GT(alone / kept, 3);
  EXPECT_LT(alone / kept, 5.5);
}

// Without it, a thread's exchange fails whenever another thread's is served between its two tries.
TEST_F(SimMechanism, AnOwnerThatKeepsTheLineRepeatsAFailedExchangeAtOnce) {
  const auto successes_per_us = [](u32 queued_residency) {
    sim::Machine machine = with_service(0.5);
    machine.queued_residency = queued_residency;
    return run_loop<Counter>(
               machine, 16, 200 * us,
               [](Counter& counter, u32) {
                 u64 seen = counter.value.load(relaxed);
                 while (!counter.value.compare_exchange_weak(seen, seen + 1, relaxed, relaxed))
                   ;
               })
        .per_us();
  };
  EXPECT_GT(successes_per_us(205), 2 * successes_per_us(0));
}

TEST_F(SimMechanism, ATicketLockCollapses) {
  double before = handoffs_per_us<Ticket<P>>(ideal(), 4);
  for (const u32 threads : {16U, 64U, 256U}) {
    const double now = handoffs_per_us<Ticket<P>>(ideal(), threads);
    EXPECT_LT(now, 0.95 * before) << threads;
    before = now;
  }
  EXPECT_LT(before, 0.25 * handoffs_per_us<Ticket<P>>(ideal(), 4));
}

// Service rate 1 / (s + c * k / 2): each additional waiter costs half of `cluster_copy`.
TEST_F(SimMechanism, EachWaiterMoreDelaysATicketLocksHandoff) {
  const double few = 1e3 / handoffs_per_us<Ticket<P>>(ideal(), 64);
  const double many = 1e3 / handoffs_per_us<Ticket<P>>(ideal(), 192);
  const double copy_ns = 10;
  EXPECT_GT((many - few) / 128, 0.3 * copy_ns);
  EXPECT_LT((many - few) / 128, 1.5 * copy_ns);
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
