// What `faultline perturb` says of changed constants.
#include "results/shifts.hpp"

#include <gtest/gtest.h>

#include <sstream>

namespace faultline {
namespace {

using nlohmann::json;

// A fit of two curves with two simulated points each, and an error that is as the caller says.
std::vector<json> fits_with(double all_write, double all_read) {
  const auto system = [](const char* name, double rate) {
    return json{{"name", name},
                {"error", {{"mean", rate / 1000}}},
                {"points",
                 {{{"cpus", 1}, {"decades", 0}, {"simulated", {{"median", rate}}}},
                  {{"cpus", 2}, {"decades", 0}, {"simulated", {{"median", 10 * rate}}}},
                  {{"cpus", 3}, {"published", 1}}}}};
  };
  return {{{"rung", "line"},
           {"name", "lines"},
           {"systems", {system("all_write", all_write), system("all_read", all_read)}}}};
}

TEST(Shifts, AreTheMeanOfTheLogarithmsRatioOverTheCurvesPoints) {
  const std::vector<CurveShift> shifts = shifts_between(fits_with(10, 10), fits_with(100, 10));
  ASSERT_EQ(shifts.size(), 2U);
  EXPECT_EQ(shifts[0].curve, "all_read");
  EXPECT_DOUBLE_EQ(shifts[0].distance, 0);
  EXPECT_EQ(shifts[1].curve, "all_write");
  EXPECT_DOUBLE_EQ(shifts[1].shift, 1);
  EXPECT_DOUBLE_EQ(shifts[1].error_change, 0.09);
}

TEST(Shifts, AConstantThatMovesNothingOrOneCurveAloneIsMarked) {
  const auto verdict = [](double all_write, double all_read) {
    return verdict_on(
        {"m", "k", 1, "", shifts_between(fits_with(10, 10), fits_with(all_write, all_read))});
  };
  EXPECT_EQ(verdict(10, 10), "moves nothing");
  EXPECT_EQ(verdict(11, 10), "moves one curve alone: lines, all_write");
  EXPECT_EQ(verdict(11, 9), "");
  EXPECT_EQ(verdict_on({"m", "k", 0, "it is 0", {}}), "");
}

TEST(Shifts, ThePrintedLineHasCurvesMovedShiftAndChangeOfTheError) {
  std::ostringstream out;
  print_shifts(out,
               {{"m", "cpu.pause", 4.5, "", shifts_between(fits_with(10, 10), fits_with(100, 10))},
                {"m", "contention.nearest_share", 0, "it is 0", {}}});
  EXPECT_NE(out.str().find("1/2 +1.00 +0.0"), std::string::npos) << out.str();
  EXPECT_NE(out.str().find("not changed: it is 0"), std::string::npos) << out.str();
}

}  // namespace
}  // namespace faultline
