// What bare locks show in the simulator, alone and in workload lock_loop. Simulated time is exact,
// so these tests always hold or always fail.
#include <gtest/gtest.h>

#include <functional>
#include <type_traits>

#include "harness/sim/machine/machine.hpp"
#include "harness/sim/trial.hpp"
#include "locks/mutex/cna.hpp"
#include "locks/mutex/mcs.hpp"
#include "locks/mutex/qspinlock.hpp"
#include "locks/mutex/swap_mutex.hpp"
#include "locks/shared/bravo.hpp"
#include "locks/shared/cas_loop.hpp"
#include "locks/shared/cohort_rw.hpp"
#include "locks/shared/incdec_refcount.hpp"
#include "locks/shared/naive_refcount_lock.hpp"
#include "locks/shared/percpu_rwsem.hpp"
#include "locks/shared/phase_fair.hpp"
#include "locks/shared/rwsem.hpp"
#include "tests/harness/sim_threads.hpp"

namespace faultline {
namespace {

using nlohmann::json;
using P = SimPlatform;
constexpr u64 us = 1000;

sim::Machine ideal() {
  return sim::Machine::load("ideal-64");
}

class SimLocks : public SimTest {};

TEST_F(SimLocks, AQueuedSpinlockStaysFlat) {
  const double few = handoffs_per_us<Qspinlock<P>>(ideal(), 4);
  for (const u32 threads : {8U, 16U, 64U})
    EXPECT_NEAR(handoffs_per_us<Qspinlock<P>>(ideal(), threads) / few, 1, 0.15) << threads;
}

// The holder's release queues behind the exchanges of those who wait.
TEST_F(SimLocks, ALockByExchangesCollapses) {
  EXPECT_LT(handoffs_per_us<SwapMutex<P>>(ideal(), 32),
            0.4 * handoffs_per_us<SwapMutex<P>>(ideal(), 4));
}

TEST_F(SimLocks, ACompactLockIsFasterThanAQueueAcrossSockets) {
  const sim::Machine machine = sim::Machine::load("e7-8870");
  EXPECT_GT(handoffs_per_us<Cna<P>>(machine, 40), 1.2 * handoffs_per_us<Mcs<P>>(machine, 40));
}

// 65 holders of a node in a row: the first one, and 64 to whom it is handed over.
TEST_F(SimLocks, ACohortKeepsItsLockInANodeForAsLongAsItsLimitAllows) {
  u32 node = 0, in_a_row = 0, longest = 0;
  run_loop<Cohort<P>>(sim::Machine::load("e7-8870"), 40, 200 * us, [&](Cohort<P>& lock, u32) {
    Cohort<P>::Node own;
    lock.lock(own);
    in_a_row = P::node() == node ? in_a_row + 1 : 1;
    node = P::node();
    longest = std::max(longest, in_a_row);
    lock.unlock(own);
  });
  EXPECT_EQ(longest, Cohort<P>::most_handoffs + 1);
}

template <class L>
double reads_per_us(const sim::Machine& machine, u32 threads, u64 section_ns) {
  return run_loop<L>(machine, threads, 500 * us,
                     [&](L& lock, u32) {
                       lock.lock_shared();
                       P::work(section_ns);
                       lock.unlock_shared();
                     })
      .per_us();
}

TEST_F(SimLocks, HoldersOfReferencesDoNotExcludeOneAnother) {
  EXPECT_GT(reads_per_us<IncdecRefcount<P>>(ideal(), 4, 2000), 1.7);
  EXPECT_GT(reads_per_us<CasLoop<P>>(ideal(), 4, 2000), 1.7);
}

TEST_F(SimLocks, ReadersOfABiasedLockRarelyShareALine) {
  using Over = Rwsem<P>;
  EXPECT_GT((reads_per_us<Bravo<P, Over>>(ideal(), 32, 100)),
            10 * reads_per_us<Over>(ideal(), 32, 100));
}

TEST_F(SimLocks, ReadersThatCountByNodePassTheirLineOnWithinTheNode) {
  const sim::Machine machine = sim::Machine::load("e7-8870");
  EXPECT_GT(reads_per_us<CohortRw<P>>(machine, 40, 100),
            2 * reads_per_us<Rwsem<P>>(machine, 40, 100));
}

// One thread reads, 39 write all the time. Without its barrier the reader would wait to the end.
TEST_F(SimLocks, AReaderThatIsOutOfPatienceGetsPastTheWritersThatGoFirst) {
  u64 reads = 0;
  run_loop<CohortRw<P>>(sim::Machine::load("e7-8870"), 40, 5000 * us,
                        [&](CohortRw<P>& lock, u32 thread) {
                          if (thread == 0) {
                            lock.lock_shared();
                            ++reads;
                            lock.unlock_shared();
                            P::work(10 * us);  // the writers come back
                          } else {
                            lock.lock();
                            lock.unlock();
                          }
                        });
  EXPECT_GE(reads, 4U);
  EXPECT_LE(reads, 7U);
}

// How often a thread that only writes gets the lock beside seven that only read.
template <class L>
u64 writes_beside_readers() {
  u64 writes = 0;
  run_loop<L>(ideal(), 8, 1000 * us, [&](L& lock, u32 thread) {
    if (thread == 0) {
      lock.lock();
      P::work(300);
      ++writes;
      lock.unlock();
    } else {
      lock.lock_shared();
      P::work(1000 + 100 * thread);
      lock.unlock_shared();
      P::work(100);
    }
  });
  return writes;
}

TEST_F(SimLocks, AWriterStarvesOnANaiveCountAndTakesTurnsOnAPhaseFairLock) {
  EXPECT_LT(writes_beside_readers<NaiveRefcountLock<P>>(), 10U);
  EXPECT_GT(writes_beside_readers<IncdecRefcount<P>>(), 100U);
  EXPECT_GT(writes_beside_readers<PhaseFair<P>>(), 200U);
}

TEST_F(SimLocks, PercpuReadersShareNoLineAndAWriterPaysForThat) {
  EXPECT_GT(reads_per_us<PercpuRwsem<P>>(ideal(), 32, 100),
            10 * reads_per_us<Rwsem<P>>(ideal(), 32, 100));
  const auto writes = []<class L>(std::type_identity<L>) {
    return run_loop<L>(ideal(), 1, 1000 * us,
                       [](L& lock, u32) {
                         lock.lock();
                         lock.unlock();
                         P::work(50 * us);
                       })
        .per_us();
  };
  EXPECT_LT(writes(std::type_identity<PercpuRwsem<P>>()),
            0.9 * writes(std::type_identity<Rwsem<P>>()));
}

// Three readers keep the lock busy and a fourth thread writes.
template <RwsemPolicy policy>
u64 event(const char* name) {
  using Lock = Rwsem<P, policy>;
  Events events;
  run_loop<Lock>(ideal(), 4, 2000 * us, [&](Lock& lock, u32 thread) {
    if (thread == 0) {
      lock.lock();
      P::work(300);
      lock.unlock();
      P::work(2000);
      events = {};
      lock.append_events(events);
    } else {
      lock.lock_shared();
      P::work(100 + P::random() % 800);
      lock.unlock_shared();
      P::work(100 + P::random() % 3000);
    }
  });
  for (const auto& [key, count] : events)
    if (std::string_view(key) == name) return count;
  return 0;
}

TEST_F(SimLocks, ReadersAndWritersStealApart) {
  constexpr RwsemPolicy no_readers{.reader_steal = false}, no_writers{.writer_steal = false};
  EXPECT_GT(event<RwsemPolicy{}>("rwsem.reader_steal"), 0U);
  EXPECT_EQ(event<no_readers>("rwsem.reader_steal"), 0U);
  EXPECT_GT(event<no_writers>("rwsem.reader_steal"), 0U);
  EXPECT_EQ(event<RwsemPolicy{}>("rwsem.spin_queue"), 0U);
  EXPECT_EQ(event<no_readers>("rwsem.spin_queue"), 0U);
}

// ---- lock_loop

json trial(const std::string& workload, const std::string& lock, u32 threads) {
  TrialSpec spec;
  CaseSpec& one = spec.trial_case;
  one.workload = workload;
  one.scheme = lock;
  one.placement = "compact";
  one.threads = threads;
  one.cpus = first_cpus(threads);
  one.machine = "ideal-16";
  one.warmup_s = 20e-6;
  one.duration_s = 500e-6;
  spec.stall_limit_s = 0.1;
  json record = run_sim_trial(spec);
  EXPECT_EQ(record["status"], "ok") << workload << ": " << record["reason"];
  return record;
}
double rate(const std::string& workload, const std::string& lock, u32 threads) {
  return trial(workload, lock, threads)["rate"].get<double>();
}

TEST_F(SimLocks, TheLoopsReadersAndWritersHaveSectionsAndGapsOfTheirOwn) {
  const double ns =
      1e9 /
      rate("lock_loop:section=1000:gap=400:read_section=100:read_gap=0:write_every=2", "rwsem", 1);
  EXPECT_GT(ns, (1400 + 100) / 2);
  EXPECT_LT(ns, (1400 + 100) / 2 + 60);
  const double same = 1e9 / rate("lock_loop:section=1000:gap=400:write_every=2", "rwsem", 1);
  EXPECT_GT(same, 1400);
}

TEST_F(SimLocks, TheLoopsFirstThreadsOnlyRead) {
  EXPECT_GT(rate("lock_loop:section=1000:readers=4", "rwsem", 4), 3e6);
  EXPECT_LT(rate("lock_loop:section=1000:readers=1", "rwsem", 2), 1e6);
  EXPECT_LT(rate("lock_loop:section=1000", "rwsem", 4), 1e6);
}

u64 transfers_of(const json& record, const std::string& label) {
  const std::function<u64(const json&)> sum = [&](const json& tree) {
    if (tree.is_number()) return tree.get<u64>();
    u64 all = 0;
    for (const json& value : tree) all += sum(value);
    return all;
  };
  return sum(record["sim"]["transfers"].value(label, json::object()));
}

TEST_F(SimLocks, TheLoopNamesTheMemoryOfItsLock) {
  for (const char* lock : {"ticket", "osq", "swap_mutex", "cas_rw_lock"}) {
    const json record = trial("lock_loop", lock, 4);
    EXPECT_GT(transfers_of(record, "lock"), 0U) << lock;
    EXPECT_EQ(transfers_of(record, "other"), 0U) << lock;
  }
  EXPECT_GT(transfers_of(trial("lock_loop", "osq", 4), "osq.node"), 0U);
  EXPECT_GT(transfers_of(trial("lock_loop", "rwsem", 4), "rwsem.count"), 0U);
}

TEST_F(SimLocks, AWordApartFromTheLockCostsTheNextHolderATransferMoreThanOneBeside) {
  const json none = trial("lock_loop:gap=1000:section=1", "qspinlock", 2);
  const json beside = trial("lock_loop:gap=1000:section=1:update=beside", "qspinlock", 2);
  const json apart = trial("lock_loop:gap=1000:section=1:update=apart", "qspinlock", 2);
  EXPECT_EQ(transfers_of(none, "word beside the lock"), 0U);
  EXPECT_EQ(transfers_of(none, "word apart from the lock"), 0U);
  EXPECT_EQ(transfers_of(beside, "word apart from the lock"), 0U);
  EXPECT_GT(transfers_of(apart, "word apart from the lock"), apart["operations"].get<u64>() / 2);
  EXPECT_GT(beside["rate"].get<double>(), 1.03 * apart["rate"].get<double>());
  EXPECT_NEAR(beside["rate"].get<double>() / none["rate"].get<double>(), 1, 0.02);
}

}  // namespace
}  // namespace faultline
