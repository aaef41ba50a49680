// The sentences that answer questions come from the numbers: they change with the data.
#include "results/questions.hpp"

#include <gtest/gtest.h>

#include <stdexcept>
#include <utility>

#include "harness/case/suites.hpp"
#include "results/data_files.hpp"
#include "tests/results/sample.hpp"

namespace faultline {
namespace {

using nlohmann::json;

json one_case(const std::string& scheme, int threads, const std::vector<double>& rates) {
  json one = {{"name", scheme},         {"workload", "mix"},
              {"scheme", scheme},       {"threads", threads},
              {"machine", "m"},         {"throughput", {{"repetitions", rates}}},
              {"trials", json::array()}};
  for (const double rate : rates)
    one["trials"].push_back({{"status", "ok"},
                             {"latency", false},
                             {"rate", rate},
                             {"kinds", {{"unmap", {{"rate", rate / 2}}}}}});
  return one;
}

std::vector<double> near(double rate) {
  return {0.99 * rate, rate, 1.01 * rate, rate, 0.995 * rate, 1.005 * rate};
}

json simulated(std::vector<json> cases) {
  return {
      {"mode", "sim"}, {"machine", {{"models", {{{"name", "m"}}}}}}, {"cases", std::move(cases)}};
}

json asked(const std::string& measure = "throughput") {
  const json comparison = {{"what", "a mix"},
                           {"case", {{"workload", "mix"}}},
                           {"base", {{"scheme", "old"}}},
                           {"other", {{"scheme", "new"}}},
                           {"measure", measure}};
  return {{"title", "T"},
          {"source", "S"},
          {"questions", {{{"name", "q"}, {"question", "Q?"}, {"comparisons", {comparison}}}}}};
}

json answer(const json& part, const json& questions = asked()) {
  return answers_of({part}, questions)["questions"][0]["comparisons"][0]["machines"][0];
}

std::string sentence(const json& part, const json& questions = asked()) {
  return answer(part, questions)["sentence"];
}

TEST(Questions, SwappingTheDataOfTwoSchemesTurnsTheSentenceRound) {
  json part = simulated({one_case("old", 8, near(100)), one_case("new", 8, near(200))});
  EXPECT_EQ(answer(part)["points"][0]["verdict"], "higher");
  EXPECT_EQ(sentence(part).find("At 8 CPUs new runs 2 (1."), 0u) << sentence(part);
  const std::string before = sentence(part);
  std::swap(part["cases"][0]["throughput"], part["cases"][1]["throughput"]);
  EXPECT_EQ(answer(part)["points"][0]["verdict"], "lower");
  EXPECT_EQ(sentence(part).find("At 8 CPUs new runs 0.5 (0.4"), 0u) << sentence(part);
  EXPECT_NE(sentence(part), before);
}

TEST(Questions, AnIntervalThatContainsOneDecidesNothing) {
  const json part = simulated({one_case("old", 8, near(100)), one_case("new", 8, near(100.2))});
  EXPECT_EQ(answer(part)["points"][0]["verdict"], "not decided");
  EXPECT_NE(sentence(part).find("not decided which of new and old has the higher throughput"),
            std::string::npos)
      << sentence(part);
}

TEST(Questions, ANumberWithoutAnIntervalSaysSo) {
  const json part = simulated({one_case("old", 8, {100}), one_case("new", 8, {300})});
  EXPECT_EQ(sentence(part),
            "At 8 CPUs new runs 3 times as fast as old, a number without an interval.");
}

TEST(Questions, FewerCpusAreToldByTheirVerdict) {
  const json part = simulated({one_case("old", 1, near(10)), one_case("new", 1, near(8)),
                               one_case("old", 2, near(10)), one_case("new", 2, near(10)),
                               one_case("old", 4, near(10)), one_case("new", 4, near(15)),
                               one_case("old", 8, near(10)), one_case("new", 8, near(30))});
  EXPECT_NE(sentence(part).find("At fewer: higher at 4 (1.5); lower at 1 (0.8); not decided at 2."),
            std::string::npos)
      << sentence(part);
}

TEST(Questions, NativeAndSimulatedAreToldApart) {
  json native = simulated({one_case("old", 2, near(10)), one_case("new", 2, near(20))});
  native["mode"] = "native";
  native["machine"] = {{"cpu_model", "Some CPU"}};
  for (json& one : native["cases"]) one.erase("machine");
  const json part = simulated({one_case("old", 2, near(10)), one_case("new", 2, near(5))});
  const json machines =
      answers_of({native, part}, asked())["questions"][0]["comparisons"][0]["machines"];
  ASSERT_EQ(machines.size(), 2u);
  EXPECT_EQ(machines[0]["where"], "Some CPU, native, file 1");
  EXPECT_EQ(machines[1]["where"], "m, simulated, file 2");
  EXPECT_EQ(machines[0]["sentence"].get<std::string>().find("At 2 threads new runs 2"), 0u);
  EXPECT_EQ(machines[0]["points"][0]["verdict"], "higher");
  EXPECT_EQ(machines[1]["points"][0]["verdict"], "lower");
}

TEST(Questions, ARateOfOneKindOfOperationComesFromTheTrials) {
  const json part = simulated({one_case("old", 8, near(100)), one_case("new", 8, near(200))});
  EXPECT_NE(sentence(part, asked("rate of unmap")).find("times the rate of unmap of old"),
            std::string::npos)
      << sentence(part, asked("rate of unmap"));
}

// Suite lwn-2019 runs one workload with and without roles.
TEST(Questions, ACaseWithAnotherSettingIsNotTakenForTheOneThatIsAsked) {
  std::vector<json> cases = {one_case("old", 8, near(100)), one_case("new", 8, near(200))};
  for (const char* scheme : {"old", "new"}) {
    cases.push_back(one_case(scheme, 8, near(1000)));
    cases.back()["roles"] = "faulters:N-1,updaters:1";
  }
  json part = simulated(cases);
  EXPECT_NEAR(answer(part)["points"][0]["ratio"]["median"].get<double>(), 2, 0.01);
  json questions = asked();
  questions["questions"][0]["comparisons"][0]["case"]["roles"] = "faulters:N-1,updaters:1";
  EXPECT_EQ(answer(part, questions)["points"][0]["verdict"], "not decided");
}

TEST(Questions, CasesThatAllHaveAnotherSettingAreComparedAndSaySo) {
  std::vector<json> cases = {one_case("old", 8, near(100)), one_case("new", 8, near(200))};
  for (json& one : cases) one["layout"] = "packed";
  EXPECT_EQ(answer(simulated(cases))["where"], "m, simulated, layout packed");
}

TEST(Questions, ARepetitionThatCompletedNothingIsToldInsteadOfARatio) {
  json part = simulated({one_case("old", 8, near(100)), one_case("new", 8, near(200))});
  part["cases"][1]["trials"][0]["kinds"].erase("unmap");
  const json told = answer(part, asked("rate of unmap"));
  EXPECT_EQ(told["points"][0]["verdict"], "none completed");
  EXPECT_FALSE(told["points"][0].contains("ratio"));
  EXPECT_EQ(told["sentence"],
            "At 8 CPUs new completed no unmap in 1 of 6 repetitions, and old completed no unmap in "
            "0 of 6 repetitions.");
}

TEST(Questions, CountsAtWhichOneOfTwoWasNotMeasuredAreNamed) {
  json part = simulated({one_case("old", 4, near(10)), one_case("new", 4, near(20)),
                         one_case("old", 8, near(10)), one_case("new", 16, near(20))});
  EXPECT_NE(sentence(part).find("Not measured at 8 and 16."), std::string::npos) << sentence(part);
  EXPECT_EQ(sentence(part, asked("p99 of unmap")), "Not measured at 4, 8 and 16.");
}

TEST(Questions, AMachineInTwoFilesIsToldApartByTheFile) {
  const json part = simulated({one_case("old", 8, near(100)), one_case("new", 8, near(200))});
  const json machines =
      answers_of({part, part}, asked())["questions"][0]["comparisons"][0]["machines"];
  ASSERT_EQ(machines.size(), 2u);
  EXPECT_NE(machines[0]["where"], machines[1]["where"]);
}

TEST(Questions, OversubscribedCasesAreLeftOut) {
  json part = simulated({one_case("old", 8, near(100)), one_case("new", 8, near(200))});
  for (json& one : part["cases"]) one["oversubscribed"] = true;
  EXPECT_TRUE(answers_of({part}, asked()).is_null());
}

TEST(Questions, ATailOfAllTrialsTogetherHasNoInterval) {
  json part = simulated({one_case("old", 8, near(100)), one_case("new", 8, near(200))});
  part["cases"][0]["kinds"]["unmap"]["latency_ns"]["p99"] = 1000;
  part["cases"][1]["kinds"]["unmap"]["latency_ns"]["p99"] = 4000;
  EXPECT_EQ(sentence(part, asked("p99 of unmap")),
            "At 8 CPUs new has 4 times the p99 of unmap of old, a number without an interval.");
}

TEST(Questions, ADoubtfulCaseMakesTheComparisonDoubtful) {
  json part = simulated({one_case("old", 8, near(100)), one_case("new", 8, near(200))});
  part["cases"][1]["doubtful"] = {{{"kind", "unsettled"}, {"why", "its trial had not settled"}}};
  EXPECT_NE(sentence(part).find("Doubtful at 8."), std::string::npos) << sentence(part);
}

TEST(Questions, SharesNameTheGreatestPartAndTheLine) {
  json questions = asked();
  questions["questions"][0]["comparisons"] = json::array();
  questions["questions"][0]["shares"] = {{{"what", "old"}, {"case", {{"scheme", "old"}}}}};
  json part = simulated({one_case("old", 8, near(100))});
  part["cases"][0]["sim"]["time"] = {{"work", 0.1},
                                     {"spinning", 0.2},
                                     {"sleeping", 0.1},
                                     {"shootdown", 0.05},
                                     {"stall", {{"a", 0.05}, {"b", 0.5}}}};
  const auto told = [&] {
    return answers_of({part}, questions)["questions"][0]["shares"][0]["machines"][0]["sentence"]
        .get<std::string>();
  };
  EXPECT_EQ(told(),
            "At 8 CPUs the greatest part of the threads' time is stalls for cache lines: work 10 "
            "%, waiting for "
            "locks 30 %, stalls for cache lines 55 %, shootdowns 5 %; of the lines b stalls them "
            "most, 50 %.");
  part["cases"][0]["sim"]["time"]["stall"]["b"] = 0.1;
  part["cases"][0]["sim"]["time"]["sleeping"] = 0.5;
  EXPECT_NE(told().find("is waiting for locks:"), std::string::npos) << told();
}

TEST(Questions, OfOtherCasesAreNotAnswered) {
  EXPECT_TRUE(answers_of({simulated({one_case("older", 8, near(100))})}, asked()).is_null());
}

TEST(Questions, ThatAreMalformedAreRefused) {
  const json part = simulated({});
  EXPECT_THROW(answers_of({part}, asked("speed")), std::invalid_argument);
  json same = asked();
  same["questions"][0]["comparisons"][0]["other"] = {{"scheme", "old"}};
  EXPECT_THROW(answers_of({part}, same), std::invalid_argument);
}

// Whether an entry of the suite runs this case.
bool is_run(const Suite& suite, const json& wanted) {
  return std::any_of(suite.entries.begin(), suite.entries.end(), [&](const SuiteEntry& entry) {
    if (entry.workload != wanted["workload"]) return false;
    if (std::find(entry.schemes.begin(), entry.schemes.end(), wanted["scheme"]) ==
        entry.schemes.end())
      return false;
    for (const auto& [key, value] : wanted.items()) {
      if (key == "workload" || key == "scheme") continue;
      const std::string text = value.is_boolean() ? (value.get<bool>() ? "on" : "off") : value;
      const auto found = entry.axes.find(key);
      if (found == entry.axes.end()) return false;
      if (std::find(found->second.begin(), found->second.end(), text) == found->second.end())
        return false;
    }
    return true;
  });
}

TEST(Questions, OfTheSummitCompareCasesThatTheirSuiteRuns) {
  const Suite suite = load_suite("lwn-2019");
  const json file = json::parse(sample::text_of(data_file("questions/lwn-2019.json")));
  for (const json& question : file["questions"]) {
    for (const json& comparison : question["comparisons"])
      for (const char* side : {"base", "other"}) {
        json wanted = comparison.value("case", json::object());
        wanted.update(comparison[side]);
        EXPECT_TRUE(is_run(suite, wanted)) << wanted;
      }
    for (const json& shares : question.value("shares", json::array()))
      EXPECT_TRUE(is_run(suite, shares["case"])) << shares["case"];
  }
}

}  // namespace
}  // namespace faultline
