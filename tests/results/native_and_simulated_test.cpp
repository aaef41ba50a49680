#include "results/native_and_simulated.hpp"

#include <gtest/gtest.h>

#include "results/writer.hpp"
#include "tests/results/sample.hpp"

namespace faultline {
namespace {

using nlohmann::json;

json part_of(const sample::Shape& shape) {
  return build_results({sample::header(shape), sample::trials(shape), false}, "here")["faultline"];
}

json native(int repetitions = 5) {
  return part_of({.repetitions = repetitions});
}

/** A simulation that is twice as fast, on a model of the host of the native runs unless
 * `calibrated` names another. */
json simulated(const json& calibrated = {{"host", "testhost"},
                                         {"cpu_model", "Test CPU </script> 3000"}}) {
  json part = part_of({.repetitions = 5, .speed = 2, .mode = "sim"});
  if (!calibrated.is_null()) part["machine"]["models"][0]["calibrated"] = calibrated;
  return part;
}

TEST(NativeAndSimulated, TheRatioIsOfTheSameCases) {
  const json part = native();
  const json entries = native_and_simulated({part, simulated()});
  ASSERT_EQ(entries.size(), 1u);
  EXPECT_EQ(entries[0]["machine"], "testbox");
  EXPECT_EQ(entries[0]["host"], "testhost");
  std::size_t comparable = 0;
  for (const json& one : part["cases"]) comparable += one["scheme"] != "linux";
  EXPECT_EQ(entries[0]["cases"].size(), comparable);
  for (const json& one : entries[0]["cases"]) {
    const double ratio =
        one["simulated"]["median"].get<double>() / one["native"]["median"].get<double>();
    EXPECT_DOUBLE_EQ(one["ratio"]["median"].get<double>(), ratio);
    EXPECT_LE(one["ratio"]["low"].get<double>(), ratio);
    EXPECT_GE(one["ratio"]["high"].get<double>(), ratio);
    EXPECT_NEAR(ratio, 2, 0.2);
  }
  EXPECT_NEAR(entries[0]["median"].get<double>(), 2, 0.05);
}

TEST(NativeAndSimulated, TheWorstIsTheFarthestFromOneEitherWay) {
  json part = native();
  for (json& rate : part["cases"][3]["throughput"]["repetitions"]) rate = 10 * rate.get<double>();
  const json entries = native_and_simulated({part, simulated()});
  EXPECT_EQ(entries[0]["worst"]["case"], part["cases"][3]["name"]);
  EXPECT_NEAR(entries[0]["worst"]["ratio"]["median"].get<double>(), 0.2, 0.02);
}

TEST(NativeAndSimulated, OneRepetitionHasARatioAndNoInterval) {
  const json entries = native_and_simulated({native(1), simulated()});
  EXPECT_FALSE(entries[0]["cases"][0]["ratio"].contains("low"));
  EXPECT_FALSE(entries[0]["cases"][0]["native"].contains("low"));
  EXPECT_TRUE(entries[0]["cases"][0]["simulated"].contains("low"));
}

TEST(NativeAndSimulated, AnotherHostOrProcessorIsNotComparedAndSaysWhy) {
  for (const char* key : {"host", "cpu_model"}) {
    json other = simulated();
    other["machine"]["models"][0]["calibrated"][key] = "elsewhere";
    const json entries = native_and_simulated({native(), other});
    ASSERT_EQ(entries.size(), 1u);
    EXPECT_FALSE(entries[0].contains("cases"));
    EXPECT_NE(entries[0]["why_not"].get<std::string>().find("elsewhere"), std::string::npos);
  }
}

TEST(NativeAndSimulated, OtherOptionsAreAnotherCase) {
  json other = simulated();
  for (json& one : other["cases"]) one["shootdown"] = "precise";
  const json entries = native_and_simulated({native(), other});
  ASSERT_EQ(entries.size(), 1u);
  EXPECT_NE(entries[0]["why_not"].get<std::string>().find("no case was both"), std::string::npos);
}

TEST(NativeAndSimulated, APageTableACpuAndKernelEntryAreOtherCases) {
  for (const auto& [key, value] : {std::pair<std::string, json>{"page_table", "per_cpu"},
                                   std::pair<std::string, json>{"kernel_entry", true}}) {
    json other = simulated();
    for (json& one : other["cases"]) one[key] = value;
    EXPECT_FALSE(native_and_simulated({native(), other})[0].contains("cases")) << key;
  }
}

TEST(NativeAndSimulated, APresetIsComparedWithNothing) {
  EXPECT_TRUE(native_and_simulated({native(), simulated(nullptr)}).empty());
  EXPECT_TRUE(native_and_simulated({simulated()}).empty());
  EXPECT_TRUE(native_and_simulated({native()}).empty());
}

}  // namespace
}  // namespace faultline
