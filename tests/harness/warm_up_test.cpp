#include "harness/sim/warm_up.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

namespace faultline {
namespace {

constexpr u64 asked_ns = 1000;

// Runs a warm-up whose windows have the operations that `count` gives for their begin and end, in
// multiples of the asked window. Answers at which time it ended, in the same unit.
double run(WarmUp& warm_up, const std::function<double(double, double)>& count) {
  for (double begin = 0;;) {
    const double end = begin + static_cast<double>(warm_up.window_ns()) / asked_ns;
    if (warm_up.end_window(static_cast<u64>(count(begin, end)))) return end;
    begin = end;
  }
}

TEST(WarmUp, OfASteadyRateTakesFourWindows) {
  WarmUp warm_up(asked_ns, 4);
  EXPECT_EQ(run(warm_up, [](double begin, double end) { return 1e4 * (end - begin); }), 8);
  EXPECT_TRUE(warm_up.settled());
  EXPECT_EQ(warm_up.drift(), 0);
}

TEST(WarmUp, LastsUntilAStartThatDecaysIsOver) {
  const auto count = [](double begin, double end) {
    return 1e4 * (end - begin) + 1e5 * (std::exp(-begin / 3) - std::exp(-end / 3));
  };
  WarmUp warm_up(asked_ns, 4);
  const double ended = run(warm_up, count);
  EXPECT_TRUE(warm_up.settled());
  EXPECT_LT(std::abs(count(ended, ended + 1) / 1e4 - 1), WarmUp::most_drift);
}

TEST(WarmUp, IsNotDeceivedByADriftThatIsSlowFromWindowToWindow) {
  // The rate rises by 3 % in each asked window.
  const auto count = [](double begin, double end) {
    return 1e5 / 0.03 * (std::exp(0.03 * end) - std::exp(0.03 * begin));
  };
  WarmUp warm_up(asked_ns, 4);
  EXPECT_EQ(run(warm_up, count), WarmUp::cap);
  EXPECT_FALSE(warm_up.settled());
  EXPECT_GT(warm_up.drift().value(), 0.5);
}

TEST(WarmUp, IsNotDeceivedByAStartWhoseWindowsAgree) {
  WarmUp warm_up(asked_ns, 4);
  EXPECT_FALSE(warm_up.end_window(1000));
  EXPECT_FALSE(warm_up.end_window(1010));
  EXPECT_NEAR(warm_up.drift().value(), 0.01, 1e-9);
  EXPECT_FALSE(warm_up.end_window(2 * 1010));
  EXPECT_FALSE(warm_up.end_window(4 * 2000));
  EXPECT_FALSE(warm_up.settled());
  EXPECT_TRUE(warm_up.end_window(8 * 2010));
  EXPECT_TRUE(warm_up.settled());
}

TEST(WarmUp, SettlesOnNothingInWindowsOfTooFewOperations) {
  WarmUp few(asked_ns, 10'000);
  // The window of 32 asked ones is the first that is long enough.
  EXPECT_EQ(run(few, [](double begin, double end) { return 400 * (end - begin); }), 64);
  EXPECT_TRUE(few.settled());
  WarmUp none(asked_ns, 4);
  EXPECT_EQ(run(none, [](double, double) { return 0; }), WarmUp::cap);
  EXPECT_FALSE(none.settled());
  EXPECT_FALSE(none.drift());
}

TEST(WarmUp, GivesTheMeasuredWindowTheLengthOfTheLastOne) {
  WarmUp warm_up(asked_ns, 4);
  EXPECT_EQ(warm_up.window_ns(), asked_ns);
  EXPECT_EQ(run(warm_up, [](double begin, double end) { return 1e4 * (end - begin); }), 8);
  EXPECT_EQ(warm_up.window_ns(), 4 * asked_ns);
}

TEST(WarmUp, EndsBeforeTheSimulationsLastTime) {
  WarmUp warm_up(WarmUp::latest_ns / 2, 4);
  EXPECT_TRUE(warm_up.end_window(1000));
  EXPECT_FALSE(warm_up.settled());
  EXPECT_EQ(warm_up.window_ns(), WarmUp::latest_ns / 2);
}

}  // namespace
}  // namespace faultline
