// Every row of the table of axes appears wherever cases are named, written, read and told apart.
#include "harness/case/axes.hpp"

#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <set>
#include <stdexcept>

#include "harness/case/candidates.hpp"
#include "harness/case/spec.hpp"
#include "harness/cli/run_arguments.hpp"
#include "results/case_axes.hpp"
#include "results/native_and_simulated.hpp"

namespace faultline {
namespace {

using nlohmann::json;

CaseSpec plain(bool simulated) {
  CaseSpec spec;
  spec.workload = "local";
  spec.scheme = "mmap_sem";
  spec.placement = "compact";
  spec.cpus = {0};
  if (simulated) spec.machine = "e7-8870";
  return spec;
}

// Every value but the default. An axis of any text has one example.
std::vector<std::string> others(const Axis& row) {
  if (row.is_text()) return {"faulters:1,updaters:0"};
  std::vector<std::string> values;
  for (const AxisValue& value : row.values)
    if (value.text != row.usual()) values.emplace_back(value.text);
  return values;
}

std::string refusal(auto&& call) {
  try {
    call();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "";
}

// The "faultline" part of a result with this one case, measured, or simulated on a machine that was
// calibrated on the same host.
json part_with(const json& one, bool simulated) {
  json described = one;
  described["throughput"] = {{"median", 1.0}, {"repetitions", {1.0, 1.0}}};
  json part = {{"mode", simulated ? "sim" : "native"}, {"machine", {{"host", "here"}}}};
  part["cases"] = json::array({described});
  part["machine"]["cpu_model"] = "cpu";
  if (simulated) {
    json model = {{"name", "e7-8870"}};
    model["calibrated"] = part["machine"];
    part["machine"] = json::object();
    part["machine"]["models"] = json::array({model});
  }
  return part;
}

bool match(const json& native, const json& simulated) {
  return native_and_simulated({part_with(native, false), part_with(simulated, true)})[0].contains(
      "cases");
}

class EveryAxis : public testing::TestWithParam<Axis> {
 protected:
  const Axis& row() const { return GetParam(); }
  bool simulated() const { return row().mode == AxisMode::simulated; }
  CaseSpec with(const std::string& value) const {
    CaseSpec spec = plain(simulated());
    spec.settings.set(row().key, value);
    return spec;
  }
};

TEST_P(EveryAxis, IsAnOptionOfTheCommandLineWithItsValues) {
  for (bool simulated : {false, true}) {
    CLI::App app;
    RunArguments arguments;
    simulated ? add_sim_options(app, arguments) : add_run_options(app, arguments);
    const std::string help = app.help();
    const std::string flag = "--" + row().flag();
    ASSERT_EQ(help.find(flag + " ") != std::string::npos, row().applies(simulated)) << help;
    if (!row().applies(simulated)) continue;
    for (const std::string& value : others(row())) {
      const bool listed = row().is_switch() || row().is_text();
      EXPECT_TRUE(listed || help.find(value) != std::string::npos) << value;
      CLI::App parser;
      RunArguments told;
      simulated ? add_sim_options(parser, told) : add_run_options(parser, told);
      const std::string line = "--workload mix " + flag + (row().is_switch() ? "" : " " + value);
      parser.parse(line);
      EXPECT_EQ(make_selection(told).defaults.value(row().key), value) << line;
    }
  }
}

TEST_P(EveryAxis, StandsInTheNameUnlessItIsTheDefault) {
  const std::string usual = plain(simulated()).name();
  EXPECT_EQ(with(row().usual()).name(), usual);
  std::set<std::string> names = {usual};
  for (const std::string& value : others(row())) {
    EXPECT_TRUE(names.insert(with(value).name()).second) << value;
    EXPECT_NE(with(value).name().find("/" + row().flag()), std::string::npos) << value;
  }
}

TEST_P(EveryAxis, SurvivesJson) {
  for (const std::string& value : others(row())) {
    const json written = with(value);
    ASSERT_TRUE(written.contains(row().key));
    EXPECT_EQ(written.get<CaseSpec>().value(row().key), value);
  }
  json without = plain(simulated());
  without.erase(row().key);
  EXPECT_EQ(without.get<CaseSpec>().value(row().key), row().usual());
}

TEST_P(EveryAxis, RefusesAnotherValueAndSaysWhatItHas) {
  json wrong = plain(simulated());
  wrong[row().key] = 7;
  EXPECT_NE(refusal([&] { wrong.get<CaseSpec>(); }).find(row().key), std::string::npos);
  if (row().is_text()) return;
  const std::string why = refusal([&] { with("no_such"); });
  for (const AxisValue& value : row().values)
    EXPECT_NE(why.find(value.text), std::string::npos) << why;
}

TEST_P(EveryAxis, TellsCasesApartInComparisons) {
  const json all = axes_of({});
  std::set<std::string> keys = {case_key(json(plain(simulated())), all)};
  for (const std::string& value : others(row()))
    EXPECT_TRUE(keys.insert(case_key(json(with(value)), all)).second) << value;
}

TEST_P(EveryAxis, TellsANativeCaseFromASimulatedOne) {
  const json native = plain(false);
  json simulated = plain(true);
  EXPECT_TRUE(match(native, simulated));
  for (const std::string& value : others(row())) {
    simulated[row().key] = row().to_json(value);
    EXPECT_FALSE(match(native, simulated)) << value;
  }
}

TEST_P(EveryAxis, IsDeclaredWithALabelForEveryValue) {
  const json all = axes_json();
  const auto declared = std::find_if(all.begin(), all.end(),
                                     [&](const json& one) { return one["key"] == row().key; });
  ASSERT_NE(declared, all.end());
  std::set<std::string> labels;
  for (const AxisValue& value : row().values)
    EXPECT_TRUE(labels.insert(setting_label(json(with(value.text)), *declared)).second);
  if (!row().is_text()) return;
  EXPECT_NE(setting_label(json(with("x")), *declared).find('x'), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Table, EveryAxis, testing::ValuesIn(axes()),
                         [](const auto& one) { return std::string(one.param.key); });

TEST(Axes, OfANewerVersionsFileTellItsCasesApart) {
  json newer = part_with(plain(false), false);
  newer["axes"] = axes_json();
  newer["axes"].push_back({{"key", "colour"},
                           {"label", "colour"},
                           {"default", "red"},
                           {"before", "grey"},
                           {"picture", "panel"}});
  newer["cases"].push_back(newer["cases"][0]);
  newer["cases"][1]["colour"] = "blue";
  json older = part_with(plain(false), false);
  complete_settings(newer);
  complete_settings(older);
  const json all = axes_of({older, newer});
  const std::set<std::string> keys = {case_key(newer["cases"][0], all),
                                      case_key(newer["cases"][1], all),
                                      case_key(older["cases"][0], all)};
  EXPECT_EQ(keys.size(), 3u) << "red, blue, and grey from before there were colours";
  older["cases"][0]["colour"] = "blue";
  EXPECT_EQ(case_key(older["cases"][0], all), case_key(newer["cases"][1], all));
}

TEST(Axes, ThatAFileDoesNotKnowHaveTheValueFromBeforeThem) {
  json old = part_with(plain(false), false);
  for (const Axis& row : axes()) old["cases"][0].erase(row.key);
  complete_settings(old);
  for (const Axis& row : axes())
    EXPECT_EQ(row.from_json(old["cases"][0][row.key]),
              row.before != nullptr ? row.before : row.usual());
}

TEST(Axes, CombineToEveryCase) {
  const std::vector<Settings> all = combinations(
      {}, {{"page_table", {"shared", "per_cpu"}}, {"shootdown", {"cpumask", "precise"}}});
  std::set<std::string> names;
  for (const Settings& settings : all) {
    CaseSpec spec = plain(false);
    spec.settings = settings;
    names.insert(spec.name());
  }
  EXPECT_EQ(names.size(), 4u);
}

TEST(Axes, OfASuitesEntryAreCasesOfThePlan) {
  Selection selection;
  selection.entries = {{"local", {"mmap_sem"}, {{"page_table", {"shared", "per_cpu"}}}}};
  selection.threads = {2};
  selection.latency_repetitions = 0;
  selection.ceiling = false;
  const Plan plan = make_plan(selection, Topology::foreign("core:2 pu:1"));
  ASSERT_EQ(plan.cases.size(), 2u);
  EXPECT_EQ(plan.cases[1].spec.name(), "local/mmap_sem/compact/threads:2/page-table:per_cpu");
}

}  // namespace
}  // namespace faultline
