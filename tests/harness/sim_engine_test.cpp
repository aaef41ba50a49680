// The engine: determinism, order, sleeping, accounting, and the report on threads that cannot go
// on.
#include <gtest/gtest.h>

#include <numeric>
#include <random>
#include <set>

#include "locks/mutex/ticket.hpp"
#include "locks/schemes/registry.hpp"
#include "locks/shared/rwsem.hpp"
#include "tests/harness/sim_threads.hpp"

namespace faultline {
namespace {

using P = SimPlatform;
using sim::Machine;
using sim::Simulation;
constexpr auto relaxed = std::memory_order_relaxed;
constexpr auto release = std::memory_order_release;
constexpr u64 us = 1000;

class SimEngine : public SimTest {};

struct alignas(cache_line) Word {
  P::atomic<u32> value{0};
};

// Two threads on `ideal`, given by their bodies.
struct Pair {
  Machine machine = Machine::load("ideal-8");
  Simulation simulation{machine, {0, 1}, {}};
  void run(std::function<void()> first, std::function<void()> second) {
    simulation.set_body(0, std::move(first));
    simulation.set_body(1, std::move(second));
    simulation.run();
  }
};

// Threads on `ideal-8` that share a T: `body` is called with it and with the thread's number.
template <class T>
void run_threads(u32 threads, const std::function<void(T&, u32)>& body) {
  const Machine machine = Machine::load("ideal-8");
  Simulation simulation(machine, first_cpus(threads), {});
  const auto shared = simulation.make<T>();
  for (u32 thread = 0; thread < threads; ++thread)
    simulation.set_body(thread, [&, thread] { body(*shared, thread); });
  simulation.run();
}

std::string text_of(const sim::Counts& counts) {
  std::string text = std::to_string(counts.time) + " " + std::to_string(counts.accesses);
  for (usize label = 0; label < counts.by_label.size(); ++label) {
    text += counts.labels[label];
    for (const auto& by_distance : counts.by_label[label].count)
      for (const auto& by_reason : by_distance)
        for (const u64 count : by_reason) text += std::to_string(count) + " ";
  }
  for (const sim::Account& account : counts.accounts) {
    text += "\n" + std::to_string(account.work) + " " + std::to_string(account.spinning) + " " +
            std::to_string(account.sleeping);
    for (const sim::Time stall : account.stall) text += std::to_string(stall) + " ";
  }
  return text;
}

std::string rwsem_counts(u64 seed) {
  struct alignas(cache_line) Shared {
    Rwsem<P> lock;
  };
  return text_of(run_loop<Shared>(
                     Machine::load("e7-8870"), 20, 200 * us,
                     [](Shared& shared, u32 thread) {
                       if (thread % 4 == 0) {
                         shared.lock.lock();
                         P::work(300);
                         shared.lock.unlock();
                       } else {
                         shared.lock.lock_shared();
                         P::work(100);
                         shared.lock.unlock_shared();
                       }
                     },
                     seed)
                     .counts);
}

TEST_F(SimEngine, TheSameSeedGivesTheSameCountsToTheByteAndAnotherSeedDoesNot) {
  const std::string once = rwsem_counts(1);
  std::vector<std::unique_ptr<char[]>> disorder;  // the host's heap has changed
  for (usize i = 1; i < 100; ++i) disorder.push_back(std::make_unique<char[]>(i * 100));
  EXPECT_EQ(once, rwsem_counts(1));
  EXPECT_NE(once, rwsem_counts(2));
}

TEST_F(SimEngine, AMessageIsSeenWhenItsLineHasComeAndNoSooner) {
  Pair pair;
  const auto message = pair.simulation.make<Word>();
  const auto flag = pair.simulation.make<Word>();
  u64 sent = 0, seen = 0;
  u32 read = 0;
  pair.run(
      [&] {
        P::work(1000);
        message->value.store(7, relaxed);
        sent = sim::here.cpu->clock;
        flag->value.store(1, release);
      },
      [&] {
        while (flag->value.load(std::memory_order_acquire) == 0) P::pause(nullptr);
        seen = sim::here.cpu->clock;
        read = message->value.load(relaxed);
      });
  EXPECT_EQ(read, 7U);
  // The sender's store takes the line, which needs 100 ns. The reader's load needs as long, and so
  // does a turn of spinning.
  EXPECT_GE(seen - sent, 200 * sim::ps_per_ns);
  EXPECT_LE(seen - sent, 220 * sim::ps_per_ns);
}

// Dekker's algorithm: at most one thread can read 0, since each waits until its store is visible.
TEST_F(SimEngine, AStoreThatIsSequentiallyConsistentIsSeenBeforeItsThreadGoesOn) {
  for (u64 delay = 0; delay < 300; delay += 7) {
    Pair pair;
    struct Words {
      Word mine[2];
    };
    const auto words = pair.simulation.make<Words>();
    u32 seen[2] = {};
    const auto body = [&](u32 self, u64 wait) {
      seen[self] = words->mine[1 - self].value.load(relaxed);  // makes a copy that can become stale
      P::work(1000 + wait);
      words->mine[self].value.store(1, std::memory_order_seq_cst);
      seen[self] = words->mine[1 - self].value.load(relaxed);
    };
    pair.run([&] { body(0, 0); }, [&] { body(1, delay); });
    EXPECT_TRUE(seen[0] == 1 || seen[1] == 1) << delay;
  }
}

// All threads write both words, so that the stores queue. The writer stores numbers that grow, to
// `second` after `first`.
TEST_F(SimEngine, PostedStoresAreSeenInTheirOrder) {
  struct Words {
    Word first, second;
  };
  u32 seen = 0;
  run_threads<Words>(4, [&](Words& words, u32 thread) {
    for (u32 turn = 1; turn <= 200; ++turn) {
      if (thread == 0) {
        words.first.value.store(turn, relaxed);
        words.second.value.store(turn, relaxed);
        P::work(70);
      } else if (thread == 1) {
        const u32 second = words.second.value.load(relaxed);
        EXPECT_GE(words.first.value.load(relaxed), second);
        seen = std::max(seen, second);
      } else {
        words.first.value.fetch_add(0, relaxed);
        words.second.value.fetch_add(0, relaxed);
      }
    }
  });
  EXPECT_GT(seen, 1U);
}

// A test-and-set lock's release queues with the exchanges of those who wait, and each of them may
// come first.
TEST_F(SimEngine, APostedStoreWaitsItsTurnBehindLaterRequests) {
  bool stored = false;
  u32 before = 0;
  run_threads<Word>(8, [&](Word& word, u32 thread) {
    if (thread == 0) {
      P::work(10'000);
      word.value.store(1, relaxed);
      stored = true;
    }
    for (u32 turn = 0; thread != 0 && turn < 1000; ++turn)
      before += word.value.fetch_add(0, relaxed) == 0 && stored;
  });
  EXPECT_GT(before, 0U);
}

TEST_F(SimEngine, APostedStoreLeavesItsCpuFreeAndAnRmwWaitsForIt) {
  Pair pair;
  const auto far = pair.simulation.make<Word>();
  const auto other = pair.simulation.make<Word>();
  sim::Time posted = 0, drained = 0;
  pair.run(
      [&] {
        P::work(1000);
        const sim::Time start = sim::here.cpu->clock;
        far->value.store(1, relaxed);
        posted = sim::here.cpu->clock - start;
        other->value.fetch_add(1, relaxed);
        drained = sim::here.cpu->clock - start;
      },
      [&] { far->value.store(2, relaxed); });
  EXPECT_EQ(posted, 1 * sim::ps_per_ns);
  // the store, and then the thread's own line from memory
  EXPECT_GE(drained, 200 * sim::ps_per_ns);
}

TEST_F(SimEngine, WhatIsMadeWhereAStoreIsStillOnItsWayKeepsItsValue) {
  Pair pair;
  const auto far = pair.simulation.make<Word>();
  const auto place = pair.simulation.make<Word>();
  u32 seen = 0;
  pair.run(
      [&] {
        P::work(50);
        far->value.store(1, relaxed);    // on its way to the other thread
        place->value.store(1, relaxed);  // waits behind it
        Word* fresh = new (place.get()) Word;
        P::work(10'000);
        seen = fresh->value.load(relaxed);
      },
      [&] { far->value.store(2, relaxed); });
  EXPECT_EQ(seen, 0U);
}

// The thread reads the fresh line while its first store to it waits, so the line is its own when it
// stores again.
TEST_F(SimEngine, AStoreToAPrivateLineComesAfterTheStoresThatWait) {
  struct alignas(cache_line) Two {
    P::atomic<u32> stored{0}, read{0};
  };
  Pair pair;
  const auto far = pair.simulation.make<Word>();
  const auto fresh = pair.simulation.make<Two>();
  u32 seen = 0;
  pair.run(
      [&] {
        P::work(50);
        far->value.store(1, relaxed);     // on its way to the other thread
        fresh->stored.store(1, relaxed);  // waits behind it
        fresh->read.load(relaxed);
        fresh->stored.store(2, relaxed);
        P::work(10'000);
        seen = fresh->stored.load(relaxed);
      },
      [&] { far->value.store(2, relaxed); });
  EXPECT_EQ(seen, 2U);
}

TEST_F(SimEngine, ASpinnerOnItsOwnPostedStoreLetsOthersSeeIt) {
  Pair pair;
  const auto far = pair.simulation.make<Word>();
  const auto mine = pair.simulation.make<Word>();
  u32 answer = 0;
  pair.run(
      [&] {
        P::work(50);
        far->value.store(1, relaxed);   // on its way to the other thread
        mine->value.store(1, relaxed);  // waits behind the other store, so both are posted
        while ((answer = mine->value.load(relaxed)) == 1) P::pause(nullptr);
      },
      [&] {
        far->value.store(2, relaxed);
        while (mine->value.load(relaxed) == 0) P::pause(nullptr);
        mine->value.store(2, relaxed);
      });
  EXPECT_EQ(answer, 2U);
}

TEST_F(SimEngine, IdleSpinningCostsTheHostNothingAndIsAccountedAsSpinning) {
  Pair pair;
  const auto flag = pair.simulation.make<Word>();
  pair.run(
      [&] {
        P::work(100'000'000);
        flag->value.store(1, release);
      },
      [&] {
        while (flag->value.load(std::memory_order_acquire) == 0) P::pause(nullptr);
      });
  const sim::Counts counts = pair.simulation.counts();
  EXPECT_LT(counts.accesses, 10U);
  EXPECT_NEAR(static_cast<double>(counts.accounts[1].spinning), 1e11, 1e7);
}

TEST_F(SimEngine, ASpinWithALimitOfItsOwnEndsInTime) {
  Pair pair;
  const auto flag = pair.simulation.make<Word>();
  u64 gave_up = 0;
  pair.run([] {},
           [&] {
             const u64 limit = P::now() + 25 * us;
             while (flag->value.load(relaxed) == 0 && P::now() < limit) P::pause(nullptr);
             gave_up = P::now() - limit;
           });
  EXPECT_LT(gave_up, 2 * us);
  EXPECT_LT(pair.simulation.counts().accesses, 200U);
}

TEST_F(SimEngine, AStoreFromOutsideEndsASpin) {
  Pair pair;
  const auto stop = pair.simulation.make<Word>();
  pair.simulation.at(50 * us, [&] { stop->value.store(1, relaxed); });
  const auto spin = [&] {
    while (stop->value.load(relaxed) == 0) P::pause(nullptr);
  };
  pair.run(spin, spin);
  EXPECT_GE(pair.simulation.now_ns(), 50 * us);
  EXPECT_LT(pair.simulation.now_ns(), 51 * us);
}

TEST_F(SimEngine, ASleeperIsWokenAndPaysForItsIdleCpu) {
  Pair pair;
  const auto word = pair.simulation.make<Word>();
  u64 slept_until = 0, woken_at = 0;
  bool in_time = false, timed_out = true;
  pair.run(
      [&] {
        P::work(10 * us);
        word->value.store(1, release);
        P::wake(word->value, 1);
        woken_at = P::now();
      },
      [&] {
        timed_out = !P::wait(word->value, 0, P::now() + 3 * us);
        in_time = P::wait(word->value, 0);
        slept_until = P::now();
      });
  EXPECT_TRUE(timed_out);
  EXPECT_TRUE(in_time);
  // 1 us from the interrupt, and 1 us from idle, as `ideal` defines them.
  EXPECT_NEAR(static_cast<double>(slept_until - woken_at), 2000, 50);
  EXPECT_GT(pair.simulation.counts().accounts[1].sleeping, 9 * us * sim::ps_per_ns);
}

TEST_F(SimEngine, EveryNanosecondIsAccountedForOnce) {
  struct alignas(cache_line) Shared {
    Ticket<P> lock;
  };
  const LoopResult result =
      run_loop<Shared>(Machine::load("e7-8870"), 16, 100 * us, [](Shared& shared, u32) {
        typename Ticket<P>::Node node;
        shared.lock.lock(node);
        P::work(50);
        shared.lock.unlock(node);
      });
  for (const sim::Account& account : result.counts.accounts) {
    const double sum = static_cast<double>(account.work + account.spinning + account.sleeping +
                                           account.shootdown + account.stalled());
    EXPECT_NEAR(sum / 1e3, 100e3, 1e3);  // the access under way at either edge is not exact
  }
}

TEST_F(SimEngine, TransfersAreChargedToTheObjectThatCausedThem) {
  struct alignas(cache_line) Shared {
    Shared() {
      P::label(&hot, "hot");
      P::label(&cold, "cold");
    }
    P::atomic<u32> hot{0};
    P::atomic<u32> cold{0};  // on the same line
  };
  const LoopResult result =
      run_loop<Shared>(Machine::load("ideal-8"), 2, 100 * us, [](Shared& shared, u32 thread) {
        (thread == 0 ? shared.hot : shared.cold).fetch_add(1, relaxed);
      });
  const sim::Transfers hot = result.counts.of("hot");
  EXPECT_GT(hot.of(sim::Kind::rmw), 300U);
  EXPECT_EQ(hot.total(), hot.of(sim::Kind::rmw));
  EXPECT_EQ(hot.because(sim::Reason::false_sharing), hot.total());
  EXPECT_EQ(hot.at(sim::same_cluster), hot.total());
  EXPECT_NEAR(static_cast<double>(result.counts.of("cold").total()),
              static_cast<double>(hot.total()), 2);
}

TEST_F(SimEngine, AWorkingSetBeyondThePrivateCacheMissesInTurn) {
  Machine machine = Machine::load("ideal-8");
  machine.private_lines = 64;
  struct alignas(cache_line) Lines {
    Word of[128];
  };
  const auto misses = [&](u32 used) {
    u32 next = 0;
    return run_loop<Lines>(
               machine, 1, 100 * us,
               [&](Lines& lines, u32) { lines.of[next++ % used].value.store(1, relaxed); })
        .counts.transfers;
  };
  EXPECT_EQ(misses(32), 0U);
  EXPECT_GT(misses(128), 500U);
}

TEST_F(SimEngine, AShootdownTakesTimeFromItsTargetsAndWaitsForTheSlowest) {
  Pair pair;
  u64 took = 0;
  pair.run(
      [&] {
        P::work(10 * us);
        CpuSet all;
        all.add(0), all.add(1);
        const u64 start = P::now();
        P::shootdown(all);
        took = P::now() - start;
      },
      [&] {
        P::work(50 * us);
        P::settle();
      });
  // base 500, one target 100, its queue's line 101, interrupt 500, half of the handler 250, the
  // call's four lines 400, the interconnect 1, reading the answer 100, and one more read of the
  // clock
  EXPECT_EQ(took, 1962U);
  EXPECT_EQ(pair.simulation.counts().accounts[1].shootdown, 901 * sim::ps_per_ns);
}

// The second call comes while the target serves the first.
TEST_F(SimEngine, AnInterruptDuringAHandlersTimeIsServedBeforeTheThreadGoesOn) {
  const Machine machine = Machine::load("ideal-4");
  sim::Simulation simulation(machine, {0, 1, 2}, {});
  sim::Time settled = 0, again = 0;
  simulation.set_body(0, [&] {
    P::work(11 * us);
    P::settle();
    settled = sim::here.cpu->clock;
    P::settle();
    again = sim::here.cpu->clock;
  });
  for (const u32 sender : {1U, 2U})
    simulation.set_body(sender, [sender] {
      P::work(8300 + 700 * sender);
      CpuSet target;
      target.add(0);
      P::shootdown(target);
    });
  simulation.run();
  // Each handler takes 500 ns, and 400 ns for the call's lines.
  EXPECT_GE(settled, (11'000 + 2 * 900) * sim::ps_per_ns);
  EXPECT_EQ(again, settled);
}

// How long 1 us of work takes thread 0 while the other thread of its core does `beside`.
u64 work_beside_ns(const std::function<void()>& beside) {
  Machine machine = Machine::load("e5-2699v4x2");
  machine.core_alone = 512;
  sim::Simulation simulation(machine, {0, 1}, {});
  u64 took = 0;
  simulation.set_body(0, [&] {
    P::work(1 * us);
    P::settle();  // the other thread goes first
    const sim::Time start = sim::here.cpu->clock;
    P::work(1 * us);
    took = (sim::here.cpu->clock - start) / sim::ps_per_ns;
  });
  simulation.set_body(1, beside);
  simulation.run();
  return took;
}

TEST_F(SimEngine, AThreadWorksFasterWhileTheOtherOneOfItsCoreBacksOff) {
  const auto work = [] {
    P::work(10 * us);
    P::settle();
  };
  EXPECT_EQ(work_beside_ns(work), 1000U);
  EXPECT_EQ(work_beside_ns([&] {
              const WaitScope<P> waiting(nullptr, "a lock");
              work();
            }),
            500U);
}

struct Nothing {};

// The rate of shootdowns by 16 CPUs, plus the loops of thread 16, which sends none. Each shootdown
// has the one target that `target_of` gives for its thread.
double shootdowns_per_us(const Machine& machine, u32 (*target_of)(u32)) {
  return run_loop<Nothing>(machine, 17, 2000 * us,
                           [&](Nothing&, u32 thread) {
                             if (thread == 16) return P::work(100);
                             CpuSet target;
                             target.add(target_of(thread));
                             P::shootdown(target);
                             P::settle();
                           })
      .per_us();
}
u32 next_of_16(u32 thread) {
  return (thread + 1) % 16;
}

TEST_F(SimEngine, CallsOfAllCpusShareTheInterconnect) {
  Machine machine = Machine::load("ideal-17");
  machine.shootdown_delivery = 1000 * sim::ps_per_ns;
  const double idle = 10;  // loops a microsecond of the thread that sends none
  EXPECT_NEAR(shootdowns_per_us(machine, next_of_16) - idle, 1, 0.1);
}

TEST_F(SimEngine, ASenderWaitsUntilItsInterruptIsSent) {
  Machine machine = Machine::load("ideal-17");
  machine.shootdown_send = 10 * us * sim::ps_per_ns;
  EXPECT_LT(shootdowns_per_us(machine, next_of_16) - 10, 1.6);
}

TEST_F(SimEngine, CallsToACpuWhoseQueueIsNotEmptyNeedNoInterrupt) {
  Machine machine = Machine::load("ideal-17");
  machine.shootdown_handler = 10 * us * sim::ps_per_ns;
  EXPECT_GT(shootdowns_per_us(machine, [](u32) { return u32{16}; }) - 10, 0.5);
}

// All calls of three senders but the first find the target's queue filled.
TEST_F(SimEngine, AHandlerMovesTheLinesOfEachCallThatItExecutes) {
  const Machine machine = Machine::load("ideal-4");
  sim::Simulation simulation(machine, {0, 1, 2, 3}, {});
  simulation.set_body(0, [] {
    P::work(10 * us);
    P::settle();
  });
  for (const u32 sender : {1U, 2U, 3U})
    simulation.set_body(sender, [] {
      CpuSet target;
      target.add(0);
      P::shootdown(target);
    });
  simulation.run();
  EXPECT_GE(simulation.counts().accounts[0].shootdown, (500 + 3 * 400) * sim::ps_per_ns);
  EXPECT_LE(simulation.counts().accounts[0].shootdown, (500 + 3 * 410) * sim::ps_per_ns);
}

// What two handlers take from a thread. The second call comes while the first one is executed, when
// the queue is empty.
u64 taken_ns(bool sv6) {
  Machine machine = Machine::load("ideal-4");
  machine.sv6_calls = sv6;
  machine.shootdown_call = 10 * us * sim::ps_per_ns;
  sim::Simulation simulation(machine, {0, 1, 2}, {});
  simulation.set_body(0, [] {
    P::work(10 * us);
    P::settle();
  });
  for (const u32 sender : {1U, 2U})
    simulation.set_body(sender, [sender] {
      P::work(4 * us * sender);
      CpuSet target;
      target.add(0);
      P::shootdown(target);
    });
  simulation.run();
  return simulation.counts().accounts[0].shootdown / sim::ps_per_ns;
}

TEST_F(SimEngine, AHandlerOfSv6LooksForFurtherCallsBeforeItEnds) {
  EXPECT_NEAR(static_cast<double>(taken_ns(false)), 2 * (500 + 10'000 + 400), 10);
  EXPECT_NEAR(static_cast<double>(taken_ns(true)), 500 + 2 * (10'000 + 400), 10);
}

// All 64 threads shoot each other down at the same time. A handler asks for the interconnect when
// it executes a call. If a sender reserved the interconnect with each call, a handler would wait
// for the same earlier calls again with each call of its queue.
TEST_F(SimEngine, ABurstOfShootdownsWaitsForTheInterconnectOnce) {
  Machine machine = Machine::load("ideal-64");
  machine.shootdown_delivery = 10 * sim::ps_per_ns;
  std::vector<u32> cpus(64);
  std::iota(cpus.begin(), cpus.end(), 0);
  sim::Simulation simulation(machine, cpus, {});
  sim::Time last = 0;
  for (const u32 thread : cpus)
    simulation.set_body(thread, [&] {
      CpuSet all;
      for (const u32 other : cpus) all.add(other);
      P::shootdown(all);
      last = std::max(last, sim::here.cpu->clock);
    });
  simulation.run();
  // Each CPU sends 63 calls, and executes 63 in 0.4 us or, when the interconnect is busy, 0.64 us.
  EXPECT_LT(last, 63 * 1500 * sim::ps_per_ns);
}

// The sender's controller takes 10 us to say that the interrupt is sent, which has arrived by then.
TEST_F(SimEngine, AnInterruptArrivesWhileItsSenderWaitsForItsController) {
  Machine machine = Machine::load("ideal-2");
  machine.shootdown_send = 10 * us * sim::ps_per_ns;
  sim::Simulation simulation(machine, {0, 1}, {});
  sim::Time settled = 0;
  simulation.set_body(0, [] {
    CpuSet target;
    target.add(1);
    P::shootdown(target);
  });
  simulation.set_body(1, [&] {
    P::work(5 * us);
    P::settle();
    settled = sim::here.cpu->clock;
  });
  simulation.run();
  EXPECT_EQ(settled, (5000 + 901) * sim::ps_per_ns);
}

TEST_F(SimEngine, ASenderOfSv6ReadsTheCountOfAnswersAndNotEachOfThem) {
  const auto took = [](bool sv6) {
    Machine machine = Machine::load("ideal-64");
    machine.sv6_calls = sv6;
    std::vector<u32> cpus(64);
    std::iota(cpus.begin(), cpus.end(), 0);
    sim::Simulation simulation(machine, cpus, {});
    u64 ns = 0;
    simulation.set_body(0, [&] {
      CpuSet others;
      for (u32 other = 1; other < 64; ++other) others.add(other);
      const u64 start = P::now();
      P::shootdown(others);
      ns = P::now() - start;
    });
    for (u32 other = 1; other < 64; ++other) simulation.set_body(other, [] { P::work(30 * us); });
    simulation.run();
    return ns;
  };
  EXPECT_GT(took(false), took(true) + 4 * us);
}

// Thread 1 is called while it sends to many targets; all else being equal it ends later.
TEST_F(SimEngine, AHandlerDelaysASenderBetweenTwoTargets) {
  const auto took = [](bool is_called) {
    const Machine machine = Machine::load("ideal-10");
    sim::Simulation simulation(machine, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, {});
    u64 ns = 0;
    simulation.set_body(0, [&] {
      CpuSet target;
      target.add(1);
      if (is_called) P::shootdown(target);
    });
    simulation.set_body(1, [&] {
      CpuSet others;
      for (u32 other = 2; other < 10; ++other) others.add(other);
      const u64 start = P::now();
      P::shootdown(others);
      ns = P::now() - start;
    });
    for (u32 other = 2; other < 10; ++other) simulation.set_body(other, [] { P::work(10 * us); });
    simulation.run();
    return ns;
  };
  EXPECT_NEAR(static_cast<double>(took(true) - took(false)), 901, 10);
}

TEST_F(SimEngine, ACallIsARequestForTheLineOfItsTargetsQueue) {
  const LoopResult result =
      run_loop<Nothing>(Machine::load("ideal-8"), 3, 200 * us, [](Nothing&, u32 thread) {
        if (thread == 2) return P::work(100);
        CpuSet target;
        target.add(2);
        P::shootdown(target);
      });
  const sim::Transfers calls = result.counts.of("call_single_queue");
  EXPECT_GT(calls.of(sim::Kind::rmw), 150U);
  EXPECT_EQ(calls.total(), calls.of(sim::Kind::rmw));
}

// Two threads that shoot each other down.
TEST_F(SimEngine, ASenderThatWaitsForAnswersLosesNothingToAHandler) {
  const LoopResult result =
      run_loop<Nothing>(Machine::load("ideal-8"), 2, 200 * us, [](Nothing&, u32 thread) {
        CpuSet other;
        other.add(1 - thread);
        P::shootdown(other);
        P::settle();
      });
  // A call and its answer take 2.2 us, most of which the sender waits.
  EXPECT_GT(result.per_us(), 2 / 2.5);
}

TEST_F(SimEngine, AThreadThatWaitsAnywayLosesNothingToAHandler) {
  Pair pair;
  const auto flag = pair.simulation.make<Word>();
  pair.run(
      [&] {
        P::work(10 * us);
        CpuSet target;
        target.add(1);
        P::shootdown(target);
        flag->value.store(1, release);
      },
      [&] {
        while (flag->value.load(std::memory_order_acquire) == 0) P::pause(nullptr);
        P::settle();
      });
  EXPECT_EQ(pair.simulation.counts().accounts[1].shootdown, 0U);
}

TEST_F(SimEngine, AShootdownOfTheSendersOwnCpuAloneCostsNothing) {
  Pair pair;
  sim::Time took = 1;
  pair.run(
      [&] {
        CpuSet own;
        own.add(0);
        const sim::Time start = sim::here.cpu->clock;
        P::shootdown(own);
        took = sim::here.cpu->clock - start;
      },
      [] { P::work(10 * us); });
  EXPECT_EQ(took, 0U);
}

// A shootdown whose target sleeps and was interrupted in that sleep before.
u64 second_shootdown_ns(LazyCpus lazy) {
  Pair pair;
  const auto word = pair.simulation.make<Word>();
  u64 took = 0;
  pair.run(
      [&] {
        P::work(10 * us);
        CpuSet target;
        target.add(1);
        P::shootdown(target);
        P::work(10 * us);
        const u64 start = P::now();
        P::shootdown(target, lazy);
        took = P::now() - start;
        word->value.store(1, release);
        P::wake(word->value, 1);
      },
      [&] { P::wait(word->value, 0); });
  return took;
}

TEST_F(SimEngine, OnlyAFullFlushInterruptsASleeperASecondTime) {
  EXPECT_LT(second_shootdown_ns(LazyCpus::skipped), 600U);
  EXPECT_GT(second_shootdown_ns(LazyCpus::interrupted), 1500U);
}

// How long a fetch-and-add of another CPU's line takes, `after` nanoseconds after a prefetch of the
// line or without one.
u64 add_ns(bool prefetch, u64 after) {
  Pair pair;
  const auto word = pair.simulation.make<Word>();
  u64 took = 0;
  pair.run(
      [&] {
        P::work(10 * us);
        if (prefetch) P::prefetch_write(word.get());
        P::work(after);
        const sim::Time start = sim::here.cpu->clock;
        EXPECT_EQ(word->value.fetch_add(1, relaxed), 7U);
        took = (sim::here.cpu->clock - start) / sim::ps_per_ns;
      },
      [&] { word->value.store(7, relaxed); });
  return took;
}

TEST_F(SimEngine, APrefetchHidesAsMuchOfALinesWayAsHasPassed) {
  EXPECT_NEAR(static_cast<double>(add_ns(false, 1000)), 101, 2);
  EXPECT_NEAR(static_cast<double>(add_ns(true, 0)), 105, 5);
  EXPECT_NEAR(static_cast<double>(add_ns(true, 60)), 45, 5);
  EXPECT_LT(add_ns(true, 1000), 10U);
}

TEST_F(SimEngine, PrefetchesQueueLikeStoresAndChangeNoValue) {
  const LoopResult result =
      run_loop<Word>(Machine::load("ideal-8"), 8, 100 * us, [](Word& word, u32 thread) {
        P::prefetch_write(&word);
        P::work(50);
        if (thread == 0) word.value.fetch_add(1, relaxed);
        P::work(1000);
      });
  EXPECT_GT(result.counts.transfers, result.operations / 2);
}

TEST_F(SimEngine, AGracePeriodWaitsForReadersAndMovesNoLine) {
  Pair pair;
  u64 ended = 0;
  pair.run(
      [&] {
        P::work(1000);
        P::rcu::synchronize();
        ended = P::now();
      },
      [&] {
        P::rcu::read_lock();
        P::work(50 * us);
        P::rcu::read_unlock();
        P::work(50 * us);
      });
  EXPECT_GE(ended, 50 * us);
  EXPECT_LT(ended, 65 * us);
  EXPECT_EQ(pair.simulation.counts().transfers, 0U);
}

TEST_F(SimEngine, ThreadsMeetAtTheTimeOfTheLatest) {
  Pair pair;
  u64 first = 0, second = 0;
  pair.run(
      [&] {
        P::work(500);
        pair.simulation.meet();
        first = pair.simulation.now_ns();
      },
      [&] {
        P::work(7000);
        pair.simulation.meet();
        second = pair.simulation.now_ns();
      });
  EXPECT_EQ(first, 7000U);
  EXPECT_EQ(second, 7000U);
}

// The text of the Stuck exception.
std::string stuck_text(Pair& pair, std::function<void()> first, std::function<void()> second) {
  try {
    pair.run(std::move(first), std::move(second));
  } catch (const sim::Stuck& stuck) {
    std::string text = stuck.what();
    for (const std::string& line : stuck.waiting) text += "\n" + line;
    return text;
  }
  return "not stuck";
}

TEST_F(SimEngine, ADeadlockIsTold) {
  Pair pair;
  struct alignas(cache_line) Locks {
    Locks() { P::label(&rwsem, "the.rwsem"), P::label(&ticket, "the.ticket"); }
    Rwsem<P> rwsem;
    Ticket<P> ticket;
  };
  const auto locks = pair.simulation.make<Locks>();
  Ticket<P>::Node none;
  const std::string text = stuck_text(
      pair,
      [&] {
        locks->rwsem.lock();
        P::work(1 * us);
        locks->ticket.lock(none);
      },
      [&] {
        locks->ticket.lock(none);
        P::work(1 * us);
        locks->rwsem.lock_shared();
      });
  EXPECT_NE(text.find("deadlock after"), std::string::npos) << text;
  EXPECT_NE(text.find("2 of 2 threads wait"), std::string::npos) << text;
  EXPECT_NE(text.find("thread 0 (CPU 0) waits for ticket (the.ticket)"), std::string::npos) << text;
  EXPECT_NE(text.find("thread 1 (CPU 1) waits for rwsem to read (the.rwsem)"), std::string::npos)
      << text;
}

TEST_F(SimEngine, ALivelockIsTold) {
  Pair pair;
  const auto word = pair.simulation.make<Word>();
  const auto wait_for_ever = [&] {
    const WaitScope<P> waiting(word.get(), "nobody");
    while (word->value.load(relaxed) == 0 || P::now() == 0) P::pause(nullptr), P::now();
  };
  const std::string text = stuck_text(pair, wait_for_ever, wait_for_ever);
  EXPECT_NE(text.find("livelock after"), std::string::npos) << text;
  EXPECT_NE(text.find("waits for nobody"), std::string::npos) << text;
}

TEST_F(SimEngine, WhatAThreadThrowsEndsTheRun) {
  Pair pair;
  const auto fail = [] { throw std::runtime_error("the body's own"); };
  EXPECT_THROW(pair.run(fail, [] {}), std::runtime_error);
}

TEST_F(SimEngine, MemoryOutsideOfTheArenaIsRefused) {
  Pair pair;
  Word outside;
  EXPECT_THROW(pair.run([&] { outside.value.load(relaxed); }, [] {}), std::logic_error);
}

u64 sink_into(u64 depth) {
  volatile char room[512] = {};
  room[depth % 512] = 1;
  return depth == 0 ? room[0] : sink_into(depth - 1) + room[depth % 512];
}

TEST_F(SimEngine, AStackOverflowNamesItsThread) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "AddressSanitizer takes the signal for itself";
#endif
  const auto overflow = [] {
    Pair pair;
    pair.run([] {}, [] { sink_into(1'000'000); });
  };
  EXPECT_EXIT(overflow(), testing::ExitedWithCode(1),
              "simulator: thread 1: its stack of 64 KiB overflows");
}

TEST_F(SimEngine, EverySchemeRunsOnManyCpusAndKeepsItsBooks) {
  for (const std::string& name : stars_of(scheme_family, false)) {
    const Chosen scheme = choose(scheme_family, name);
    if (scheme.max_threads() != 0) continue;
    SCOPED_TRACE(name);
    const Machine machine = Machine::load("epyc-7742x2");
    Simulation simulation(machine, first_cpus(12), {});
    std::unique_ptr<AddressSpace> space;
    u64 failed = 0;
    for (u32 thread = 0; thread < 12; ++thread)
      simulation.set_body(thread, [&, thread] {
        if (thread == 0) {
          const sim::ArenaScope scope;
          space = make_scheme<P>(scheme, {.frames_per_thread = 64});
        }
        simulation.meet();
        space->enter();
        for (int turn = 0; turn < 20; ++turn) {
          const MapResult mapped = space->map(0, 4 * page_size, prot_read | prot_write, 0);
          for (u64 page = 0; page < 4; ++page)
            failed += space->fault(mapped.address + page * page_size, Access::write) != Error::none;
          failed += space->unmap(mapped.address, 4 * page_size) != Error::none;
        }
      });
    try {
      simulation.run();
    } catch (const sim::Stuck& stuck) {
      for (const std::string& line : stuck.waiting) ADD_FAILURE() << line;
    }
    EXPECT_EQ(failed, 0U);
    EXPECT_EQ(space->check(), "");
    space.reset();
  }
}

// Compares the queue with an ordered set. Keys are pushed in either way, exchanged and removed.
TEST(EventQueue, GivesTheEarliestKeyWhicheverWayItCame) {
  sim::EventQueue queue;
  std::set<sim::Key> expected;
  std::mt19937 random(1);
  std::vector<u32> idle(max_cpus);
  for (u32 actor = 0; actor < idle.size(); ++actor) idle[actor] = actor;
  sim::Time now = 0;
  const auto fresh = [&](sim::Time spread) {
    std::swap(idle[random() % idle.size()], idle.back());
    const sim::Key key = sim::make_key(now + random() % spread, idle.back());
    idle.pop_back();
    expected.insert(key);
    return key;
  };
  const auto expect_first = [&](sim::Key key) {
    ASSERT_EQ(key, *expected.begin());
    expected.erase(expected.begin());
    now = sim::time_of(key);
    idle.push_back(sim::actor_of(key));
  };
  for (u32 turn = 0; turn < 200'000; ++turn) {
    const u32 operation = random() % 8;
    const bool grows = turn / 4096 % 2 == 0;
    if (operation < (grows ? 4U : 2U) && idle.size() > 1) {
      const sim::Key key = fresh(operation % 2 == 0 ? 50 : 2000);
      operation == 0 ? queue.push(key) : queue.push_late(key);
    } else if (operation == 6 && idle.size() > 1) {
      const sim::Key key = fresh(100);
      expect_first(queue.exchange(key));
    } else if (operation == 7 && !expected.empty()) {
      const sim::Key key =
          *std::next(expected.begin(), random() % std::min<usize>(8, expected.size()));
      if (!queue.has(sim::actor_of(key))) continue;
      queue.remove(sim::actor_of(key));
      expected.erase(key);
      idle.push_back(sim::actor_of(key));
    } else if (!expected.empty()) {
      expect_first(queue.pop());
    }
    ASSERT_EQ(queue.top(), expected.empty() ? sim::EventQueue::nothing : *expected.begin());
  }
  while (!expected.empty() && !HasFatalFailure()) expect_first(queue.pop());
  EXPECT_EQ(queue.pop(), sim::EventQueue::nothing);
}

}  // namespace
}  // namespace faultline
