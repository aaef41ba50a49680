#include <fmt/format.h>
#include <gtest/gtest.h>

#include <numeric>

#include "harness/sim/machine/machine.hpp"
#include "harness/sim/registry.hpp"
#include "harness/sim/short_window.hpp"
#include "harness/sim/trial.hpp"
#include "harness/sim/warm_up.hpp"
#include "locks/mutex/ticket.hpp"
#include "tests/harness/sim_threads.hpp"
#include "tests/paths.hpp"

namespace faultline {
namespace {

using nlohmann::json;
using SimTrial = SimTest;

TrialSpec sim_trial(const std::string& workload, const std::string& scheme, u32 threads,
                    const std::string& machine = "ideal-16") {
  TrialSpec spec;
  CaseSpec& one = spec.trial_case;
  one.workload = workload;
  one.scheme = scheme;
  one.placement = "compact";
  one.threads = threads;
  one.cpus.resize(threads);
  std::iota(one.cpus.begin(), one.cpus.end(), 0U);
  one.machine = machine;
  one.warmup_s = 20e-6;
  one.duration_s = 200e-6;
  spec.stall_limit_s = 0.1;
  return spec;
}

u64 transfers_in(const json& tree) {
  if (tree.is_number()) return tree.get<u64>();
  u64 sum = 0;
  for (const json& value : tree) sum += transfers_in(value);
  return sum;
}

void expect_sound(const std::string& scheme, const std::string& workload) {
  const u32 threads = scheme_named(scheme).max_threads() == 1 ? 1 : 3;
  const json record = run_sim_trial(sim_trial(workload, scheme, threads));
  EXPECT_EQ(record["status"], "ok") << scheme << " " << workload << " " << record["reason"];
  EXPECT_EQ(record["oracle"], "ok") << scheme << " " << workload;
  EXPECT_GT(record["rate"].get<double>(), 0) << scheme << " " << workload;
}

// A variant of a scheme runs one of the workloads. The next variant runs the next one.
TEST_F(SimTrial, EverySchemeRunsEveryWorkloadAndSatisfiesTheOracle) {
  const std::vector<std::string> workloads = {"page_fault1:size=64K",
                                              "local",
                                              "pipeline",
                                              "global",
                                              "mix:faults=1",
                                              "stack",
                                              "threads",
                                              "replay:file=" FAULTLINE_SOURCE_DIR
                                              "/tests/workloads/data/pack.txt.xz"};
  usize turn = 0;
  for (const std::string& scheme : stars_of(scheme_family, false))
    if (scheme_named(scheme).entry().name == scheme)
      for (const std::string& workload : workloads) expect_sound(scheme, workload);
    else
      expect_sound(scheme, workloads[turn++ % workloads.size()]);
}

TEST_F(SimTrial, ALineNeedsNoAddressSpaceAndRunsOnTheSchemeForOneThread) {
  const json record = run_sim_trial(sim_trial("line:op=read_write", "none", 8));
  EXPECT_EQ(record["status"], "ok") << record["reason"];
  EXPECT_GT(record["kinds"]["read"]["rate"].get<double>(), 0);
  EXPECT_GT(record["kinds"]["write"]["rate"].get<double>(), 0);
  EXPECT_GT(transfers_in(record["sim"]["transfers"]["line"]), 0U);
}

TEST_F(SimTrial, TheSameSeedGivesTheSameBytesAndAnotherSeedDoesNot) {
  TrialSpec spec = sim_trial("mix:faults=1", "mmap_sem", 8, "e7-8870");
  const std::string first = run_sim_trial(spec).dump();
  EXPECT_EQ(run_sim_trial(spec).dump(), first);
  spec.seed = 2;
  EXPECT_NE(run_sim_trial(spec).dump(), first);
}

TEST_F(SimTrial, TheRecordHasTheWindowsTransfersAndTheTimeOfEveryCpu) {
  const json record = run_sim_trial(sim_trial("mix:faults=1", "mmap_sem", 4));
  const double window_s = record["window_s"].get<double>();
  EXPECT_GE(window_s, 200e-6);
  EXPECT_EQ(record["threads"].size(), 4u);
  EXPECT_FALSE(record.contains("software"));
  EXPECT_FALSE(record.contains("started"));
  const json& sim = record["sim"];
  EXPECT_EQ(sim["machine"], "ideal-16");
  EXPECT_EQ(sim["seed"], 1);
  EXPECT_NEAR(sim["simulated_ms"].get<double>(), window_s * 1e3, 1e-6);
  EXPECT_GT(transfers_in(sim["transfers"]["rwsem.count"]["rmw"]), 0u) << sim["transfers"].dump();
  EXPECT_GT(sim["accesses"].get<u64>(), transfers_in(sim["transfers"]));
  for (usize cpu = 0; cpu < 4; ++cpu) {
    u64 all = 0;
    for (const char* part : {"work", "spinning", "sleeping", "shootdown"})
      all += sim["time"][part][cpu].get<u64>();
    for (const json& stall : sim["time"]["stall"]) all += stall[cpu].get<u64>();
    // A CPU's clock differs from the window's edges by at most one access.
    EXPECT_NEAR(static_cast<double>(all), window_s * 1e9, 20e3) << "CPU " << cpu;
  }
}

TEST_F(SimTrial, PrivateSpacesShareNoLine) {
  TrialSpec spec = sim_trial("local", "none", 4);
  spec.trial_case.settings.turn_on("private");
  const json record = run_sim_trial(spec);
  EXPECT_EQ(record["status"], "ok") << record["reason"];
  u64 shared = 0;
  for (const auto& [label, kinds] : record["sim"]["transfers"].items())
    for (const json& places : kinds)
      for (const json& reasons : places)
        shared += reasons.value("true_sharing", u64{0}) + reasons.value("false_sharing", u64{0});
  // All threads read the window's phase, so its line counts as shared.
  EXPECT_LT(shared, 20u) << record["sim"]["transfers"].dump();
}

TEST_F(SimTrial, ALatencyTrialTimesEveryOperation) {
  TrialSpec spec = sim_trial("local", "mmap_sem", 2);
  spec.latency = true;
  const json record = run_sim_trial(spec);
  u64 timed = 0;
  for (const json& bucket : record["kinds"]["fault"]["latency"]["buckets"])
    timed += bucket[2].get<u64>();
  EXPECT_GT(timed, 0u);
}

TEST_F(SimTrial, BareLocksRunInTheLoop) {
  for (const char* lock : {"ticket", "mcs", "rwsem", "tree_range_lock"}) {
    const json record = run_sim_trial(sim_trial("lock_loop", lock, 4));
    EXPECT_EQ(record["status"], "ok") << lock << " " << record["reason"];
  }
}

// The events of a rwsem for which threads queued, and which handed nothing over in 1 ms.
json without_handoff() {
  return {{"window_s", 1e-3},
          {"case", {{"scheme", "mmap_sem"}, {"threads", 8}}},
          {"operations", 1'000'000},
          {"events", {{"rwsem.reader_queued", 3}, {"rwsem.handoff_requested", 0}}}};
}

TEST(ShortWindow, NotesAHandoffThatItIsTooShortFor) {
  EXPECT_EQ(
      short_window_notes(without_handoff()),
      std::vector<std::string>{"a waiter of rwsem demands a handoff after 4 ms: none did in a "
                               "window of 1 ms"});
  const std::vector<std::pair<const char*, json>> enough = {
      {"/window_s", 5e-3},
      {"/case/scheme", "mmap_sem:handoff=off"},
      {"/events/rwsem.reader_queued", 0},
      {"/events/rwsem.handoff_requested", 1},
  };
  for (const auto& [place, value] : enough) {
    json record = without_handoff();
    record[json::json_pointer(place)] = value;
    EXPECT_TRUE(short_window_notes(record).empty()) << place;
  }
}

TEST_F(SimTrial, NotesFewOperations) {
  TrialSpec spec = sim_trial("lock_loop:section=100000", "ticket", 16);
  spec.trial_case.duration_s = 1e-6;
  const json record = run_sim_trial(spec);
  ASSERT_EQ(record["status"], "ok") << record["reason"];
  ASSERT_LT(record["operations"].get<u64>(), 64u);
  ASSERT_EQ(record["notes"].size(), 1u);
  EXPECT_TRUE(record["notes"][0].get<std::string>().starts_with(
      "fewer than 4 operations a thread in a window of "))
      << record["notes"];
}

// Operations whose length follows from the time since the first of them.
class Paced final : public Workload<SimPlatform> {
 public:
  using Pace = std::function<u64(u64 elapsed_ns)>;
  explicit Paced(Pace pace) : pace_(std::move(pace)) {}
  void demands(AddressSpaceOptions&) const override {}
  void run(Worker<SimPlatform>& worker) override {
    for (const u64 begin = SimPlatform::now(); worker.running();)
      worker.count(Operation::lock, [&] {
        SimPlatform::work(pace_(SimPlatform::now() - begin));
        return Error::none;
      });
  }

 private:
  const Pace pace_;
};

json run_paced(const Paced::Pace& pace) {
  TrialSpec spec = sim_trial("local", "none", 2);
  spec.trial_case.warmup_s = 0;
  return run_sim_trial_on(spec, [&](u32) {
    return Arena<SimPlatform>{nullptr, std::make_unique<Paced>(pace)};
  });
}

TEST_F(SimTrial, OfASteadyRateWarmsUpForEightWindowsAndMeasuresFour) {
  const json record = run_paced([](u64) { return 1000; });
  ASSERT_EQ(record["status"], "ok") << record["reason"];
  EXPECT_EQ(record["settled"], true);
  EXPECT_LT(record["drift"].get<double>(), 0.01);
  EXPECT_NEAR(record["warmup_s"].get<double>(), 8 * 200e-6, 1e-9);
  EXPECT_NEAR(record["window_s"].get<double>(), 4 * 200e-6, 1e-9);
}

TEST_F(SimTrial, MeasuresAfterASlowStart) {
  const json record =
      run_paced([](u64 elapsed_ns) { return elapsed_ns < 1'000'000 ? 5000 : 1000; });
  ASSERT_EQ(record["status"], "ok") << record["reason"];
  EXPECT_EQ(record["settled"], true);
  EXPECT_GT(record["warmup_s"].get<double>(), 1e-3);
  EXPECT_NEAR(record["rate"].get<double>(), 2e6, 0.05e6);
}

TEST_F(SimTrial, HitsItsCapAndSaysSoWhereTheRateNeverSettles) {
  const json record = run_paced([](u64 elapsed_ns) { return 1000 + elapsed_ns / 100; });
  ASSERT_EQ(record["status"], "ok") << record["reason"];
  EXPECT_EQ(record["settled"], false);
  EXPECT_GT(record["drift"].get<double>(), 0.05);
  EXPECT_NEAR(record["warmup_s"].get<double>(), WarmUp::cap * 200e-6, 1e-9);
}

TEST_F(SimTrial, OfABareLockKnowsItsRateWhileItWarmsUp) {
  const json record = run_sim_trial(sim_trial("lock_loop", "ticket", 2));
  ASSERT_EQ(record["status"], "ok") << record["reason"];
  EXPECT_EQ(record["settled"], true);
  EXPECT_TRUE(record.contains("drift"));
}

TEST_F(SimTrial, LockInTreeTakesNoLockOfThePageTableAndNeverSleeps) {
  const auto run = [](const std::string& scheme) {
    TrialSpec spec = sim_trial("global", scheme, 8, "e7-8870");
    spec.trial_case.settings.set("shootdown", "precise");
    const json record = run_sim_trial(spec);
    EXPECT_EQ(record["status"], "ok") << record["reason"];
    return record["sim"];
  };
  for (const char* scheme : {"lock_in_tree", "lock_in_tree:slots=sv6"}) {
    const json sim = run(scheme);
    EXPECT_FALSE(sim["transfers"].contains("pte_page.lock")) << scheme;
    for (const json& asleep : sim["time"]["sleeping"]) EXPECT_EQ(asleep, 0) << scheme;
  }
  EXPECT_TRUE(run("mmap_sem")["transfers"].contains("pte_page.lock"));
}

TEST_F(SimTrial, CountsOfWholeRoundsCoverTheSameTimeAsTheirOperations) {
  const json record = run_sim_trial(sim_trial("global", "mmap_sem", 8, "e7-8870"));
  ASSERT_EQ(record["status"], "ok") << record["reason"];
  const json& kinds = record["kinds"];
  EXPECT_EQ(kinds["map"]["count"].get<u64>() % 8, 0u);
  EXPECT_EQ(kinds["write"]["count"].get<u64>() % 8, 0u);
  const double counted_s =
      kinds["write"]["count"].get<double>() / kinds["write"]["rate"].get<double>();
  EXPECT_NEAR(record["window_s"].get<double>(), counted_s, 20e-6);
}

struct alignas(cache_line) OneWord {
  SimPlatform::atomic<u64> word{0};
};

TEST_F(SimTrial, WhatATargetDoesInItsInterruptTakesNoLineFromIt) {
  using P = SimPlatform;
  constexpr auto relaxed = std::memory_order_relaxed;
  const auto turns = [](bool in_interrupt) {
    const auto turn = [in_interrupt](OneWord& shared, u32 thread) {
      P::work(100);
      const auto add = [&] { shared.word.fetch_add(1, relaxed); };
      if (thread == 0 && in_interrupt)
        P::in_interrupt(add);
      else
        add();
    };
    return run_loop<OneWord>(sim::Machine::load("ideal-2"), 2, 100'000, turn).operations;
  };
  // Nearly 1,000 turns for each of two threads, unless the line goes to and fro.
  EXPECT_GT(turns(true), 1800u);
  EXPECT_LT(turns(false), 1400u);
}

// Two locks that threads take in different orders.
class Deadlock final : public Workload<SimPlatform> {
 public:
  using P = SimPlatform;
  Deadlock() {
    P::label(&locks_[0], "left");
    P::label(&locks_[1], "right");
  }
  void demands(AddressSpaceOptions&) const override {}
  void run(Worker<P>& worker) override {
    while (worker.running()) {
      Ticket<P>::Node first, second;
      locks_[worker.index()].lock(first);
      P::work(1000);
      locks_[1 - worker.index()].lock(second);
      locks_[1 - worker.index()].unlock(second);
      locks_[worker.index()].unlock(first);
    }
  }
  std::vector<std::string> holders() const override { return {"both locks are held"}; }

 private:
  alignas(cache_line) Ticket<P> locks_[2];
};

TEST_F(SimTrial, ADeadlockFailsTheTrialAndSaysWhoWaitsForWhat) {
  const json record = run_sim_trial_on(sim_trial("local", "none", 2), [](u32) {
    return Arena<SimPlatform>{nullptr, std::make_unique<Deadlock>()};
  });
  EXPECT_EQ(record["status"], "failed");
  EXPECT_NE(record["reason"].get<std::string>().find("lock"), std::string::npos);
  EXPECT_EQ(record["stall"]["holding"], json{"both locks are held"});
  ASSERT_EQ(record["stall"]["waiting"].size(), 2u);
  EXPECT_NE(record["stall"]["waiting"][0].get<std::string>().find("right"), std::string::npos)
      << record["stall"].dump();
}

// Takes a lock twice before any thread works.
class DeadlockInSetUp final : public Workload<SimPlatform> {
 public:
  void demands(AddressSpaceOptions&) const override {}
  void set_up(Worker<SimPlatform>&) override {
    Ticket<SimPlatform>::Node first, second;
    lock_.lock(first);
    lock_.lock(second);
  }
  void run(Worker<SimPlatform>&) override {}

 private:
  Ticket<SimPlatform> lock_;
};

TEST_F(SimTrial, ADeadlockInSetUpIsCalledOne) {
  const json record = run_sim_trial_on(sim_trial("local", "none", 2), [](u32) {
    return Arena<SimPlatform>{nullptr, std::make_unique<DeadlockInSetUp>()};
  });
  EXPECT_EQ(record["status"], "failed");
  EXPECT_NE(record["reason"].get<std::string>().find("deadlock"), std::string::npos)
      << record["reason"];
}

TEST_F(SimTrial, KernelEntryChargesEveryOperationItsWayInAndTheKernelsWork) {
  const auto cycle_ns = [](bool entry) {
    TrialSpec spec = sim_trial("local", "none", 1, "ideal-1");
    spec.trial_case.settings.set("kernel_entry", entry ? "on" : "off");
    const json record = run_sim_trial(spec);
    return 1e9 / record["kinds"]["fault"]["rate"].get<double>();
  };
  const sim::Machine machine = sim::Machine::load("ideal-1");
  const auto work = [&](KernelWork which) {
    return machine.kernel_work[static_cast<usize>(which)];
  };
  // A cycle is map, fault, unmap.
  const double charges = static_cast<double>(2 * (machine.syscall + work(KernelWork::edit)) +
                                             machine.page_fault + work(KernelWork::fault)) /
                         static_cast<double>(sim::ps_per_ns);
  EXPECT_NEAR(cycle_ns(true) - cycle_ns(false), charges, 0.05 * charges);
}

TEST_F(SimTrial, KernelEntryTimesTheKernelsPartsWithoutTheWayIn) {
  TrialSpec spec = sim_trial("local", "none", 1, "ideal-1");
  spec.trial_case.settings.set("kernel_entry", "on");
  const json record = run_sim_trial(spec);
  const sim::Machine machine = sim::Machine::load("ideal-1");
  double ns = static_cast<double>(2 * machine.syscall + machine.page_fault) /
              static_cast<double>(sim::ps_per_ns);
  const double cycles = record["kinds"]["fault"]["count"];
  for (const char* part : {"kernel.fault_ns", "kernel.map_ns", "kernel.unmap_ns"}) {
    const double spent = record["events"][part];
    EXPECT_GT(spent / cycles, 100) << part;
    ns += spent / cycles;
  }
  const double cycle_ns = 1e9 / record["kinds"]["fault"]["rate"].get<double>();
  EXPECT_NEAR(ns, cycle_ns, 0.05 * cycle_ns);
}

TEST_F(SimTrial, KernelEntryTimesShootdownsAsAPartOfTheUnmapThatSendsThem) {
  const auto events = [](u32 threads) {
    TrialSpec spec = sim_trial("local", "lock_in_tree", threads, "ideal-8");
    spec.trial_case.settings.set("kernel_entry", "on");
    return run_sim_trial(spec)["events"];
  };
  const json alone = events(1), together = events(4);
  EXPECT_EQ(alone.at("kernel.shootdowns"), 0);
  EXPECT_EQ(alone.at("kernel.shootdown_ns"), 0);
  const u64 count = together.at("kernel.shootdowns");
  ASSERT_GT(count, 0);
  const sim::Machine machine = sim::Machine::load("ideal-8");
  const sim::Time least = machine.shootdown_base + 3 * machine.shootdown_per_target;
  EXPECT_GT(together.at("kernel.shootdown_ns").get<u64>(), count * (least / sim::ps_per_ns));
  EXPECT_LT(together.at("kernel.shootdown_ns"), together.at("kernel.unmap_ns"));
}

TEST_F(SimTrial, EverySchemeHoldsTheOracleWithAPageTableACpu) {
  for (const std::string& scheme : stars_of(scheme_family, false)) {
    TrialSpec spec =
        sim_trial("mix:faults=1", scheme, scheme_named(scheme).max_threads() == 1 ? 1 : 4);
    spec.trial_case.settings.set("page_table", "per_cpu");
    const json record = run_sim_trial(spec);
    EXPECT_EQ(record["status"], "ok") << scheme << " " << record["reason"];
  }
}

TEST_F(SimTrial, AFailureOfTheWorkloadFailsTheTrial) {
  const json record = run_sim_trial_on(
      sim_trial("local", "none", 2),
      [](u32) -> Arena<SimPlatform> { throw std::runtime_error("no such memory"); });
  EXPECT_EQ(record["status"], "failed");
  EXPECT_EQ(record["reason"], "no such memory");
}

TEST_F(SimTrial, RefusesWhatIsNativeAlone) {
  for (const char* scheme : {"linux", "mmap_sem:lock=pthread_rwlock",
                             "mmap_sem:lock=std_shared_mutex", "mmap_sem:lock=absl_mutex"})
    EXPECT_THROW(run_sim_trial(sim_trial("local", scheme, 1)), std::invalid_argument) << scheme;
}

}  // namespace
}  // namespace faultline
