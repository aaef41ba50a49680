// The cases that a plan takes and leaves out, and their order, on machines of many sizes. None of
// them is this machine.
#include "harness/case/plan.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <stdexcept>

#include "harness/case/candidates.hpp"
#include "harness/case/suites.hpp"
#include "harness/run/order.hpp"
#include "tests/paths.hpp"

namespace faultline {
namespace {

constexpr const char* two_cpus = "core:2 pu:1";
constexpr const char* ninety_six = "package:2 [numa] l3:4 core:12 pu:1";
constexpr const char* two_hundred_fifty_six = "package:2 [numa] l3:8 core:8 pu:2";

Selection suite_of(const std::string& name) {
  const Suite suite = load_suite(name);
  Selection selection;
  selection.suite = name;
  selection.entries = suite.entries;
  selection.budget_s = suite.budget_s;
  selection.repetitions = suite.repetitions;
  selection.defaults.duration_s = suite.duration_s;
  selection.defaults.warmup_s = 0.02;
  selection.overhead = [](const CaseSpec& spec) {
    return Overhead{0.02 + 0.001 * spec.threads, 0.1};
  };
  return selection;
}

Selection one(const std::string& workload, std::vector<std::string> schemes) {
  Selection selection;
  selection.entries = {{workload, std::move(schemes)}};
  return selection;
}

std::vector<std::string> names(const Plan& plan) {
  std::vector<std::string> all;
  for (const PlannedCase& planned : plan.cases) all.push_back(planned.spec.name());
  return all;
}

bool has(const Plan& plan, const std::string& name) {
  const std::vector<std::string> all = names(plan);
  return std::find(all.begin(), all.end(), name) != all.end();
}

std::string refusal(const Selection& selection, const char* machine = two_cpus) {
  try {
    make_plan(selection, Topology::foreign(machine));
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "";
}

// The estimate, computed again from the cases alone.
double seconds_of(const Plan& plan, const Selection& selection) {
  double seconds = 0;
  for (const PlannedCase& planned : plan.cases)
    seconds += (planned.spec.warmup_s + planned.spec.duration_s +
                selection.overhead(planned.spec).seconds) *
               (planned.repetitions + planned.latency_repetitions);
  return seconds;
}

class PlanOnMachine : public testing::TestWithParam<std::tuple<const char*, const char*, double>> {
};

TEST_P(PlanOnMachine, KeepsToTheBudgetAndToTheRepetitions) {
  const auto& [machine, suite, budget] = GetParam();
  Selection selection = suite_of(suite);
  selection.budget_s = budget;
  const Plan plan = make_plan(selection, Topology::foreign(machine));
  EXPECT_LE(seconds_of(plan, selection), budget);
  EXPECT_LE(plan.seconds, budget);
  EXPECT_GE(plan.seconds, seconds_of(plan, selection));
  for (const PlannedCase& planned : plan.cases) {
    EXPECT_TRUE(planned.repetitions == 9) << planned.spec.name();
    EXPECT_GE(planned.spec.duration_s, 0.2);
  }
}

TEST_P(PlanOnMachine, SaysWhatItLeavesOutIfAnything) {
  const auto& [machine, suite, budget] = GetParam();
  Selection selection = suite_of(suite);
  selection.budget_s = budget;
  const Topology topology = Topology::foreign(machine);
  const Plan plan = make_plan(selection, topology);
  selection.budget_s = 0;
  const Plan everything = make_plan(selection, topology);
  const auto by_budget = [](const LeftOut& left_out) { return left_out.why.starts_with("budget"); };
  const bool told = std::any_of(plan.left_out.begin(), plan.left_out.end(), by_budget);
  EXPECT_TRUE(told || plan.cases.size() == everything.cases.size());
  EXPECT_TRUE(!told || plan.trials() < everything.trials());
  EXPECT_TRUE(std::none_of(everything.left_out.begin(), everything.left_out.end(), by_budget));
}

INSTANTIATE_TEST_SUITE_P(
    Sizes, PlanOnMachine,
    testing::Combine(testing::Values(two_cpus, ninety_six, two_hundred_fifty_six),
                     testing::Values("quick", "full"), testing::Values(30.0, 120.0, 900.0)));

TEST(Plan, QuickMeasuresEveryWorkloadOnEverySchemeWithinTwoMinutes) {
  for (const char* machine : {two_cpus, ninety_six}) {
    const Selection selection = suite_of("quick");
    const Plan plan = make_plan(selection, Topology::foreign(machine));
    std::set<std::pair<std::string, std::string>> measured;
    for (const PlannedCase& planned : plan.cases)
      if (!planned.spec.is_on("private") && planned.repetitions >= 9)
        measured.insert({planned.spec.workload, planned.spec.scheme});
    for (const SuiteEntry& entry : selection.entries)
      for (const std::string& scheme : entry.schemes)
        EXPECT_TRUE(measured.contains({entry.workload, scheme}))
            << entry.workload << " on " << scheme << ", machine " << machine;
  }
}

TEST(Plan, TakesTheCurveOfTheFirstWorkloadBeforeThatOfOthers) {
  Selection selection = suite_of("quick");
  const Topology topology = Topology::foreign(ninety_six);
  for (double budget : {60.0, 120.0, 180.0, 300.0}) {
    selection.budget_s = budget;
    const Plan plan = make_plan(selection, topology);
    const bool others = has(plan, "local/mmap_sem/compact/threads:1");
    const bool first = has(plan, "page_fault1/mmap_sem/compact/threads:1");
    EXPECT_TRUE(first || !others) << budget;
  }
}

TEST(Plan, ShowsTheEndsOfOneCurveOnTwoCpusWithinTwoMinutes) {
  Selection selection = suite_of("quick");
  selection.overhead = [](const CaseSpec&) { return Overhead{0.035, 0.1}; };
  const Plan plan = make_plan(selection, Topology::foreign(two_cpus));
  for (const char* scheme : {"mmap_sem", "range_lock", "lock_in_tree", "refcount", "linux", "none"})
    EXPECT_TRUE(has(plan, fmt::format("page_fault1/{}/compact/threads:1", scheme))) << scheme;
  EXPECT_TRUE(has(plan, "page_fault1/none/compact/threads:2/private"));
  for (const PlannedCase& planned : plan.cases) {
    const bool contended = planned.spec.threads == 2 && !planned.spec.is_on("private");
    EXPECT_GE(planned.latency_repetitions, contended ? 1U : 0U) << planned.spec.name();
  }
}

TEST(Plan, NamesTheCountsOfWhichTheSameIsLeftOutInOneLine) {
  Selection selection = one("local", {"mmap_sem"});
  selection.ceiling = false;
  selection.latency_repetitions = 0;
  selection.budget_s = 4.5;  // a case takes 9 * 0.35 s
  const Plan plan = make_plan(selection, Topology::foreign("core:8 pu:1"));
  EXPECT_EQ(names(plan), std::vector<std::string>{"local/mmap_sem/compact/threads:8"});
  ASSERT_EQ(plan.left_out.size(), 1U);
  EXPECT_EQ(plan.left_out[0].what, "throughput of local on mmap_sem at 1, 2, 4 thread(s)");
  EXPECT_EQ(plan.left_out[0].why, "budget of 4.5 s");
}

TEST(Plan, InterpolatesWhatATrialCostsBetweenFewestAndMostThreads) {
  Selection selection = one("local", {"mmap_sem"});
  selection.ceiling = false;
  selection.latency_repetitions = 0;
  selection.threads = {1, 5, 9};
  selection.budget_s = 1000;
  std::vector<u32> asked;
  selection.overhead = [&](const CaseSpec& spec) {
    asked.push_back(spec.threads);
    return Overhead{static_cast<double>(spec.threads), 2};
  };
  const Plan plan = make_plan(selection, Topology::foreign("core:16 pu:1"));
  EXPECT_EQ(asked, (std::vector<u32>{9, 1}));
  EXPECT_NEAR(plan.seconds, 4 + 9 * (3 * 0.25 + 1 + 5 + 9), 1e-6);
}

TEST(Plan, RefusesABudgetInWhichNothingFitsAndSaysWhatWould) {
  Selection selection = one("local", {"mmap_sem"});
  selection.budget_s = 0.5;
  EXPECT_EQ(refusal(selection), "budget 0.5 s: not one case fits, expected 3.4 s or more");
}

TEST(Plan, RunsTheSchemeWithoutALockAtOneThreadAlone) {
  Selection selection = one("local", {"none", "mmap_sem"});
  selection.ceiling = false;
  const Plan plan = make_plan(selection, Topology::foreign("core:4 pu:1"));
  EXPECT_TRUE(has(plan, "local/none/compact/threads:1"));
  for (const PlannedCase& planned : plan.cases)
    EXPECT_TRUE(planned.spec.scheme != "none" || planned.spec.threads == 1);
  EXPECT_TRUE(plan.left_out.empty());
}

TEST(Plan, GivesEveryCaseItsLatencyTrialsWithoutABudget) {
  Selection selection = one("local", {"mmap_sem"});
  selection.entries.push_back({"mix", {"mmap_sem"}});
  selection.ceiling = false;
  const Plan plan = make_plan(selection, Topology::foreign("core:4 pu:1"));
  EXPECT_EQ(plan.cases.size(), 6U);
  for (const PlannedCase& planned : plan.cases)
    EXPECT_EQ(planned.latency_repetitions, selection.latency_repetitions) << planned.spec.name();
}

TEST(Plan, ReportsWhatCannotRunAtOneThreadUnlessAnotherCountRuns) {
  Selection selection = one("mix", {"mmap_sem", "mmap_sem:vmas=sorted_array"});
  selection.threads = {1};
  selection.defaults.settings.set("layout", "packed");
  const Plan plan = make_plan(selection, Topology::foreign(two_cpus));
  ASSERT_EQ(plan.left_out.size(), 1U);
  EXPECT_EQ(plan.left_out[0].what, "mix on mmap_sem:vmas=sorted_array at 1 thread(s)");
}

TEST(Plan, RefusesTwoRecordingsThatAResultWouldNameAlike) {
  const std::string folder = testing::TempDir();
  const std::string data = FAULTLINE_SOURCE_DIR "/tests/workloads/data/pack.txt.xz";
  const std::string copy = folder + "/pack.txt.xz";
  std::filesystem::copy_file(data, copy, std::filesystem::copy_options::overwrite_existing);
  Selection selection = one("replay:file=" + data, {"mmap_sem"});
  selection.entries.push_back({"replay:file=" + copy, {"mmap_sem"}});
  EXPECT_NE(refusal(selection).find("expected files with different names"), std::string::npos)
      << refusal(selection);
}

TEST(Plan, PutsTheCeilingBesideEveryCountButOne) {
  const Plan plan = make_plan(one("local", {"mmap_sem"}), Topology::foreign("core:4 pu:1"));
  EXPECT_TRUE(has(plan, "local/none/compact/threads:4/private"));
  EXPECT_TRUE(has(plan, "local/none/compact/threads:2/private"));
  EXPECT_FALSE(has(plan, "local/none/compact/threads:1/private"));
}

TEST(Plan, SaysWhyACaseCannotBe) {
  const Plan plan =
      make_plan(one("page_fault2", {"mmap_sem", "linux"}), Topology::foreign(two_cpus));
  EXPECT_TRUE(has(plan, "page_fault2/linux/compact/threads:2"));
  ASSERT_FALSE(plan.left_out.empty());
  EXPECT_EQ(plan.left_out[0].what, "page_fault2 on mmap_sem at 2 thread(s)");
  EXPECT_NE(plan.left_out[0].why.find("scheme linux alone"), std::string::npos);
}

TEST(Plan, RefusesASelectionOfWhichNothingCanRun) {
  Selection none_at_two = one("local", {"none"});
  none_at_two.threads = {2};
  none_at_two.ceiling = false;
  EXPECT_NE(refusal(none_at_two).find("scheme none is for 1 thread"), std::string::npos);
}

TEST(Plan, RefusesNamesThatDoNotExistBeforeAnythingRuns) {
  EXPECT_NE(refusal(one("no_such", {"mmap_sem"})).find("'no_such'"), std::string::npos);
  EXPECT_NE(refusal(one("local", {"no_such"})).find("'no_such'"), std::string::npos);
  EXPECT_NE(refusal(one("lock_loop", {"mmap_sem"})).find("lock 'mmap_sem'"), std::string::npos);
  EXPECT_NE(refusal(one("local", {})).find("none of the selected schemes"), std::string::npos);
  Selection roles = one("local", {"mmap_sem"});
  roles.entries[0].axes = {{"roles", {"faulters:1,updaters:1"}}};
  EXPECT_NE(refusal(roles).find("roles for workload local"), std::string::npos);
}

TEST(Plan, FiltersAsGoogleBenchmarkDoes) {
  Selection selection = one("local", {"mmap_sem", "refcount"});
  selection.ceiling = false;
  selection.filter = "refcount.*threads:2$";
  EXPECT_EQ(names(make_plan(selection, Topology::foreign(two_cpus))),
            std::vector<std::string>{"local/refcount/compact/threads:2"});
  selection.filter = "-refcount";
  for (const std::string& name : names(make_plan(selection, Topology::foreign(two_cpus))))
    EXPECT_EQ(name.find("refcount"), std::string::npos);
  selection.filter = "nothing-is-called-so";
  EXPECT_NE(refusal(selection).find("matches none"), std::string::npos);
  selection.filter = "[";
  EXPECT_NE(refusal(selection).find("expected a regular expression"), std::string::npos);
}

TEST(Plan, ReplaysOnNoMoreThreadsThanWereRecorded) {
  const Selection selection = suite_of("quick");
  Selection replay = selection;
  std::erase_if(replay.entries,
                [](const SuiteEntry& entry) { return !entry.workload.starts_with("replay:"); });
  replay.budget_s = 0;
  const Plan plan = make_plan(replay, Topology::foreign(two_hundred_fifty_six));
  u32 most = 0;
  for (const PlannedCase& planned : plan.cases) most = std::max(most, planned.spec.threads);
  EXPECT_GE(most, 2U);
  EXPECT_LT(most, 256U);
  EXPECT_TRUE(plan.left_out.empty()) << plan.left_out.front().what;
}

TEST(Plan, MarksMoreThreadsThanCpus) {
  Selection selection = one("local", {"mmap_sem"});
  selection.threads = {2, 4};
  const Plan plan = make_plan(selection, Topology::foreign(two_cpus));
  for (const PlannedCase& planned : plan.cases) {
    EXPECT_EQ(planned.spec.oversubscribed, planned.spec.threads == 4);
    EXPECT_EQ(planned.spec.cpus.size(), planned.spec.threads);
  }
}

TEST(Plan, OrdersCountsByWhatTheyTellOfACurve) {
  EXPECT_EQ(by_importance({1, 2, 4, 8, 16}), (std::vector<u32>{16, 1, 4, 2, 8}));
  EXPECT_EQ(by_importance({3}), std::vector<u32>{3});
}

TEST(Interleave, HasOneRepetitionOfEveryCaseInEachRound) {
  Plan plan;
  for (u32 threads : {1U, 2U, 3U}) {
    PlannedCase planned;
    planned.spec.threads = threads;
    planned.repetitions = 9;
    planned.latency_repetitions = 2;
    plan.cases.push_back(planned);
  }
  const std::vector<PlannedTrial> trials = order_trials(plan, TrialOrder::interleaved, 7);
  ASSERT_EQ(trials.size(), 33U);
  std::map<std::pair<usize, bool>, u32> seen;
  u32 latest = 0;
  for (const PlannedTrial& trial : trials) {
    EXPECT_EQ(trial.repetition, (seen[{trial.of, trial.latency}]++));
    EXPECT_GE(trial.repetition, latest);
    latest = std::max(latest, trial.repetition);
  }
}

TEST(Interleave, FollowsFromTheSeed) {
  Plan plan;
  plan.cases.resize(20);
  for (PlannedCase& planned : plan.cases) planned.repetitions = 3;
  const auto order = [&](u64 seed) {
    std::vector<usize> all;
    for (const PlannedTrial& trial : order_trials(plan, TrialOrder::interleaved, seed))
      all.push_back(trial.of);
    return all;
  };
  EXPECT_EQ(order(1), order(1));
  EXPECT_NE(order(1), order(2));
  const std::vector<usize> once = order(1);
  EXPECT_FALSE(std::is_sorted(once.begin(), once.begin() + 20));
  EXPECT_FALSE(std::equal(once.begin(), once.begin() + 20, once.begin() + 20));
}

}  // namespace
}  // namespace faultline
