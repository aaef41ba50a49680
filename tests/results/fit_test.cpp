#include "results/fit.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <sstream>

#include "harness/case/axes.hpp"
#include "harness/case/names.hpp"
#include "harness/sim/machine/machine.hpp"
#include "results/reader.hpp"
#include "results/writer.hpp"
#include "tests/paths.hpp"
#include "tests/results/sample.hpp"

namespace faultline {
namespace {

using nlohmann::json;

TEST(Fit, ErrorsAreDecadesOverThePointsThatBothHave) {
  const FitError error = error_of({{1, 100}, {2, 100}, {4, 100}}, {{1, 10}, {2, 100}, {8, 5}});
  EXPECT_EQ(error.points, 2u);
  EXPECT_DOUBLE_EQ(error.mean, 0.5);
  EXPECT_DOUBLE_EQ(error.worst, 1);
}

TEST(Fit, EachTrivialModelFitsItsOwnCurve) {
  Curve flat, linear, amdahl;
  for (int n : {1, 10, 40, 80}) {
    flat[n] = 500;
    linear[n] = 30.0 * n;
    amdahl[n] = 1000.0 * n / (1 + 0.1 * (n - 1));
  }
  EXPECT_NEAR(error_of(flat, trivial_models(flat).at("flat")).worst, 0, 1e-9);
  EXPECT_NEAR(error_of(linear, trivial_models(linear).at("linear")).worst, 0, 1e-9);
  EXPECT_NEAR(error_of(amdahl, trivial_models(amdahl).at("Amdahl")).worst, 0, 1e-6);
  EXPECT_GT(error_of(amdahl, trivial_models(amdahl).at("linear")).worst, 0.1);
  EXPECT_EQ(peak_of(amdahl), 80);
  EXPECT_EQ(peak_of(flat), 1);
}

class FitFiles : public testing::Test {
 protected:
  std::string reference(const json& change = json::object()) const {
    json one = {{"source", "made up"},
                {"rung", "address space"},
                {"unit", "pages"},
                {"workload", "local"},
                {"machine", "testbox"},
                {"kind", "fault"},
                {"systems",
                 {{"first",
                   {{"about", "a"},
                    {"case", {{"scheme", "mmap_sem"}, {"shootdown", "cpumask"}}},
                    {"rates", {{"1", 1e6}, {"2", 1e6}, {"4", 1e6}, {"8", 1e7}}}}},
                  {"second",
                   {{"about", "b"},
                    {"case", {{"scheme", "refcount"}}},
                    {"rates", {{"1", 1e5}, {"2", 9e5}}}}},
                  {"third", {{"about", "c"}, {"without_case", "x"}, {"rates", {{"1", 1}}}}}}}};
    one.update(change);
    sample::put_text(directory_.file("reference.json"), one.dump());
    return directory_.file("reference.json");
  }
  std::string simulated() const {
    const sample::Shape shape{.threads = {1, 2, 4}, .repetitions = 2, .mode = "sim"};
    write_results(build_results({sample::header(shape), sample::trials(shape), false}, "here"),
                  directory_.file("s.json"));
    return directory_.file("s.json");
  }
  sample::TemporaryDirectory directory_;
};

TEST_F(FitFiles, TellsErrorsPeaksOrderAndTrivialModels) {
  std::ostringstream out;
  print_fit({simulated()}, {reference()}, out);
  for (const char* part :
       {"published: made up", "simulated on testbox", "first (a), represented by local on mmap_sem",
        "over 3 of 4 points", "flat, fitted to it: 0.00 on average", "not beaten",
        "over 2 of 2 points", "order of the systems",
        "1 CPUs: second > first, published first > second"})
    EXPECT_NE(out.str().find(part), std::string::npos) << part << "\n" << out.str();
  EXPECT_EQ(out.str().find("third"), std::string::npos);
}

TEST_F(FitFiles, TheSameFiguresAreThereForThePage) {
  const json fit = fit_of({load_results(simulated())["faultline"]}, reference());
  EXPECT_EQ(fit["source"], "made up");
  ASSERT_EQ(fit["systems"].size(), 2u);
  const json& first = fit["systems"][0];
  EXPECT_EQ(first["points"].size(), 4u);
  EXPECT_FALSE(first["points"][3].contains("simulated"));
  EXPECT_FALSE(first["points"][3].contains("decades"));
  EXPECT_DOUBLE_EQ(first["points"][1]["decades"].get<double>(),
                   std::log10(first["points"][1]["simulated"]["median"].get<double>() / 1e6));
  EXPECT_EQ(first["error"]["points"], 3);
  EXPECT_EQ(first["peak"]["published"], 1);
  EXPECT_EQ(first["trivial"].size(), 3u);
  EXPECT_EQ(first["linear"], false);
  EXPECT_TRUE(fit["systems"][1]["trivial"].empty());  // over two points
  std::ostringstream out;
  print_fit({directory_.file("s.json")}, {reference()}, out);
  EXPECT_NE(out.str().find(fmt::format("{:.2f} on average", first["error"]["mean"].get<double>())),
            std::string::npos);
}

TEST_F(FitFiles, AFileWithoutPageWritesIsComparedByItsFaults) {
  const std::vector<json> parts = {load_results(simulated())["faultline"]};
  const json by_faults = fit_of(parts, reference());
  ASSERT_EQ(by_faults["systems"].size(), 2u);
  EXPECT_EQ(fit_of(parts, reference({{"kind", "write"}})), by_faults);
}

TEST_F(FitFiles, ADoubtfulPointSaysWhy) {
  const std::string file = simulated();
  json results = load_results(file);
  for (json& one : results["faultline"]["cases"])
    if (one["workload"] == "local" && one["scheme"] == "refcount" && one["threads"] == 2)
      one["doubtful"] = {{{"kind", "unsettled"}, {"why", "it drifts"}}};
  const json fit = fit_of({results["faultline"]}, reference());
  std::vector<int> doubtful;
  for (const json& system : fit["systems"])
    for (const json& point : system["points"])
      if (point.contains("doubtful")) {
        EXPECT_EQ(point["doubtful"], "it drifts");
        doubtful.push_back(point["cpus"].get<int>());
      }
  EXPECT_EQ(doubtful, std::vector<int>{2});
  write_results(results, file);
  std::ostringstream out;
  print_fit({file}, {reference()}, out);
  EXPECT_NE(out.str().find("doubtful: it drifts"), std::string::npos) << out.str();
}

TEST_F(FitFiles, ACurveThatIsItselfLinearIsCalledSo) {
  const json systems = {{"line",
                         {{"about", "a"},
                          {"case", {{"scheme", "mmap_sem"}}},
                          {"rates", {{"1", 1e5}, {"2", 2.1e5}, {"4", 4e5}}}}}};
  const std::string path = reference({{"systems", systems}});
  EXPECT_EQ(fit_of({load_results(simulated())["faultline"]}, path)["systems"][0]["linear"], true);
  std::ostringstream out;
  print_fit({directory_.file("s.json")}, {path}, out);
  EXPECT_NE(out.str().find("not beaten: the curve is itself linear"), std::string::npos)
      << out.str();
}

TEST_F(FitFiles, ASystemMayHaveAWorkloadAndAKindOfItsOwn) {
  const json rates = {{"1", 1e5}, {"2", 2e5}};
  const json of_local = {{"scheme", "mmap_sem"}}, of_other = {{"workload", "line"}};
  const json systems = {
      {"faults", {{"about", "a"}, {"case", of_local}, {"rates", rates}}},
      {"unmaps", {{"about", "b"}, {"kind", "unmap"}, {"case", of_local}, {"rates", rates}}},
      {"other", {{"about", "c"}, {"case", of_other}, {"rates", rates}}}};
  const json fit =
      fit_of({load_results(simulated())["faultline"]}, reference({{"systems", systems}}));
  ASSERT_EQ(fit["systems"].size(), 2U);  // nothing simulated `line`
  const auto simulated_rate = [&](std::size_t system) {
    return fit["systems"][system]["points"][0]["simulated"]["median"].get<double>();
  };
  EXPECT_GT(simulated_rate(0), 5 * simulated_rate(1));
}

TEST_F(FitFiles, OnlyCasesOfTheReferencesPlacementCount) {
  const std::vector<json> parts = {load_results(simulated())["faultline"]};
  EXPECT_EQ(fit_of(parts, reference({{"placement", "compact"}}))["systems"].size(), 2u);
  EXPECT_TRUE(fit_of(parts, reference({{"placement", "smt-first"}}))["systems"].empty());
}

TEST_F(FitFiles, FittedCurvesAndPredictionsStandApart) {
  const json rates = {{"1", 1e5}, {"2", 2e5}};
  const json one = {{"scheme", "mmap_sem"}};
  const json systems = {
      {"tuned", {{"about", "a"}, {"fitted", "memory.*"}, {"case", one}, {"rates", rates}}},
      {"kept", {{"about", "b"}, {"case", one}, {"rates", rates}}}};
  std::ostringstream out;
  print_fit({simulated()}, {reference({{"systems", systems}})}, out);
  const std::string text = out.str();
  const std::size_t fitted = text.find("Development data"), predicted = text.find("Predictions");
  ASSERT_LT(fitted, predicted);
  EXPECT_LT(text.find("tuned", fitted), predicted);
  EXPECT_EQ(text.find("kept", fitted), text.find("kept", predicted));
}

TEST_F(FitFiles, LowerRungsComeFirst) {
  const std::string path = directory_.file("line.json");
  sample::put_text(path, sample::text_of(reference({{"rung", "line"}})));
  const std::vector<json> fits =
      fits_of({load_results(simulated())["faultline"]}, {reference(), path});
  ASSERT_EQ(fits.size(), 2U);
  EXPECT_EQ(fits[0]["rung"], "line");
  EXPECT_EQ(fits[1]["rung"], "address space");
}

TEST_F(FitFiles, ACurveMayHaveAWorkloadOfItsOwnAndOrdersStayWithinAGroup) {
  const auto system = [](const char* group, const char* workload, const char* scheme) {
    return json{{"about", "a"},
                {"group", group},
                {"case", {{"scheme", scheme}, {"workload", workload}}},
                {"rates", {{"1", 1e5}, {"2", 2e5}}}};
  };
  const json systems = {{"first", system("x", "local", "mmap_sem")},
                        {"second", system("y", "local", "refcount")},
                        {"third", system("y", "local", "mmap_sem")},
                        {"other", system("z", "mix", "mmap_sem")}};
  const json fit =
      fit_of({load_results(simulated())["faultline"]}, reference({{"systems", systems}}));
  EXPECT_EQ(fit["systems"].size(), 4u);
  ASSERT_EQ(fit["orders"].size(), 2u);
  EXPECT_EQ(fit["orders"][0]["group"], "y");
}

TEST_F(FitFiles, AChangeIsTheRateAfterOverTheRateBefore) {
  const json changes = {{"told",
                         {{"about", "a"},
                          {"kind", "fault"},
                          {"source", "a commit"},
                          {"published", -0.1},
                          {"case", json::object()},
                          {"before", {{"scheme", "mmap_sem"}}},
                          {"after", {{"scheme", "refcount"}}}}},
                        {"foretold",
                         {{"about", "b"},
                          {"kind", "fault"},
                          {"case", {{"scheme", "mmap_sem"}}},
                          {"before", json::object()},
                          {"after", json::object()}}},
                        {"nowhere",
                         {{"about", "c"},
                          {"kind", "fault"},
                          {"case", {{"workload", "no_such"}}},
                          {"before", {{"scheme", "mmap_sem"}}},
                          {"after", {{"scheme", "refcount"}}}}}};
  const std::string path =
      reference({{"rung", "change"}, {"systems", json::object()}, {"changes", changes}});
  const json fit = fit_of({load_results(simulated())["faultline"]}, path);
  ASSERT_EQ(fit["changes"].size(), 2U);
  const json& told = fit["changes"][1];
  EXPECT_EQ(told["published"], -0.1);
  for (const json& point : told["points"])
    EXPECT_DOUBLE_EQ(
        point["change"].get<double>(),
        point["after"]["median"].get<double>() / point["before"]["median"].get<double>() - 1);
  EXPECT_EQ(fit["changes"][0]["points"][0]["change"], 0);
  std::ostringstream out;
  print_fit({directory_.file("s.json")}, {path}, out);
  for (const char* part : {"== change", "published: -10.0 % (a commit)",
                           "a prediction: no figure is published", "after:  local on refcount"})
    EXPECT_NE(out.str().find(part), std::string::npos) << part << "\n" << out.str();
}

TEST(PublishedChanges, NameCasesThatExist) {
  const json reference =
      json::parse(sample::text_of(FAULTLINE_SOURCE_DIR "/results/reference/changes.json"));
  for (const json& change : reference["changes"])
    for (const char* side : {"before", "after"}) {
      json wanted = {{"workload", reference["workload"]}};
      wanted.update(change["case"]);
      wanted.update(change[side]);
      for (const auto& [key, value] : wanted.items()) {
        if (key == "workload")
          EXPECT_EQ(workload_named(value.get<std::string>()).text(), value);
        else if (key == "scheme")
          EXPECT_EQ(scheme_or_lock_named(value.get<std::string>()).text(), value);
        else if (key == "machine")
          EXPECT_NO_THROW(sim::Machine::load(value.get<std::string>()));
        else if (key != "placement") {
          EXPECT_NO_THROW(axis(key).require(axis(key).from_json(value))) << key;
        }
      }
    }
}

TEST(PublishedCurves, NameCasesThatExist) {
  for (const auto& file :
       std::filesystem::directory_iterator(FAULTLINE_SOURCE_DIR "/results/reference")) {
    if (file.path().extension() != ".json") continue;
    EXPECT_NO_THROW(fit_of({}, file.path().string())) << file.path();
    const json reference = json::parse(sample::text_of(file.path().string()));
    for (const json& system : reference["systems"]) {
      if (!system.contains("case")) continue;
      const std::string workload =
          system["case"].value("workload", reference["workload"].get<std::string>());
      const std::string scheme = system["case"]["scheme"];
      EXPECT_EQ(workload_named(workload).text(), workload);
      EXPECT_EQ(scheme_or_lock_named(scheme).text(), scheme);
    }
  }
}

TEST_F(FitFiles, PrintsNothingWhereAFileIsRefused) {
  std::ostringstream out;
  const std::string good = simulated();
  sample::put_text(directory_.file("cut.json"), sample::text_of(good).substr(0, 500));
  EXPECT_THROW(print_fit({good, directory_.file("cut.json")}, {reference()}, out),
               std::invalid_argument);
  EXPECT_EQ(out.str(), "");
}

TEST_F(FitFiles, RefusesWhatIsNoReferenceAndWhatHasNoCaseOfIt) {
  std::ostringstream out;
  const std::string results = simulated();
  EXPECT_THROW(print_fit({results}, {directory_.file("none")}, out), std::invalid_argument);
  EXPECT_THROW(print_fit({results}, {reference({{"systems", 1}})}, out), std::invalid_argument);
  EXPECT_THROW(print_fit({results}, {reference({{"rung", "sky"}})}, out), std::invalid_argument);
  EXPECT_THROW(print_fit({results}, {reference({{"machine", "other"}})}, out),
               std::invalid_argument);
}

}  // namespace
}  // namespace faultline
