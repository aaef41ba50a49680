#include "harness/native/trial.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <set>
#include <thread>

#include "tests/harness/fake_space.hpp"
#include "tests/harness/forked.hpp"
#include "tests/paths.hpp"

namespace faultline {
namespace {

using nlohmann::json;
using P = NativePlatform;

json run_fake(
    const TrialSpec& spec, std::function<void(FakeSpace&)> look = [](FakeSpace&) {}) {
  return run_trial_on(spec, fake_arenas(spec, std::move(look)));
}

// For trials that end their process: the output of such a trial.
json run_in_process(const std::function<void()>& run) {
  return json::parse(printed_in_process(run, 1));
}

std::string refusal(const TrialSpec& spec) {
  try {
    run_trial(spec);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "accepted";
}

TEST(Trial, RateIsFromFirstToLastCompletionOfEachThread) {
  const TrialSpec spec = short_trial("page_fault1", "fake", 2);
  constexpr u64 fault_ns = 10'000'000;
  const json record =
      run_fake(spec, [](FakeSpace& space) { space.on_fault = [] { P::work(fault_ns); }; });
  ASSERT_EQ(record["status"], "ok") << record["reason"];
  double sum = 0;
  for (const json& thread : record["threads"]) {
    const double span = thread["last_ns"].get<double>() - thread["first_ns"].get<double>();
    const double rate = 1e9 * thread["operations"].get<double>() / span;
    EXPECT_DOUBLE_EQ(thread["rate"].get<double>(), rate);
    // The operation that was under way when the window opened does not count. Otherwise more
    // operations would have completed than there was time for.
    EXPECT_LE(rate, 1e9 / fault_ns);
    sum += rate;
  }
  EXPECT_DOUBLE_EQ(record["rate"].get<double>(), sum);
}

TEST(Trial, RecordHasOnlyWhatTheSchemaNames) {
  TrialSpec spec = short_trial("mix", "mmap_sem", 2);
  spec.trial_case.settings.set("roles", "faulters:N-1,updaters:1");
  spec.latency = true;
  json record = run_trial(spec);
  ASSERT_EQ(record["status"], "ok") << record["reason"];
  record.erase("case");
  std::ifstream file(FAULTLINE_SOURCE_DIR "/results/schema.json");
  const json trial = json::parse(file)["definitions"]["trial"]["properties"];
  for (const auto& [key, value] : record.items()) EXPECT_TRUE(trial.contains(key)) << key;
  const json thread = trial["threads"]["items"]["properties"];
  for (const auto& [key, value] : record["threads"][0].items())
    EXPECT_TRUE(thread.contains(key)) << key;
}

TEST(Trial, EveryLatencyIsInTheHistogram) {
  TrialSpec spec = short_trial("local", "none", 1);
  spec.latency = true;
  const json record = run_trial(spec);
  ASSERT_EQ(record["kinds"].size(), 4u);  // map, fault, write, unmap
  for (const auto& [kind, entry] : record["kinds"].items()) {
    u64 count = 0;
    for (const json& bucket : entry["latency"]["buckets"]) count += bucket[2].get<u64>();
    EXPECT_EQ(count, entry["count"].get<u64>()) << kind;
    EXPECT_LT(entry["latency"]["buckets"].back()[0].get<u64>(),
              entry["latency"]["max"].get<u64>() + 1);
  }
}

TEST(Trial, ThroughputTrialsReadNoClock) {
  const json record = run_trial(short_trial("local", "none", 1));
  for (const auto& [kind, entry] : record["kinds"].items())
    EXPECT_FALSE(entry.contains("latency")) << kind;
}

TEST(Trial, RolesAreReportedApart) {
  TrialSpec spec = short_trial("mix", "fake", 3);
  spec.trial_case.settings.set("roles", "faulters:N-1,updaters:1");
  spec.trial_case.duration_s = 1;  // long enough for every thread to run on a busy machine
  const json record = run_fake(spec);
  ASSERT_EQ(record["status"], "ok") << record["reason"];
  const json& faulters = record["roles"]["faulters"];
  const json& updaters = record["roles"]["updaters"];
  EXPECT_TRUE(faulters.contains("fault"));
  EXPECT_FALSE(faulters.contains("unmap"));
  EXPECT_TRUE(updaters.contains("unmap"));
  EXPECT_FALSE(updaters.contains("fault"));
  EXPECT_EQ(record["threads"][2]["role"], "updaters");
  EXPECT_EQ(faulters["fault"]["count"], record["kinds"]["fault"]["count"]);
}

TEST(Trial, EventsAreThoseOfTheWindow) {
  TrialSpec spec = short_trial("page_fault1", "fake", 1);
  spec.trial_case.warmup_s = 0.3;
  const json record =
      run_fake(spec, [](FakeSpace& space) { space.on_fault = [] { P::work(1'000'000); }; });
  const u64 events = record["events"]["fake.calls"].get<u64>();
  const u64 operations = record["operations"].get<u64>();
  // The operations at the edges may be counted on either side, and a busy machine may delay the
  // main thread at an edge. But the 300 operations of the warm-up are not counted.
  EXPECT_LT(events, operations + 150);
  EXPECT_GE(events + 2, operations);
}

TEST(Trial, PrivateGivesEachThreadASpaceOfItsOwn) {
  TrialSpec spec = short_trial("page_fault1", "fake", 3);
  spec.trial_case.settings.turn_on("private");
  std::atomic<u32> made = 0;
  const json record = run_trial_on(spec, [&](u32 threads) {
    EXPECT_EQ(threads, 1u);
    ++made;
    return fake_arenas(spec, [](FakeSpace&) {})(threads);
  });
  EXPECT_EQ(record["status"], "ok") << record["reason"];
  EXPECT_EQ(made, 3u);
  EXPECT_EQ(record["threads"].size(), 3u);
}

TEST(Trial, NoneRunsAsTheCeilingOnManyThreads) {
  TrialSpec spec = short_trial("page_fault1:size=64K", "none", 2);
  spec.trial_case.settings.turn_on("private");
  const json record = run_trial(spec);
  EXPECT_EQ(record["status"], "ok") << record["reason"];
  EXPECT_EQ(record["oracle"], "ok");
}

TEST(Trial, OracleFailureFailsTheTrial) {
  const json record = run_fake(short_trial("local", "fake", 1),
                               [](FakeSpace& space) { space.verdict = "two VMAs overlap"; });
  EXPECT_EQ(record["status"], "failed");
  EXPECT_EQ(record["reason"], "oracle: two VMAs overlap");
  EXPECT_EQ(record["oracle"], "two VMAs overlap");
}

TEST(Trial, AnErrorThatTheWorkloadDoesNotExpectFailsTheTrialAtOnce) {
  TrialSpec spec = short_trial("pipeline", "fake", 3);
  spec.trial_case.duration_s = 60;
  const json record = run_fake(spec, [](FakeSpace& space) {
    space.on_fault = [] {
      if (P::self() == 1) throw std::runtime_error("the fault went wrong");
    };
  });
  EXPECT_EQ(record["status"], "failed");
  EXPECT_EQ(record["reason"], "the fault went wrong");
  EXPECT_LT(record["window_s"].get<double>(), 30);
}

TEST(Trial, MemoryThatDoesNotSufficeFailsTheTrial) {
  const TrialSpec spec = short_trial("local", "fake", 2);
  const json record = run_trial_on(spec, [](u32) -> Arena<P> { throw std::bad_alloc(); });
  EXPECT_EQ(record["status"], "failed");
  EXPECT_NE(record["reason"], "");
}

// Thread 1 waits, or spins, for ever in its twentieth fault, as after a lost wake-up.
void get_stuck(FakeSpace& space, bool named) {
  space.holding = {"stuck_lock: held by thread 0"};
  space.on_fault = [named, faults = std::make_shared<std::atomic<u32>>(0)] {
    if (P::self() != 1 || ++*faults < 20) return;
    std::optional<WaitScope<P>> wait;
    if (named) wait.emplace(faults.get(), "stuck_lock");
    for (;;) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  };
}

json run_stuck(double duration_s, bool named) {
  TrialSpec spec = short_trial("page_fault1", "fake", 2);
  spec.trial_case.duration_s = duration_s;
  spec.stall_limit_s = 0.5;
  return run_in_process(
      [&] { run_fake(spec, [&](FakeSpace& space) { get_stuck(space, named); }); });
}

TEST(Trial, OneStuckThreadIsAStallWhileTheWindowIsOpen) {
  const json record = run_stuck(60, true);
  EXPECT_EQ(record["status"], "failed");
  EXPECT_EQ(record["reason"].get<std::string>().find("thread 1 has "), 0u) << record["reason"];
  ASSERT_EQ(record["stall"]["waiting"].size(), 1u);
  const std::string waiting = record["stall"]["waiting"][0];
  EXPECT_EQ(waiting.find("thread 1 "), 0u) << waiting;
  EXPECT_NE(waiting.find("stuck_lock"), std::string::npos) << waiting;
  EXPECT_EQ(record["stall"]["holding"][0], "stuck_lock: held by thread 0");
}

TEST(Trial, AThreadThatSpinsForEverWithoutSayingSoIsAStallToo) {
  const json record = run_stuck(60, false);
  EXPECT_EQ(record["status"], "failed");
  EXPECT_EQ(record["reason"].get<std::string>().find("thread 1 has completed no operation for"), 0u)
      << record["reason"];
}

TEST(Trial, AThreadThatDoesNotEndAfterTheWindowIsAStall) {
  const json record = run_stuck(0.05, true);
  EXPECT_EQ(record["status"], "failed");
  EXPECT_NE(record["reason"].get<std::string>().find("the threads did not finish"),
            std::string::npos)
      << record["reason"];
  EXPECT_EQ(record["stall"]["waiting"].size(), 1u);
}

TEST(Trial, PeersAtTheWorkloadsBarrierAreNotTheStall) {
  TrialSpec spec = short_trial("pipeline", "fake", 3);
  spec.trial_case.duration_s = 60;
  spec.stall_limit_s = 0.5;
  const json record =
      run_in_process([&] { run_fake(spec, [](FakeSpace& space) { get_stuck(space, false); }); });
  EXPECT_EQ(record["reason"].get<std::string>().find("thread 1 has completed no operation for"), 0u)
      << record["reason"];
}

// The sanitizers handle crashes themselves, and fault in their shadow memory.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST(Trial, ACrashIsReportedWithWhoWaitsForWhat) {
  TrialSpec spec = short_trial("page_fault1", "fake", 2);
  spec.trial_case.duration_s = 60;
  const json record = run_in_process([&] {
    run_fake(spec, [](FakeSpace& space) {
      space.holding = {"some_lock: held by thread 1"};
      space.on_fault = [] {
        if (P::self() == 1) std::raise(SIGSEGV);
      };
    });
  });
  EXPECT_EQ(record["status"], "failed");
  EXPECT_EQ(record["reason"], "thread 1 crashed: Segmentation fault");
  EXPECT_EQ(record["stall"]["holding"][0], "some_lock: held by thread 1");
}

TEST(Trial, PageFaultsOfItsOwnDiscardTheTrial) {
  TrialSpec spec = short_trial("page_fault1", "fake", 1);
  spec.trial_case.duration_s = 1;  // on a busy machine, a short window may hold few page faults
  const json record = run_fake(spec, [](FakeSpace& space) {
    space.on_fault = [] {
      constexpr usize bytes = 64 * page_size;
      void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
      for (u32 turn = 0; turn < 8; ++turn) {
        madvise(memory, bytes, MADV_DONTNEED);
        for (usize i = 0; i < bytes; i += page_size) static_cast<volatile char*>(memory)[i] = 1;
      }
      munmap(memory, bytes);
    };
  });
  EXPECT_EQ(record["status"], "discarded");
  EXPECT_NE(record["reason"].get<std::string>().find("the program itself took"), std::string::npos)
      << record["reason"];
}
#endif

TEST(Trial, HelpersGetACpuOfTheirOwnWhereThereIsOne) {
  const Topology topology = Topology::here();
  const json record = run_trial(short_trial("local", "none", 1));
  const std::string where = record["helpers"];
  EXPECT_EQ(where.find("on CPUs ") == 0, topology.cpus().size() > 1) << where;
  EXPECT_EQ(Topology::here().cpus().size(), topology.cpus().size());
}

TEST(Trial, StolenTimeDiscardsTheTrial) {
  TrialSpec spec = short_trial("local", "none", 1);
  spec.steal_limit = -1;
  const json record = run_trial(spec);
  EXPECT_EQ(record["status"], "discarded");
  EXPECT_NE(record["reason"].get<std::string>().find("hypervisor"), std::string::npos);
  EXPECT_TRUE(record.contains("rate"));
}

TEST(Trial, OnLinuxTheFaultsAreTheCase) {
  const json record = run_trial(short_trial("page_fault1", "linux", 2));
  ASSERT_EQ(record["status"], "ok") << record["reason"];
  const double touches = record["kinds"]["write"]["count"];
  EXPECT_EQ(record["kinds"]["fault"]["count"], record["software"]["minor_faults"]);
  EXPECT_GE(record["kinds"]["fault"]["count"].get<double>(), touches - 2);
}

// A private file's read fault maps the pages around it too (fault-around, 64 KiB).
TEST(Trial, OnLinuxATouchOfAMappedPageIsNoFault) {
  const json record = run_trial(short_trial("page_fault4", "linux", 1));
  ASSERT_EQ(record["status"], "ok") << record["reason"];
  EXPECT_LT(2 * record["kinds"]["fault"]["count"].get<u64>(),
            record["kinds"]["read"]["count"].get<u64>());
}

TEST(Trial, CountersThatWereNotAskedForAreAbsentWithAReason) {
  TrialSpec spec = short_trial("local", "none", 1);
  spec.counters = false;
  const json record = run_trial(spec);
  EXPECT_EQ(record["counters"].size(), 1u);
  EXPECT_NE(record["counters"]["absent"], "");
  for (const char* count : {"minor_faults", "voluntary_switches", "involuntary_switches", "cpu_s"})
    EXPECT_TRUE(record["software"].contains(count)) << count;
}

TEST(Trial, ThreadsThatShareCpusAreRatedOverTheWholeWindow) {
  TrialSpec spec = short_trial("local", "mmap_sem", 8);
  spec.trial_case.cpus.assign(8, 0);
  spec.trial_case.oversubscribed = true;
  const json record = run_long_enough(spec);
  ASSERT_EQ(record["status"], "ok") << record["reason"];
  EXPECT_NEAR(record["rate"].get<double>(),
              record["operations"].get<double>() / record["window_s"].get<double>(),
              1e-6 * record["rate"].get<double>());
}

TEST(Trial, ObserverRunsForTheWindowAndNoLonger) {
  TrialSpec spec = short_trial("local", "none", 1);
  spec.trial_case.duration_s = 1;
  const std::filesystem::path file =
      std::filesystem::temp_directory_path() / ("trial_test." + std::to_string(getpid()));
  spec.exec_in_window = "trap 'echo interrupted >> " + file.string() +
                        "; exit' INT; echo {pid} > " + file.string() +
                        "; while :; do sleep 0.05; done";
  const json record = run_trial(spec);
  EXPECT_EQ(record["status"], "ok") << record["reason"];
  std::ifstream lines(file);
  std::string pid;
  std::string end;
  EXPECT_TRUE(std::getline(lines, pid) && std::getline(lines, end));
  EXPECT_EQ(pid, std::to_string(getpid()));
  EXPECT_EQ(end, "interrupted");
  std::filesystem::remove(file);
}

TEST(Trial, ObserverThatCannotBeRunFailsTheTrial) {
  TrialSpec spec = short_trial("local", "none", 1);
  spec.exec_in_window = "/nonexistent/observer {pid} 2>/dev/null";
  spec.trial_case.duration_s = 1;  // the shell must have run within the window
  const json record = run_trial(spec);
  EXPECT_EQ(record["status"], "failed");
  EXPECT_NE(record["reason"].get<std::string>().find("/nonexistent/observer"), std::string::npos);
}

TEST(Trial, ObserverThatFailsFailsTheTrial) {
  TrialSpec spec = short_trial("local", "none", 1);
  spec.exec_in_window = "exit 3";
  spec.trial_case.duration_s = 1;  // the shell must have run within the window
  const json record = run_trial(spec);
  EXPECT_EQ(record["status"], "failed");
  EXPECT_EQ(record["reason"], "the observer 'exit 3' ended with exit code 3");
  spec.exec_in_window = "true";  // an observer that ends at once
  EXPECT_EQ(run_trial(spec)["status"], "ok");
}

TEST(Trial, RefusesWhatDoesNotExistOrGoTogether) {
  const auto changed = [](auto&& change) {
    TrialSpec spec = short_trial("page_fault1", "mmap_sem", 2);
    change(spec.trial_case);
    return refusal(spec);
  };
  EXPECT_NE(changed([](CaseSpec& c) { c.scheme = "mmap_semaphore"; }).find("mmap_semaphore"),
            std::string::npos);
  EXPECT_NE(changed([](CaseSpec& c) { c.workload = "page_fault5"; }).find("page_fault5"),
            std::string::npos);
  EXPECT_NE(changed([](CaseSpec& c) { c.scheme = "none"; }).find("at most 1"), std::string::npos);
  EXPECT_NE(changed([](CaseSpec& c) { c.workload = "page_fault2"; }).find("linux"),
            std::string::npos);
  EXPECT_NE(changed([](CaseSpec& c) { c.duration_s = 0; }).find("duration"), std::string::npos);
  EXPECT_NE(changed([](CaseSpec& c) { c.cpus.pop_back(); }).find("1 CPUs"), std::string::npos);
  EXPECT_NE(
      changed([](CaseSpec& c) { c.settings.set("roles", "faulters:1,updaters:1"); }).find("roles"),
      std::string::npos);
  EXPECT_NE(changed([](CaseSpec& c) {
              c.workload = "mix";
              c.settings.set("roles", "faulters:1");
            }).find("add up"),
            std::string::npos);
  EXPECT_NE(changed([](CaseSpec& c) {
              c.scheme = "linux";
              c.settings.turn_on("private");
            }).find("private"),
            std::string::npos);
}

TEST(Trial, ACpuThatIsNotAllowedFailsTheTrial) {
  TrialSpec spec = short_trial("local", "none", 1);
  spec.trial_case.cpus = {1000};
  const json record = run_trial(spec);
  EXPECT_EQ(record["status"], "failed");
  EXPECT_NE(record["reason"].get<std::string>().find("1000"), std::string::npos);
}

TEST(TrialSpec, SurvivesJson) {
  TrialSpec spec = short_trial("mix", "refcount", 2);
  spec.trial_case.settings.set("roles", "faulters:N-1,updaters:1");
  spec.trial_case.settings.set("merge", "off");
  spec.trial_case.settings.turn_on("thp");
  spec.repetition = 7;
  spec.latency = true;
  spec.exec_in_window = "perf stat -p {pid}";
  EXPECT_EQ(json(json(spec).get<TrialSpec>()), json(spec));
}

}  // namespace
}  // namespace faultline
