// The program as users run it: exit codes, one-line errors, and the files that it leaves.
#include <signal.h>

#include <set>

#include "harness/cli/parse.hpp"
#include "results/journal.hpp"
#include "results/reader.hpp"
#include "tests/harness/command_line.hpp"
#include "tests/paths.hpp"

namespace faultline {
namespace {

using nlohmann::json;

// Two cases of a few trials: the smallest run, with windows long enough for a thread to be
// scheduled on a busy machine.
const std::string tiny =
    "--workload local --scheme mmap_sem,none --threads 1 --duration 200ms --warmup 1ms "
    "--repetitions 2 --latency-repetitions 1 --steal-limit 1 --stall-limit 2s ";

// The arguments for start_long_run.
const std::vector<std::string> endless = {
    "run",        "--workload", "local",        "--scheme",      "mmap_sem", "--threads",     "1",
    "--duration", "200ms",      "--no-latency", "--repetitions", "1000",     "--steal-limit", "1"};

class BadInput : public CommandLine, public testing::WithParamInterface<const char*> {};

TEST_P(BadInput, IsOneLineAndExitCode2AndLeavesNothing) {
  expect_refused(run(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(
    Everywhere, BadInput,
    testing::Values(
        "", "no_such_command", "run --no-such-option", "run --suite no_such",
        "run --workload local --scheme no_such", "run --workload no_such --scheme mmap_sem",
        "run --workload mix:9:1 --scheme mmap_sem", "run --workload local --scheme mmap_sem:no-osq",
        "run --workload mix,nonsense --scheme mmap_sem", "run --workload local,,mix",
        "run --suite quick --workload local", "run --workload lock_loop --scheme mmap_sem",
        "run --workload replay:file=no_such_file --scheme mmap_sem",
        "run --workload local --placement 0,100000", "run --workload local --placement nowhere",
        "run --workload local --duration 0", "run --workload local --duration 0ms",
        "run --workload local --duration -1s", "run --workload local --duration 1parsec",
        "run --workload local --duration nan", "run --workload local --duration 1e99",
        "run --workload local --warmup 0", "run --workload local --threads 0",
        "run --workload local --threads 1,two", "run --workload local --threads 4294967297",
        "run --workload local --repetitions 0", "run --workload local --seed -1",
        "run --workload local --steal-limit 2", "run --workload local --budget soon",
        "run --workload local --page-clear sometimes", "run --workload local --shootdown never",
        "run --workload mix --scheme mmap_sem --roles faulters:9,updaters:9 --threads 2",
        "run --workload local --scheme none --threads 2 --no-ceiling",
        "run --workload local --out no_such_folder/x.json", "run --workload local --out /dev/full",
        "run --workload local --topology 'no such topology'",
        "run --workload local --benchmark_no_such_flag=1",
        "run --workload local --benchmark_filter=matches_nothing",
        "run --workload local --benchmark_filter=[", "run --workload local --benchmark_format=xml",
        "run --workload local --benchmark_out_format=csv --benchmark_out=x.json",
        "run --workload local --benchmark_context=nothing", "compare /dev/null /dev/null",
        "compare no_such.json no_such.json", "report /dev/null -o x.html", "report",
        "recover no_such.journal", "recover /dev/null -o x.json", "trial", "torture no_such",
        "torture ticket no_such", "torture --threads 0", "torture --threads 1024",
        "torture --duration 0", "torture --patience soon", "torture-one"));

TEST_F(CommandLine, ABadFilterIsCalledByOurOwnOptionsName) {
  for (const char* command : {"run", "sim"})
    for (const char* filter : {"[", "matches_nothing"}) {
      const Outcome outcome =
          run(fmt::format("{} --workload local --filter '{}'", command, filter));
      expect_refused(outcome);
      EXPECT_NE(outcome.errors.find(fmt::format("--filter '{}': ", filter)), std::string::npos)
          << outcome.errors;
      EXPECT_EQ(outcome.errors.find("benchmark"), std::string::npos) << outcome.errors;
    }
}

TEST_F(CommandLine, AFilterSelectsCasesByName) {
  const Outcome outcome =
      run("run --workload local --scheme mmap_sem,none --threads 1 --filter none --list-cases");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
  EXPECT_EQ(outcome.out, "local/none/compact/threads:1\n");
}

TEST_F(CommandLine, ListsEverythingAsJson) {
  const Outcome outcome = run("list --json");
  ASSERT_EQ(outcome.exit_code, 0);
  const json all = json::parse(outcome.out);
  const auto names = [&](const char* section) {
    std::set<std::string> found;
    for (const json& one : all.at(section)) found.insert(one.at("name").get<std::string>());
    return found;
  };
  const std::set<std::string> schemes = names("schemes");
  for (const char* name :
       {"mmap_sem", "range_lock", "full_range", "lock_in_tree", "refcount", "linux", "none"})
    EXPECT_TRUE(schemes.contains(name)) << name;
  EXPECT_EQ(names("profiles"), (std::set<std::string>{"linux-5.1", "linux-5.15", "linux-6.1",
                                                      "linux-6.15", "linux-6.18", "linux-6.4"}));
  const std::set<std::string> locks = names("locks");
  for (const char* name :
       {"ticket", "mcs", "rwsem", "pthread_rwlock", "std_shared_mutex", "absl_mutex"})
    EXPECT_TRUE(locks.contains(name)) << name;
  const std::set<std::string> workloads = names("workloads");
  for (const char* name : {"page_fault1", "page_fault2", "page_fault3", "page_fault4", "mmap1",
                           "local", "pipeline", "global", "mix", "threads", "lock_loop", "replay"})
    EXPECT_TRUE(workloads.contains(name)) << name;
  EXPECT_EQ(names("suites"),
            (std::set<std::string>{"changes", "full", "ladder", "ladder-points", "ladder-short",
                                   "lwn-2019", "quick", "schemes", "sim-quick", "smoke"}));
  EXPECT_TRUE(names("machines").contains("here"));
  EXPECT_TRUE(all.at("counters").contains("available"));
}

TEST_F(CommandLine, RunsToAResultThatTheReaderTakes) {
  const Outcome outcome = run("run " + tiny + "--out results.json");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
  const json results = load_results(folder_.file("results.json"));
  EXPECT_EQ(results["faultline"]["cases"].size(), 2U);
  EXPECT_EQ(results["benchmarks"].size(), 4U);
  EXPECT_EQ(results["faultline"]["mode"], "native");
  EXPECT_EQ(results["faultline"]["ended"], true);
  EXPECT_EQ(results["faultline"]["planned_trials"], 6);
  EXPECT_NE(outcome.out.find("results: results.json"), std::string::npos);
  EXPECT_EQ(folder_.names(), std::vector<std::string>{"results.json"});
}

TEST_F(CommandLine, TakesGoogleBenchmarksFlags) {
  const Outcome outcome =
      run("run --workload local --scheme mmap_sem,none --threads 1 --steal-limit 1 --no-latency "
          "--benchmark_min_time=0.2 --benchmark_repetitions=3 --benchmark_filter=none "
          "--benchmark_format=json --benchmark_out=results.json --benchmark_context=who=me");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.errors;
  const json shown = json::parse(outcome.out);
  EXPECT_EQ(shown["benchmarks"].size(), 3U);
  EXPECT_EQ(shown["benchmarks"][0]["name"], "local/none/compact/threads:1");
  EXPECT_EQ(shown["context"]["who"], "me");
  const json results = load_results(folder_.file("results.json"));
  EXPECT_EQ(results["benchmarks"].size(), 3U);
  EXPECT_EQ(results["context"]["who"], "me");
}

TEST_F(CommandLine, ListsTheCasesThatAFilterLeaves) {
  const Outcome outcome =
      run("run --workload local --scheme mmap_sem,none --threads 1 --benchmark_filter=none "
          "--benchmark_list_tests");
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.out, "local/none/compact/threads:1\n");
  EXPECT_TRUE(folder_.names().empty());
}

TEST_F(CommandLine, ShowsWhereThreadsWouldGoElsewhereAndRefusesToRun) {
  const Outcome outcome =
      run("run --topology 'package:2 [numa] core:2 pu:1' --placement scatter --threads 2");
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_NE(outcome.out.find("thread 1 -> cpu 2"), std::string::npos) << outcome.out;
  EXPECT_TRUE(outcome.errors.starts_with("faultline: --topology"));
  EXPECT_TRUE(folder_.names().empty());
}

TEST_F(CommandLine, GoesOnAfterACrashAndEndsWith1) {
  const Outcome outcome =
      run("run " + tiny + "--out results.json --exec-in-window 'kill -KILL {pid}'");
  EXPECT_EQ(outcome.exit_code, 1) << outcome.errors;
  const json results = load_results(folder_.file("results.json"));
  const json& failures = results["faultline"]["failures"];
  ASSERT_FALSE(failures.empty());
  for (const json& failure : failures)
    EXPECT_NE(failure["reason"].get<std::string>().find("SIGKILL"), std::string::npos)
        << failure["reason"];
}

TEST_F(CommandLine, KeepsFinishedTrialsWhenInterrupted) {
  for (const int signal : {SIGINT, SIGTERM}) {
    const pid_t pid = start_long_run(endless);
    kill(pid, signal);
    const int status = end_of(pid);
    ASSERT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 128 + signal);
    const json results = load_results(folder_.file("results.json"));
    EXPECT_GE(trials_in(results), 2U);
    bool told = false;
    for (const json& one : results["faultline"]["left_out"])
      told = told || one["why"] == "the run was interrupted";
    EXPECT_TRUE(told);
    EXPECT_EQ(folder_.names(), std::vector<std::string>{"results.json"});
    std::filesystem::remove(folder_.file("results.json"));
  }
}

TEST_F(CommandLine, RecoversARunThatWasKilled) {
  const pid_t pid = start_long_run(endless);
  kill(pid, SIGKILL);
  end_of(pid);
  EXPECT_EQ(folder_.names(), std::vector<std::string>{"results.json.journal"});
  const usize trials = read_journal(folder_.file("results.json.journal")).trials.size();
  EXPECT_GE(trials, 2U);

  // No result has those trials yet, so another run must not overwrite the journal.
  const Outcome again = run("run " + tiny + "--out results.json");
  EXPECT_EQ(again.exit_code, 2);
  EXPECT_NE(again.errors.find("recover"), std::string::npos);

  const Outcome recovered = run("recover results.json.journal");
  EXPECT_EQ(recovered.exit_code, 0);
  const json results = load_results(folder_.file("results.json"));
  EXPECT_EQ(trials_in(results), trials);
  EXPECT_EQ(results["faultline"]["ended"], false);
  const std::string lost =
      fmt::format("left out: {} of 1000 trials: the run was killed", 1000 - trials);
  EXPECT_NE(recovered.out.find(lost), std::string::npos) << recovered.out;
}

TEST_F(CommandLine, LeavesNoTrialBehindWhenKilled) {
  const pid_t pid = start_long_run(endless);
  // The trials of that run, found by their parent.
  const auto children = [&] {
    const std::string path = fmt::format("/proc/{}/task/{}/children", pid, pid);
    std::istringstream text(sample::text_of(path));
    return std::vector<pid_t>{std::istream_iterator<pid_t>(text), {}};
  };
  std::vector<pid_t> trials;
  // Between two trials there is no child for a moment.
  for (int i = 0; i < 5000 && trials.empty(); ++i) {
    trials = children();
    if (trials.empty()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  kill(pid, SIGKILL);
  end_of(pid);
  ASSERT_FALSE(trials.empty());
  for (int i = 0; i < 500 && kill(trials[0], 0) == 0; ++i) {
    if (sample::text_of(fmt::format("/proc/{}/stat", trials[0])).find(") Z ") != std::string::npos)
      return;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_NE(kill(trials[0], 0), 0);
}

TEST_F(CommandLine, EndsAtAFullDiskWithoutAPartialResult) {
  // A limit on the size of files acts as a full disk. The header, which grows with the machine, and
  // a few trials fit.
  const pid_t pid = start_long_run(endless);
  kill(pid, SIGKILL);
  end_of(pid);
  const std::string journal = folder_.file("results.json.journal");
  const usize header = sample::text_of(journal).find('\n');
  std::filesystem::remove(journal);
  const Outcome outcome = run("run " + tiny + "--no-latency --repetitions 100 --out results.json",
                              fmt::format("ulimit -f {};", (header + 5000) / 512));
  EXPECT_EQ(outcome.exit_code, 2);
  const usize line = outcome.errors.find("faultline: ");
  ASSERT_NE(line, std::string::npos) << outcome.errors;
  EXPECT_EQ(line + outcome.errors.substr(line).find('\n') + 1, outcome.errors.size());
  EXPECT_EQ(folder_.names(), std::vector<std::string>{"results.json.journal"});
  EXPECT_FALSE(read_journal(journal).trials.empty());
}

TEST_F(CommandLine, TellsWhenStandardOutputIsFull) {
  const int status =
      std::system(fmt::format("'{}' list >/dev/full 2>/dev/null", FAULTLINE_BINARY).c_str());
  EXPECT_EQ(WEXITSTATUS(status), 2);
}

TEST(Parse, TakesTimesByTheirUnits) {
  EXPECT_DOUBLE_EQ(parse_seconds("--x", "200ms"), 0.2);
  EXPECT_DOUBLE_EQ(parse_seconds("--x", "0.2s"), 0.2);
  EXPECT_DOUBLE_EQ(parse_seconds("--x", "1"), 1);
  EXPECT_DOUBLE_EQ(parse_seconds("--x", "15m"), 900);
  EXPECT_DOUBLE_EQ(parse_seconds("--x", "1h"), 3600);
}

TEST(Parse, KeepsAWorkloadsParametersTogether) {
  const std::vector<std::string> names = {"mix", "local", "lock_loop"};
  EXPECT_EQ(split_workloads("mix:faults=1:shared=on,local", names),
            (std::vector<std::string>{"mix:faults=1:shared=on", "local"}));
  EXPECT_EQ(split_workloads("replay:file=a,b:c=d.txt,mix", names),
            (std::vector<std::string>{"replay:file=a,b:c=d.txt", "mix"}));
}

TEST(Parse, KeepsTheWordsOfASchemesListTogether) {
  EXPECT_EQ(split_schemes("range_lock:narrow=fault,unmap:structure=mcs,none,mmap_sem"),
            (std::vector<std::string>{"range_lock:narrow=fault,unmap:structure=mcs", "none",
                                      "mmap_sem"}));
  EXPECT_EQ(split_schemes("mmap_sem,fault"), (std::vector<std::string>{"mmap_sem", "fault"}));
  EXPECT_EQ(split_schemes("range_lock:narrow=fault,unmapp"),
            std::vector<std::string>{"range_lock:narrow=fault,unmapp"});
}

TEST(Parse, KeepsAListOfCpusTogether) {
  EXPECT_EQ(split_placements("compact,0,2,4-7,scatter"),
            (std::vector<std::string>{"compact", "0,2,4-7", "scatter"}));
}

}  // namespace
}  // namespace faultline
