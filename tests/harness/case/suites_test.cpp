// The suites that come with the program, and the messages for a wrong suite file.
#include "harness/case/suites.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>

#include "harness/case/candidates.hpp"
#include "harness/case/machines.hpp"
#include "harness/case/names.hpp"
#include "harness/trial/arena.hpp"
#include "tests/paths.hpp"

namespace faultline {
namespace {

using nlohmann::json;

const std::string folder = std::string(FAULTLINE_SOURCE_DIR) + "/workloads/suites/";

const char* a_suite = R"({"summary": "mine", "entries": [
  {"workload": "local", "schemes": ["mmap_sem"], "axes": {"page_table": ["shared", "per_cpu"]}},
  {"workload": "lock_loop", "locks": "all"}]})";

const char* a_ladder = R"({"summary": "mine", "simulated": true, "machines": ["ideal-8"],
  "cpus": [1, 2, 8], "repetitions": 2, "duration_s": 1e-3, "ceiling": false, "latency": false,
  "entries": [
  {"workload": "line", "schemes": ["none"], "machines": ["ideal-32"], "cpus": [1, 20],
   "placement": "scatter", "repetitions": 3, "duration_s": 1e-4, "warmup_s": 0.75},
  {"workload": "lock_loop", "locks": ["ticket"]}]})";

std::string write_suite(const std::string& text) {
  const std::string path = testing::TempDir() + fmt::format("suite-{}.json", getpid());
  std::ofstream(path) << text;
  return path;
}

std::string refusal(const std::string& text) {
  const std::string path = write_suite(text);
  try {
    load_suite(path);
  } catch (const std::invalid_argument& error) {
    const std::string line = error.what();
    EXPECT_NE(line.find(path), std::string::npos) << line;
    EXPECT_EQ(line.find('\n'), std::string::npos) << line;
    return line;
  }
  return "";
}

// The refusal of a suite with the value at `place` replaced.
std::string refusal_with(const std::string& place, const json& value, const char* whole = a_suite) {
  json suite = json::parse(whole);
  suite[json::json_pointer(place)] = value;
  return refusal(suite.dump());
}

TEST(Suites, ThatComeWithTheProgramFollowTheSchema) {
  std::string command =
      fmt::format("/usr/bin/python3 '{}/tests/results/validate.py' '{}schema.json'",
                  FAULTLINE_SOURCE_DIR, folder);
  for (const std::string& name : suite_names())
    command += fmt::format(" '{}{}.json'", folder, name);
  const std::string out = testing::TempDir() + fmt::format("verdicts-{}", getpid());
  ASSERT_EQ(std::system((command + " > '" + out + "'").c_str()), 0);
  std::ifstream verdicts(out);
  usize fits = 0;
  for (std::string line; std::getline(verdicts, line); ++fits) EXPECT_EQ(line, "fits");
  EXPECT_EQ(fits, suite_names().size());
}

TEST(Suites, ThatComeWithTheProgramPlan) {
  const Topology topology = Topology::foreign("package:2 [numa] core:4 pu:1");
  EXPECT_EQ(suite_names(),
            (std::vector<std::string>{"changes", "full", "ladder", "ladder-points", "ladder-short",
                                      "lwn-2019", "quick", "schemes", "sim-quick", "smoke"}));
  for (const std::string& name : suite_names()) {
    const Suite suite = load_suite(name);
    Selection selection;
    selection.entries = suite.entries;
    selection.machines = suite.machines;
    const Plan plan = suite.simulated ? plan_machines(selection) : make_plan(selection, topology);
    std::set<std::string> workloads;
    for (const PlannedCase& planned : plan.cases) {
      workloads.insert(planned.spec.workload);
      EXPECT_NO_THROW(validate(planned.spec)) << name << ": " << planned.spec.name();
    }
    for (const SuiteEntry& entry : suite.entries)
      EXPECT_TRUE(workloads.contains(entry.workload)) << name << ": " << entry.workload;
  }
}

TEST(Suites, QuickIsWhatTheFirstReportShows) {
  const Suite suite = load_suite("quick");
  std::set<std::string> workloads;
  for (const SuiteEntry& entry : suite.entries)
    workloads.insert(entry.workload.substr(0, entry.workload.find(":file=")));
  EXPECT_EQ(workloads, (std::set<std::string>{"page_fault1", "clear_pages", "local", "mix",
                                              "mix:faults=1", "threads", "replay"}));
  EXPECT_GE(suite.repetitions, 9u);
  EXPECT_GE(suite.duration_s, 0.2);
  EXPECT_EQ(suite.budget_s, 120);
}

TEST(Suites, AllIsEverySchemeAndInASimulationWhatCanBeSimulated) {
  json suite = json::parse(a_suite);
  suite["entries"][0]["schemes"] = "all";
  EXPECT_EQ(load_suite(write_suite(suite.dump())).entries[0].schemes, all_contestants(false));
  std::vector<std::string> able = all_contestants(false);
  std::erase_if(able, [](const std::string& name) { return scheme_named(name).is_native_only(); });
  EXPECT_LT(able.size(), all_contestants(false).size());
  suite["simulated"] = true;
  EXPECT_EQ(load_suite(write_suite(suite.dump())).entries[0].schemes, able);
}

TEST(Suites, MostCountsKeepsTheThreadCountsThatShowTheCurve) {
  json suite = json::parse(a_suite);
  suite["most_counts"] = 3;
  EXPECT_EQ(load_suite(write_suite(suite.dump())).most_counts, 3u);
  Selection selection;
  selection.entries = {{"local", {"mmap_sem"}}};
  selection.ceiling = false;
  selection.most_counts = 3;
  const auto counts = [&] {
    std::set<u32> all;
    for (const PlannedCase& planned :
         make_plan(selection, Topology::foreign("package:2 [numa] core:32 pu:1")).cases)
      all.insert(planned.spec.threads);
    return all;
  };
  EXPECT_EQ(counts(), (std::set<u32>{1, 8, 64}));
  selection.threads = {1, 2, 3, 4};  // the user's own counts all stay
  EXPECT_EQ(counts(), (std::set<u32>{1, 2, 3, 4}));
}

// The cases of a suite whose entries have machines and numbers of their own.
TEST(Suites, AnEntryMayHaveItsOwnMachinesCountsPlacementRepetitionsAndWindow) {
  const Suite suite = load_suite(write_suite(a_ladder));
  EXPECT_FALSE(suite.ceiling);
  EXPECT_FALSE(suite.latency);
  Selection selection;
  selection.entries = suite.entries;
  selection.machines = suite.machines;
  selection.repetitions = suite.repetitions;
  selection.defaults.duration_s = suite.duration_s;
  selection.latency_repetitions = 0;
  selection.ceiling = false;
  std::map<std::string, PlannedCase> cases;
  for (const PlannedCase& planned : plan_machines(selection).cases)
    cases[planned.spec.name()] = planned;
  EXPECT_EQ(cases.size(), 5u);
  const PlannedCase& line = cases.at("line/none/scatter/threads:20/on:ideal-32");
  EXPECT_EQ(line.repetitions, 3u);
  EXPECT_EQ(line.spec.duration_s, 1e-4);
  EXPECT_EQ(line.spec.warmup_s, 0.75);
  for (const u32 count : {1, 2, 8}) {
    const PlannedCase& lock =
        cases.at(fmt::format("lock_loop/ticket/compact/threads:{}/on:ideal-8", count));
    EXPECT_EQ(lock.repetitions, 2u);
    EXPECT_EQ(lock.spec.duration_s, 1e-3);
    EXPECT_EQ(lock.spec.warmup_s, selection.defaults.warmup_s);
  }
}

TEST(Suites, AnEntrysCountsBeyondOneOfItsMachinesAreLeftOutThere) {
  json suite = json::parse(a_ladder);
  suite["entries"][0]["machines"] = {"ideal-32", "ideal-16"};
  Selection selection;
  selection.entries = load_suite(write_suite(suite.dump())).entries;
  selection.machines = {"ideal-2"};
  const Plan plan = plan_machines(selection);
  std::set<std::string> left_out;
  for (const LeftOut& one : plan.left_out) left_out.insert(one.what + ": " + one.why);
  EXPECT_EQ(left_out, (std::set<std::string>{"20 CPUs of ideal-16: it has 16",
                                             "8 CPUs of ideal-2: it has 2"}));
}

TEST(Suites, AnEntryWithoutAContestantIsRefusedOnAnyMachine) {
  Selection selection;
  selection.entries = {{"lock_loop", {}}};
  selection.machines = {"ideal-2"};
  EXPECT_THROW(plan_machines(selection), std::invalid_argument);
}

TEST(Suites, DefaultsAreEverySchemeOfTheCatalogueOnce) {
  json suite = json::parse(a_suite);
  suite["entries"][0]["schemes"] = "defaults";
  const SuiteEntry entry = load_suite(write_suite(suite.dump())).entries[0];
  std::vector<std::string> schemes;
  for (const Entry& scheme : catalogue(scheme_family)) schemes.emplace_back(scheme.name);
  EXPECT_EQ(entry.schemes, schemes);
}

// linux-6.18 is refcount.
TEST(Suites, SchemesHasEverySchemeThatCanBeSimulatedAndEveryKernelProfile) {
  std::set<std::string> expected;
  for (const Entry& scheme : catalogue(scheme_family))
    if (!scheme.native_only) expected.insert(scheme.name);
  for (const Profile& profile : profiles)
    if (choose(scheme_family, profile.composition).departures() != 0) expected.insert(profile.name);
  for (const SuiteEntry& entry : load_suite("schemes").entries)
    EXPECT_EQ(std::set<std::string>(entry.schemes.begin(), entry.schemes.end()), expected)
        << entry.workload;
}

TEST(Suites, OfAUserAreReadFromTheirFile) {
  const Suite suite = load_suite(write_suite(a_suite));
  EXPECT_EQ(suite.name, fmt::format("suite-{}", getpid()));
  ASSERT_EQ(suite.entries.size(), 2u);
  EXPECT_EQ(suite.entries[0].axes.at("page_table"),
            (std::vector<std::string>{"shared", "per_cpu"}));
  EXPECT_EQ(suite.entries[1].schemes, all_contestants(true));
}

TEST(Suites, ThatAreNotRightAreRefusedWithFileKeyAndWhatWasExpected) {
  EXPECT_EQ(refusal(a_suite), "");
  EXPECT_NE(refusal("{").find("JSON"), std::string::npos);
  EXPECT_NE(refusal("[]").find("an object"), std::string::npos);
  EXPECT_NE(refusal_with("/sumary", "x").find("sumary: expected no such key"), std::string::npos);
  EXPECT_NE(refusal_with("/summary", 7).find("summary: expected a text"), std::string::npos);
  EXPECT_NE(refusal_with("/entries", json::array()).find("entries: expected"), std::string::npos);
  EXPECT_NE(refusal_with("/repetitions", 0).find("repetitions: expected a whole number from 1"),
            std::string::npos);
  EXPECT_NE(refusal_with("/entries/0/colour", 1).find("entries/0/colour"), std::string::npos);
  EXPECT_NE(refusal_with("/entries/0/workload", "no_such").find("entries/0/workload"),
            std::string::npos);
  EXPECT_NE(refusal_with("/entries/0/schemes", json::array({"no_such"})).find("entries/0/schemes"),
            std::string::npos);
  EXPECT_NE(refusal_with("/entries/0/schemes", "most")
                .find("\"all\", \"defaults\", \"designs\", or a list of schemes"),
            std::string::npos);
  EXPECT_NE(refusal_with("/entries/1/schemes", "all").find("expected locks"), std::string::npos);
  EXPECT_NE(refusal_with("/entries/0/axes/page_table", json::array({"x"})).find("page_table"),
            std::string::npos);
  EXPECT_NE(refusal_with("/entries/0/axes/no_such", json::array({"x"})).find("axes/no_such"),
            std::string::npos);
}

TEST(Suites, MachinesAndCountsThatAreNotRightAreRefused) {
  const auto expect = [](const std::string& place, const json& value, const std::string& refused) {
    const std::string line = refusal_with(place, value, a_ladder);
    EXPECT_NE(line.find(refused), std::string::npos) << line;
  };
  EXPECT_EQ(refusal(a_ladder), "");
  expect("/machines", {"no_such"}, "/machines: machine 'no_such': expected");
  expect("/entries/0/machines", {"no_such"}, "entries/0/machines: machine 'no_such': expected");
  expect("/entries/0/machines", "ideal-8", "entries/0/machines: expected names of machines");
  expect("/entries/0/cpus", {1, 33},
         "entries/0/cpus: expected numbers from 1 to 32, the CPUs of ideal-32, instead of 33");
  expect("/cpus", {9}, "cpus: expected numbers from 1 to 8, the CPUs of ideal-8, instead of 9");
  expect("/entries/0/cpus", {0}, "entries/0/cpus: expected a list of whole numbers from 1");
  expect("/entries/0/cpus", json::array(), "entries/0/cpus: expected a list");
  expect("/entries/0/repetitions", 0, "entries/0/repetitions: expected a whole number from 1");
  expect("/entries/0/duration_s", 0, "entries/0/duration_s: expected a number");
  expect("/entries/0/placement", "near", "entries/0/placement: expected one of compact, scatter");
  expect("/entries/0/warmup_s", -1, "entries/0/warmup_s: expected a number");
  expect("/ceiling", 1, "ceiling: expected true or false");
  expect("/simulated", false, "cpus: expected a suite with \"simulated\": true");
}

TEST(Suites, ThatDoNotExistAreAnsweredWithThoseThatDo) {
  try {
    load_suite("no_such");
    FAIL();
  } catch (const std::invalid_argument& error) {
    EXPECT_NE(std::string(error.what()).find("quick"), std::string::npos);
  }
}

}  // namespace
}  // namespace faultline
