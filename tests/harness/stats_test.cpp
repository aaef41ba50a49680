#include "harness/stats/stats.hpp"

#include <gtest/gtest.h>

#include <numeric>
#include <random>

#include "harness/stats/histogram.hpp"

namespace faultline {
namespace {

using Values = std::vector<double>;

Values normal_values(std::size_t count, double mean, double deviation, std::mt19937_64& random) {
  std::normal_distribution<double> normal(mean, deviation);
  Values values(count);
  for (double& value : values) value = normal(random);
  return values;
}

TEST(Stats, MedianIsTheMiddleOrTheMeanOfTheTwoMiddleValues) {
  EXPECT_EQ(median(Values{3, 1, 2}), 2);
  EXPECT_EQ(median(Values{4, 1, 3, 2}), 2.5);
  EXPECT_THROW(median(Values{}), std::invalid_argument);
}

TEST(Stats, QuantileInterpolatesBetweenNeighbours) {
  EXPECT_EQ(quantile(Values{10, 0}, 0.25), 2.5);
  EXPECT_EQ(quantile(Values{1, 2, 3, 4, 5}, 1), 5);
  EXPECT_THROW(quantile(Values{1}, 1.5), std::invalid_argument);
}

TEST(Stats, BootstrapIntervalIsTheSameForTheSameSeed) {
  const Values values = {9, 2, 7, 4, 5, 6, 3, 8, 1};
  const Estimate one = bootstrap_median(values);
  const Estimate again = bootstrap_median(values);
  EXPECT_EQ(one.low, again.low);
  EXPECT_EQ(one.high, again.high);
  EXPECT_EQ(one.median, 5);
  EXPECT_LT(one.low, 5);
  EXPECT_GT(one.high, 5);
}

TEST(Stats, BootstrapIntervalCoversTheTrueMedianAboutAsOftenAsItSays) {
  std::mt19937_64 random(7);
  int covered = 0;
  for (int i = 0; i < 400; ++i) {
    const Estimate one =
        bootstrap_median(normal_values(21, 100, 5, random), {.resamples = 400, .seed = random()});
    covered += one.low <= 100 && 100 <= one.high;
  }
  EXPECT_GE(covered, 400 * 0.90);
  EXPECT_LE(covered, 400 * 0.99);
}

TEST(Stats, BootstrapRatioIsChangedOverBase) {
  const Estimate ratio = bootstrap_ratio(Values{10, 10, 10}, Values{5, 5, 5});
  EXPECT_EQ(ratio.median, 0.5);
  EXPECT_EQ(ratio.low, 0.5);
  EXPECT_EQ(ratio.high, 0.5);
  EXPECT_THROW(bootstrap_ratio(Values{0, 1}, Values{1}), std::invalid_argument);
}

// The expected values are those of scipy 1.10: mannwhitneyu(a, b, alternative="two-sided"), with p
// by method "exact" and, for ties, "asymptotic".
TEST(MannWhitney, AgreesWithScipyWithoutTies) {
  const RankTest test =
      mann_whitney(Values{1.1, 2.2, 3.3, 4.4, 5.5}, Values{2.0, 3.0, 6.0, 7.0, 8.0, 9.0});
  EXPECT_TRUE(test.exact);
  EXPECT_EQ(test.u, 7);
  EXPECT_NEAR(test.p, 0.17748917748917747, 1e-12);
}

TEST(MannWhitney, AgreesWithScipyWithTies) {
  const RankTest test = mann_whitney(Values{1, 2, 2, 3, 4, 5}, Values{2, 4, 4, 5, 6, 7, 8});
  EXPECT_FALSE(test.exact);
  EXPECT_NEAR(test.p, 0.06003496114847444, 1e-12);
}

TEST(MannWhitney, AgreesWithScipyOnLargeSamples) {
  Values a(60);
  std::iota(a.begin(), a.end(), 0.0);
  Values b(50);
  for (std::size_t i = 0; i < b.size(); ++i) b[i] = 1.5 * static_cast<double>(i) + 0.25;
  const RankTest test = mann_whitney(a, b);
  EXPECT_FALSE(test.exact);
  EXPECT_NEAR(test.p, 0.07219298699319744, 1e-12);
}

TEST(MannWhitney, ReachesItsSmallestPWhenTheSamplesDoNotOverlap) {
  EXPECT_NEAR(
      mann_whitney(Values{1, 2, 3, 4, 5, 6, 7, 8, 9}, Values{11, 12, 13, 14, 15, 16, 17, 18, 19}).p,
      2.0 / 48620, 1e-15);
  EXPECT_NEAR(smallest_p(9, 9), 2.0 / 48620, 1e-15);
  EXPECT_EQ(smallest_p(1, 1), 1);
  EXPECT_NEAR(smallest_p(3, 3), 0.1, 1e-12);
}

TEST(MannWhitney, SaysNothingOfEqualValuesAndEmptySamples) {
  EXPECT_EQ(mann_whitney(Values{5, 5, 5}, Values{5, 5}).p, 1);
  EXPECT_EQ(mann_whitney(Values{}, Values{5, 5}).p, 1);
}

TEST(Holm, MultipliesStepByStepAndStaysMonotonous) {
  const Values corrected = holm(Values{0.01, 0.04, 0.03, 0.005});
  EXPECT_DOUBLE_EQ(corrected[3], 0.02);
  EXPECT_DOUBLE_EQ(corrected[0], 0.03);
  EXPECT_DOUBLE_EQ(corrected[2], 0.06);
  EXPECT_DOUBLE_EQ(corrected[1], 0.06);
  EXPECT_EQ(holm(Values{0.9, 0.8})[0], 1);
}

TEST(Modes, AreTwoIfAClearGapDividesTheValues) {
  using Groups = std::vector<std::vector<double>>;
  EXPECT_EQ(modes(Values{100, 305, 103, 300, 101}), (Groups{{100, 101, 103}, {300, 305}}));
  // The gap is too narrow, or no wider than what lies within a group.
  EXPECT_EQ(modes(Values{100, 101, 120, 121}).size(), 1u);
  EXPECT_EQ(modes(Values{100, 150, 225, 300}).size(), 1u);
}

TEST(Modes, NeedTwoValuesOnEitherSide) {
  EXPECT_EQ(modes(Values{100, 101, 102, 103, 500}).size(), 1u);
  EXPECT_EQ(modes(Values{100, 101, 500}).size(), 1u);
  EXPECT_EQ(modes(Values{0, 0, 5, 5}).size(), 1u);
  EXPECT_EQ(modes(Values{}).size(), 1u);
}

TEST(Jain, IsOneForEqualSharesAndOneOverNForOneThatTakesAll) {
  EXPECT_DOUBLE_EQ(jain(Values{4, 4, 4, 4}), 1);
  EXPECT_DOUBLE_EQ(jain(Values{8, 0, 0, 0}), 0.25);
  EXPECT_DOUBLE_EQ(jain(Values{0, 0}), 1);
}

TEST(HistogramQuantile, IsTheLargestOfItsBucketAndNeverAboveTheMaximum) {
  const Histogram histogram{{{0, 10, 50}, {10, 20, 40}, {20, 40, 10}}, 33};
  EXPECT_EQ(quantile(histogram, 0.5), 9u);
  EXPECT_EQ(quantile(histogram, 0.51), 19u);
  EXPECT_EQ(quantile(histogram, 0.9), 19u);
  EXPECT_EQ(quantile(histogram, 0.99), 33u);
}

TEST(HistogramQuantile, IsAbsentWhenTooFewValuesWereTaken) {
  const Histogram histogram{{{0, 10, 100}}, 9};
  EXPECT_EQ(quantile(histogram, 0.99), 9u);
  EXPECT_EQ(quantile(histogram, 0.999), std::nullopt);
  EXPECT_EQ(quantile(Histogram{}, 0.5), std::nullopt);
}

TEST(HistogramMerge, AddsEqualBucketsAndKeepsTheOthersInOrder) {
  Histogram sum{{{10, 20, 1}}, 15};
  merge(sum, {{{0, 10, 2}, {10, 20, 3}}, 19});
  EXPECT_EQ(sum.buckets, (std::vector<Bucket>{{0, 10, 2}, {10, 20, 4}}));
  EXPECT_EQ(sum.max, 19u);
  EXPECT_EQ(total(sum), 6u);
}

TEST(HistogramMerge, RefusesBucketsCutByAnotherRule) {
  Histogram sum{{{10, 20, 1}}, 15};
  EXPECT_THROW(merge(sum, {{{10, 30, 1}}, 20}), std::invalid_argument);
  EXPECT_THROW(merge(sum, {{{15, 30, 1}}, 20}), std::invalid_argument);
}

}  // namespace
}  // namespace faultline
