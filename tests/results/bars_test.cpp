// The bars of `faultline fit --bars`.
#include "results/bars.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <stdexcept>

#include "harness/case/suites.hpp"
#include "results/fit.hpp"
#include "tests/paths.hpp"
#include "tests/results/sample.hpp"

namespace faultline {
namespace {

using nlohmann::json;

const std::vector<json> fits = {{{"name", "lines"},
                                 {"systems",
                                  {{{"name", "all_write"}, {"error", {{"mean", 0.04}}}},
                                   {{"name", "all_read"}, {"error", {{"mean", 0.07}}}}}}}};

TEST(Bars, ACurveIsBrokenWhenItsMeanErrorExceedsItsBar) {
  EXPECT_TRUE(broken_bars(fits, {{"lines", {{"all_write", 0.05}, {"all_read", 0.07}}}}).empty());
  EXPECT_EQ(broken_bars(fits, {{"lines", {{"all_write", 0.05}, {"all_read", 0.06}}}}),
            std::vector<std::string>{
                "lines, all_read: 0.070 decades off on average, expected 0.06 at most"});
}

TEST(Bars, ACurveThatNothingSimulatedIsBroken) {
  EXPECT_EQ(
      broken_bars(fits, {{"locks", {{"ticket", 1}}}}),
      std::vector<std::string>{"locks, ticket: no point was simulated, expected one at least"});
}

TEST(Bars, AFileThatHasNoneIsRefusedInOneLineWithPlaceAndWhatWasExpected) {
  const sample::TemporaryDirectory directory;
  const std::string path = directory.file("bars.json");
  const auto refusal = [&](const std::string& text) {
    sample::put_text(path, text);
    try {
      read_bars(path);
    } catch (const std::invalid_argument& error) {
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_EQ(refusal(R"({"bars": {"lines": {"all_write": 0.05}}})"), "");
  for (const auto& [text, place] : std::vector<std::pair<std::string, std::string>>{
           {"{", "no bars, expected"},
           {"{}", "no bars, expected"},
           {R"({"bars": {"lines": 1}})", "bars/lines: no object, expected"},
           {R"({"bars": {"lines": {"all_write": 0}}})", "bars/lines/all_write: 0, expected"},
           {R"({"bars": {"lines": {"all_write": "x"}}})", "bars/lines/all_write: \"x\", expected"}})
    EXPECT_NE(refusal(text).find("bars " + path + ": " + place), std::string::npos)
        << refusal(text);
}

TEST(Bars, OfTheProjectNameCurvesAndAreNamedAfterASuite) {
  const std::vector<std::string> suites = suite_names();
  for (const auto& file : std::filesystem::directory_iterator(FAULTLINE_SOURCE_DIR "/results/bars"))
    for (const auto& [reference, curves] : read_bars(file.path())) {
      EXPECT_EQ(std::count(suites.begin(), suites.end(), file.path().stem().string()), 1);
      const json published = json::parse(
          sample::text_of(FAULTLINE_SOURCE_DIR "/results/reference/" + reference + ".json"));
      for (const auto& [curve, bar] : curves)
        EXPECT_TRUE(published["systems"].contains(curve)) << reference << ", " << curve;
    }
}

}  // namespace
}  // namespace faultline
