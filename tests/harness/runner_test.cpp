// The parent's side of trials, with shell scripts as trials.
#include "harness/run/runner.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <set>

#include "tests/results/sample.hpp"

namespace faultline {
namespace {

using nlohmann::json;

// A trial that ends well, as a shell script. The text before it may do otherwise.
const std::string good_trial = R"(
case=$(printf %s "$spec" | sed 's/^{"case":\(.*\),"counters":.*/\1/')
repetition=$(printf %s "$spec" | sed 's/.*"repetition":\([0-9]*\).*/\1/')
latency=$(printf %s "$spec" | sed 's/.*"latency":\([a-z]*\).*/\1/')
printf '{"case":%s,"repetition":%s,"latency":%s,"status":"%s","reason":"","operations":10,"rate":50}\n' \
  "$case" "$repetition" "$latency" "${status:-ok}"
)";

std::vector<std::string> script(const std::string& before) {
  return {"/bin/sh", "-c", "spec=$(cat)\n" + before + good_trial};
}

PlannedCase planned(const std::string& scheme, u32 repetitions, u32 latency_repetitions = 0) {
  PlannedCase one;
  one.spec.workload = "local";
  one.spec.scheme = scheme;
  one.spec.placement = "compact";
  one.spec.cpus = {0};
  one.repetitions = repetitions;
  one.latency_repetitions = latency_repetitions;
  return one;
}

class Runner : public testing::Test {
 protected:
  // Runs the plan's cases by that script and stores what the journal then contains.
  void run(const std::vector<PlannedCase>& cases, const std::string& before) {
    Plan plan;
    plan.cases = cases;
    options_.command = script(before);
    Interrupts interrupts;
    Journal journal(folder_.file("journal"), json::object());
    testing::internal::CaptureStderr();
    outcome_ = run_plan(plan, options_, journal, interrupts);
    errors_ = testing::internal::GetCapturedStderr();
    content_ = read_journal(folder_.file("journal"));
  }

  std::string reason(usize trial) const { return content_.trials.at(trial).at("reason"); }

  sample::TemporaryDirectory folder_;
  RunOptions options_;
  RunOutcome outcome_;
  JournalContent content_;
  std::string errors_;
};

TEST_F(Runner, RunsEveryRepetitionInAProcessOfItsOwn) {
  run({planned("a", 3, 1), planned("b", 2)}, "echo $$ >>" + folder_.file("pids"));
  EXPECT_EQ(outcome_.ok, 6U);
  ASSERT_EQ(content_.trials.size(), 6U);
  std::multiset<std::string> seen;
  for (const json& trial : content_.trials)
    seen.insert(trial["case"]["scheme"].get<std::string>() + (trial["latency"] ? "L" : "") +
                std::to_string(trial["repetition"].get<u32>()));
  EXPECT_EQ(seen, (std::multiset<std::string>{"a0", "a1", "a2", "aL0", "b0", "b1"}));
  std::ifstream pids(folder_.file("pids"));
  std::set<std::string> distinct;
  for (std::string pid; std::getline(pids, pid);) distinct.insert(pid);
  EXPECT_EQ(distinct.size(), 6U);
}

TEST_F(Runner, RecordsACrashByTheSignalsNameAndGoesOn) {
  run({planned("bad", 1), planned("good", 1)},
      R"(case $spec in *'"scheme":"bad"'*) echo 'last words' >&2; kill -SEGV $$;; esac)");
  EXPECT_EQ(outcome_.failed, 1U);
  EXPECT_EQ(outcome_.ok, 1U);
  for (const json& trial : content_.trials) {
    const bool bad = trial["case"]["scheme"] == "bad";
    EXPECT_EQ(trial["status"], bad ? "failed" : "ok");
    EXPECT_EQ(trial["reason"],
              bad ? "its process crashed: SIGSEGV, Segmentation fault: last words" : "");
  }
  EXPECT_NE(errors_.find("failed: local/bad"), std::string::npos);
}

TEST_F(Runner, TakesTheReasonOfAProcessThatRefusedItsSpec) {
  run({planned("a", 1)}, "echo 'faultline: what, where, expected' >&2; exit 2");
  EXPECT_EQ(reason(0), "its process ended with exit code 2 and no record: what, where, expected");
}

TEST_F(Runner, RecordsAProcessThatPrintsNoRecord) {
  run({planned("a", 1)}, "echo '{\"case\":1}'; exit 0");
  EXPECT_EQ(reason(0), "its process ended with exit code 0 and no record");
}

TEST_F(Runner, KillsAProcessThatDoesNotEndWithItsHelpers) {
  options_.patience_s = 0.3;
  options_.stall_limit_s = 0.1;
  run({planned("a", 1)}, "sleep 1000 & echo $! >" + folder_.file("helper") + "; sleep 1000");
  EXPECT_NE(reason(0).find("did not end within 1 s and was killed"), std::string::npos);
  pid_t helper = 0;
  std::ifstream(folder_.file("helper")) >> helper;
  ASSERT_GT(helper, 0);
  // The process is not this test's child, so its reaper may need a moment.
  for (int i = 0; i < 200 && kill(helper, 0) == 0; ++i) {
    std::ifstream stat("/proc/" + std::to_string(helper) + "/stat");
    const std::string text((std::istreambuf_iterator<char>(stat)), {});
    if (text.find(") Z ") != std::string::npos) return;
    usleep(10'000);
  }
  EXPECT_NE(kill(helper, 0), 0);
}

TEST_F(Runner, EndsThoughAHelperHoldsItsStreamsOpen) {
  run({planned("a", 1)}, "sleep 1000 &");
  EXPECT_EQ(outcome_.ok, 1U);
}

TEST_F(Runner, LeavesOutACaseThatHasFailedTwice) {
  run({planned("a", 5)}, "exit 1");
  EXPECT_EQ(outcome_.failed, 2U);
  ASSERT_EQ(content_.header["left_out"].size(), 1U);
  EXPECT_EQ(content_.header["left_out"][0]["what"], "3 trial(s) of local/a/compact/threads:1");
  EXPECT_EQ(content_.header["left_out"][0]["why"], "2 of its trials had failed");
}

TEST_F(Runner, TriesADiscardedTrialThreeTimes) {
  run({planned("a", 1)}, "status=discarded");
  EXPECT_EQ(outcome_.discarded, 3U);
  EXPECT_EQ(content_.trials.size(), 3U);
}

TEST_F(Runner, TellsOfACaseThatWasDiscardedWhole) {
  run({planned("bad", 1), planned("good", 1)},
      R"(case $spec in *'"scheme":"bad"'*) status=discarded;; esac)");
  EXPECT_EQ(outcome_.spoiled, 1U);
  EXPECT_EQ(outcome_.ok, 1U);
}

TEST_F(Runner, BeginsNoTrialThatWouldOutlastTheBudget) {
  options_.end = std::chrono::steady_clock::now() + std::chrono::hours(1);
  std::vector<PlannedCase> cases = {planned("short", 2), planned("long", 3)};
  cases[1].spec.duration_s = 2 * 3600;
  run(cases, "");
  EXPECT_EQ(outcome_.ok, 2U);
  for (const json& trial : content_.trials) EXPECT_EQ(trial["case"]["scheme"], "short");
  ASSERT_EQ(content_.header["left_out"].size(), 1U);
  EXPECT_EQ(content_.header["left_out"][0]["what"], "3 trial(s) of " + cases[1].spec.name());
  EXPECT_EQ(content_.header["left_out"][0]["why"], "the budget was spent");
}

TEST_F(Runner, EndsAtASignalWithWhatItHas) {
  run({planned("a", 2)}, "if [ -e " + folder_.file("once") + " ]; then kill -TERM " +
                             std::to_string(getpid()) + "; sleep 1000; fi; touch " +
                             folder_.file("once"));
  EXPECT_EQ(outcome_.signal, SIGTERM);
  EXPECT_EQ(content_.trials.size(), 1U);
  EXPECT_EQ(content_.header["left_out"][0]["why"], "the run was interrupted");
}

TEST_F(Runner, ShowsGoogleBenchmarksJsonWithNamesMended) {
  options_.display.format = DisplayFormat::json;
  testing::internal::CaptureStdout();
  run({planned("a", 2, 1)}, "");
  const json shown = json::parse(testing::internal::GetCapturedStdout());
  std::multiset<std::string> names;
  for (const json& one : shown["benchmarks"]) {
    names.insert(one["name"].get<std::string>());
    EXPECT_NEAR(one["real_time"].get<double>(), 2e7, 1);
    EXPECT_NEAR(one["items_per_second"].get<double>(), 50, 1e-6);
    EXPECT_EQ(one["threads"], 1);
  }
  EXPECT_EQ(names,
            (std::multiset<std::string>{"local/a/compact/threads:1", "local/a/compact/threads:1",
                                        "local/a/compact/threads:1/latency"}));
  EXPECT_NE(shown["context"]["library_build_type"], "debug");
  EXPECT_EQ(errors_.find("DEBUG"), std::string::npos);
}

TEST_F(Runner, RunsCaseByCaseWhenNotInterleaved) {
  options_.order = TrialOrder::by_case;
  run({planned("a", 3), planned("b", 3)}, "");
  std::string order;
  for (const json& trial : content_.trials) order += trial["case"]["scheme"].get<std::string>();
  EXPECT_EQ(order, "aaabbb");
}

TEST_F(Runner, GivesEveryTrialASeedOfItsOwn) {
  run({planned("a", 4)},
      "echo \"$spec\" | sed 's/.*\"seed\"://; s/,.*//' >>" + folder_.file("seeds"));
  std::ifstream seeds(folder_.file("seeds"));
  std::set<std::string> distinct;
  for (std::string seed; std::getline(seeds, seed);) distinct.insert(seed);
  EXPECT_EQ(distinct.size(), 4U);
}

}  // namespace
}  // namespace faultline
