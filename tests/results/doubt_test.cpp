#include "results/doubt.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <sstream>

#include "results/summary.hpp"
#include "results/writer.hpp"
#include "tests/results/sample.hpp"

namespace faultline {
namespace {

using nlohmann::json;

/** The results of one simulated case of two threads, with a trial for each rate. */
json results_of(const std::vector<double>& rates,
                const std::function<void(json&, std::size_t)>& change = {}) {
  const sample::Shape shape{.mode = "sim"};
  JournalContent content{sample::header(shape), {}, false};
  std::mt19937_64 random(1);
  for (std::size_t i = 0; i < rates.size(); ++i) {
    json record = sample::trial({"mix", "mmap_sem", 2}, static_cast<int>(i), false, shape, random);
    sample::make_simulated(record);
    record["rate"] = rates[i];
    record["kinds"] = {{"fault", {{"count", 9}, {"errors", 0}, {"rate", rates[i]}}}};
    if (change) change(record, i);
    content.trials.push_back(std::move(record));
  }
  return build_results(content, "here");
}

json case_of(const json& results) {
  return results.at("faultline").at("cases").at(0);
}

json doubts(const std::vector<double>& rates,
            const std::function<void(json&, std::size_t)>& change = {}) {
  return case_of(results_of(rates, change)).value("doubtful", json::array());
}

TEST(Doubts, ASettledCaseOfOneModeHasNone) {
  EXPECT_EQ(doubts({100, 110, 120, 105}), json::array());
}

TEST(Doubts, ATrialThatHitTheCapOfItsWarmUpIsUnsettledAndNeverSettled) {
  const json found = doubts({100, 110, 120}, [](json& record, std::size_t i) {
    if (i == 1) record.update({{"warmup_s", 0.128}, {"settled", false}, {"drift", 0.12}});
  });
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0]["kind"], "unsettled");
  EXPECT_EQ(found[0]["why"],
            "1 of 3 trials had not settled after a warm-up of 128 ms: throughput still changed by "
            "12 % from window to window");
}

TEST(Doubts, ALatencyTrialCanBeUnsettledToo) {
  const json found = doubts({100, 110}, [](json& record, std::size_t i) {
    if (i == 1) record.update({{"latency", true}, {"settled", false}});
  });
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0]["kind"], "unsettled");
}

TEST(Doubts, OneThreadThatDoesMoreThanFourFifthsIsOne) {
  const auto divide = [](int one, int other) {
    return [one, other](json& record, std::size_t) {
      record["threads"][0]["operations"] = one;
      record["threads"][1]["operations"] = other;
    };
  };
  const json found = doubts({100, 110}, divide(95, 5));
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0]["kind"], "one_thread");
  EXPECT_EQ(found[0]["why"], "one thread did up to 95 % of the operations in 2 of 2 trials");
  EXPECT_EQ(doubts({100, 110}, divide(70, 30)), json::array());
}

TEST(Doubts, ThreadsOfOtherRolesDoOtherWork) {
  EXPECT_EQ(doubts({100, 110},
                   [](json& record, std::size_t) {
                     record["threads"][0].update({{"role", "faulters"}, {"operations", 1000}});
                     record["threads"][1].update({{"role", "updaters"}, {"operations", 1}});
                   }),
            json::array());
}

TEST(Doubts, TwoModesAreReportedAndNoMedianBetweenThem) {
  const json one = case_of(results_of({100, 300, 102, 310, 101, 305, 303}));
  ASSERT_EQ(one["doubtful"].size(), 1u);
  EXPECT_EQ(one["doubtful"][0]["kind"], "modes");
  EXPECT_EQ(one["doubtful"][0]["why"],
            "its seeds fall into two modes: 101 operations/s (3 seeds) and 304 operations/s (4 "
            "seeds)");
  const json& throughput = one["throughput"];
  EXPECT_EQ(throughput["modes"], (json{{{"median", 101.0}, {"repetitions", 3}},
                                       {{"median", 304.0}, {"repetitions", 4}}}));
  EXPECT_EQ(throughput["median"], 304.0);
  EXPECT_GE(throughput["low"], 300.0);
  EXPECT_EQ(throughput["repetitions"].size(), 7u);
  EXPECT_EQ(one["kinds"]["fault"]["rate"]["median"], 304.0);
  EXPECT_EQ(one["sim"]["seeds"], (json{2, 4, 6, 7}));
}

TEST(Doubts, OfTwoEqualModesTheSlowerStandsForTheCase) {
  EXPECT_EQ(case_of(results_of({100, 300, 102, 310}))["throughput"]["median"], 101.0);
}

TEST(Doubts, FewSeedsThatAreFarApartTellNoModes) {
  const json found = doubts({100, 101, 300});
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0]["kind"], "spread");
  EXPECT_EQ(found[0]["why"],
            "its 3 seeds differ by a factor of 3.0, and fewer than 4 cannot show whether they fall "
            "into modes");
  EXPECT_EQ(doubts({100, 101, 150}), json::array());
}

TEST(Doubts, AMeasuredCaseHasNone) {
  const sample::Shape shape{.repetitions = 4};
  JournalContent content{sample::header(shape), {}, false};
  std::mt19937_64 random(1);
  for (int i = 0; i < 4; ++i) {
    content.trials.push_back(sample::trial({"mix", "mmap_sem", 2}, i, false, shape, random));
    content.trials.back()["rate"] = i % 2 == 0 ? 100.0 : 300.0;
    content.trials.back()["threads"][0]["operations"] = 0;
  }
  const json one = case_of(build_results(content, "here"));
  EXPECT_FALSE(one.contains("doubtful"));
  EXPECT_EQ(one["throughput"]["median"], 200.0);
}

TEST(Doubts, ARecordOfAnOlderVersionHasNone) {
  EXPECT_EQ(doubts({100, 110},
                   [](json& record, std::size_t) {
                     for (const char* key : {"warmup_s", "settled", "drift"}) record.erase(key);
                   }),
            json::array());
}

TEST(Doubts, TheTableMarksTheCaseAndSaysWhy) {
  std::ostringstream out;
  print_summary(out, results_of({100, 300, 102, 310}));
  for (const char* part : {"2 x 101, 2 x 305 ?", "1 of 1 cases are doubtful, which a ? marks",
                           "doubtful: 1 case, such as mix/mmap_sem/compact/threads:2/on:testbox: "
                           "its seeds fall into two modes"})
    EXPECT_NE(out.str().find(part), std::string::npos) << part << '\n' << out.str();
}

}  // namespace
}  // namespace faultline
