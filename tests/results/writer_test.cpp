#include "results/writer.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <sstream>

#include "results/reader.hpp"
#include "results/summary.hpp"
#include "tests/paths.hpp"
#include "tests/results/sample.hpp"

namespace faultline {
namespace {

using nlohmann::json;
using sample::put_text;
using sample::TemporaryDirectory;
using sample::text_of;

JournalContent content_of(const sample::Shape& shape) {
  JournalContent content{sample::header(shape), sample::trials(shape), false};
  return content;
}

const json& case_named(const json& results, const std::string& name) {
  for (const json& one : results.at("faultline").at("cases")) {
    if (one.at("name") == name) return one;
  }
  throw std::runtime_error("no case " + name);
}

/** A journal of one case at two threads, whose results can be computed by hand. */
json one_case(const std::function<void(json&, int)>& change, int repetitions = 3) {
  JournalContent content{sample::header({}), {}, false};
  std::mt19937_64 random(1);
  for (int i = 0; i < repetitions; ++i) {
    json record = sample::trial({"local", "mmap_sem", 2}, i, false, {}, random);
    change(record, i);
    content.trials.push_back(std::move(record));
  }
  return build_results(content, "here").at("faultline").at("cases").at(0);
}

/** The schema's verdict on each file: "fits", or what is wrong. */
std::vector<std::string> schema_verdicts(const TemporaryDirectory& directory,
                                         const std::vector<json>& results) {
  const std::string source = FAULTLINE_SOURCE_DIR;
  std::string command = "/usr/bin/python3 '" + source + "/tests/results/validate.py' '" + source +
                        "/results/schema.json'";
  for (std::size_t i = 0; i < results.size(); ++i) {
    const std::string file = directory.file(std::to_string(i) + ".json");
    write_results(results[i], file);
    command += " '" + file + "'";
  }
  const std::string out = directory.file("verdicts");
  EXPECT_EQ(std::system((command + " > '" + out + "'").c_str()), 0);
  std::istringstream lines(text_of(out));
  std::vector<std::string> verdicts;
  for (std::string line; std::getline(lines, line);) verdicts.push_back(line);
  EXPECT_EQ(verdicts.size(), results.size());
  verdicts.resize(results.size());
  return verdicts;
}

TEST(Results, MedianAndIntervalAreOverThroughputTrialsThatEndedOk) {
  const json one = one_case(
      [](json& record, int i) {
        record["rate"] = std::vector<double>{10, 30, 20, 1e9, 1e9}[static_cast<std::size_t>(i)];
        if (i == 3) record["status"] = "discarded";
        if (i == 4) record["latency"] = true;
      },
      5);
  EXPECT_EQ(one.at("throughput").at("median"), 20.0);
  EXPECT_EQ(one.at("throughput").at("repetitions"), (json{10.0, 30.0, 20.0}));
  EXPECT_EQ(one.at("trials").size(), 5u);
  EXPECT_FALSE(one.at("trials").at(0).contains("case"));
}

TEST(Results, OneRepetitionHasNoInterval) {
  const json results = build_results(content_of({.repetitions = 1, .spoiled = false}), "here");
  for (const json& one : results.at("faultline").at("cases"))
    for (const json& estimate :
         {one.at("throughput"), one.at("scaling"), one.at("waiting_share")}) {
      EXPECT_TRUE(estimate.contains("median"));
      EXPECT_FALSE(estimate.contains("low")) << estimate;
      EXPECT_FALSE(estimate.contains("high")) << estimate;
    }
  std::ostringstream summary;
  print_summary(summary, results);
  EXPECT_NE(summary.str().find(" once "), std::string::npos) << summary.str();
  EXPECT_EQ(summary.str().find("\u00b1"), std::string::npos) << summary.str();
}

TEST(Results, ACaseWithoutAnOkTrialHasItsReasonAndNoThroughput) {
  const json one = one_case([](json& record, int) {
    record["status"] = "failed";
    record["reason"] = "killed by signal 11";
  });
  EXPECT_FALSE(one.contains("throughput"));
  EXPECT_EQ(one.at("reason"), "killed by signal 11");
}

TEST(Results, WaitingShareIsOverThreadsTimesWindow) {
  const json one = one_case([](json& record, int) {
    record["window_s"] = 0.2;
    record["threads"][0]["waiting_ns"] = 100000000;
    record["threads"][1]["waiting_ns"] = 0;
  });
  EXPECT_DOUBLE_EQ(one.at("waiting_share").at("median").get<double>(), 0.25);
}

TEST(Results, FairnessComparesThreadsOfOneRoleAndCountsStarvedRepetitions) {
  const json by_role = one_case([](json& record, int) {
    record["threads"][0]["role"] = "faulters";
    record["threads"][1]["role"] = "updaters";
    record["threads"][0]["operations"] = 1000;
    record["threads"][1]["operations"] = 1;
  });
  EXPECT_EQ(by_role.at("fairness").at("jain").at("median"), 1.0);
  const json starved = one_case([](json& record, int i) {
    record["threads"][0]["operations"] = 300;
    record["threads"][1]["operations"] = i == 0 ? 0 : 100;
  });
  EXPECT_EQ(starved.at("fairness").at("starved"), 1);
  EXPECT_EQ(starved.at("fairness").at("max_over_min").at("median"), 3.0);
  EXPECT_DOUBLE_EQ(starved.at("fairness").at("jain").at("low").get<double>(), 0.5);
}

TEST(Results, ARepetitionThatCompletedNoneOfAKindCountsAsNone) {
  const json one = one_case(
      [](json& record, int i) {
        record["threads"][0]["role"] = "faulters";
        record["threads"][1]["role"] = i == 4 ? "faulters" : "updaters";
        record["latency"] = i == 5;
        record["kinds"] = {{"fault", {{"count", 9}, {"rate", 9.0}}}};
        if (i == 0) record["kinds"]["unmap"] = {{"count", 6}, {"rate", 6.0}};
        if (i == 5) record["kinds"]["walk"] = {{"count", 1}, {"rate", 1.0}};
        record["roles"] = {{"faulters", record["kinds"]}, {"updaters", json::object()}};
        if (i < 2) record["roles"]["updaters"]["unmap"] = {{"count", 6}, {"rate", 6.0}};
      },
      6);
  const json& unmap = one.at("kinds").at("unmap");
  EXPECT_EQ(unmap.at("count"), 6);
  EXPECT_EQ(unmap.at("rate").at("median"), 0.0);
  EXPECT_EQ(unmap.at("rate").at("high"), 6.0);
  EXPECT_EQ(one.at("kinds").at("fault").at("rate").at("median"), 9.0);
  EXPECT_FALSE(one.at("kinds").at("walk").contains("rate"));
  // The role had threads in two of the four repetitions.
  EXPECT_EQ(one.at("by_role").at("updaters").at("unmap").at("rate").at("median"), 3.0);
}

TEST(Results, LatencyIsOfTheMergedLatencyTrialsAndTooRarePercentilesAreAbsent) {
  const json one = one_case([](json& record, int i) {
    record["latency"] = i > 0;
    if (i > 0)
      record["kinds"]["fault"]["latency"] = {{"max", 90 + i},
                                             {"buckets", {{0, 50, 90}, {50, 100, 10}}}};
  });
  const json& fault = one.at("kinds").at("fault");
  EXPECT_EQ(fault.at("latency_ns").at("count"), 200);
  EXPECT_EQ(fault.at("latency_ns").at("p50"), 49);
  EXPECT_EQ(fault.at("latency_ns").at("p99"), 92);
  EXPECT_EQ(fault.at("latency_ns").at("max"), 92);
  EXPECT_FALSE(fault.at("latency_ns").contains("p99.9"));
  EXPECT_EQ(fault.at("histogram"), (json{{0, 50, 180}, {50, 100, 20}}));
}

TEST(Results, EventsPerOperationAreAnEstimateOverRepetitions) {
  const json one = one_case([](json& record, int i) {
    record["operations"] = 100;
    record["events"] = {{"steal", std::vector<int>{10, 300, 20}[static_cast<std::size_t>(i)]}};
  });
  const json& steal = one.at("events").at("steal");
  EXPECT_EQ(steal.at("total"), 330);
  EXPECT_EQ(steal.at("per_operation"), (json{{"median", 0.2}, {"low", 0.1}, {"high", 3.0}}));
}

TEST(Results, CountersAreScaledPerOperationAndNeverSummed) {
  const json one = one_case([](json& record, int) {
    record["operations"] = 100;
    record["counters"] = {{"events",
                           {{"a", {{"value", 50}, {"enabled_ns", 200}, {"running_ns", 100}}},
                            {"b", {{"value", 100}, {"enabled_ns", 200}, {"running_ns", 200}}},
                            {"never", {{"value", 0}, {"enabled_ns", 200}, {"running_ns", 0}}}}}};
  });
  const json& events = one.at("counters").at("events");
  EXPECT_EQ(events.size(), 3u);
  EXPECT_EQ(events.at("never"), (json{{"absent", "it never had one of the CPU's counters"}}));
  EXPECT_EQ(events.at("a").at("per_operation").at("median"), 1.0);
  EXPECT_EQ(events.at("a").at("running_share"), 0.5);
  EXPECT_EQ(events.at("b").at("per_operation").at("median"), 1.0);
}

TEST(Results, CountersThatCouldNotBeTakenAreAbsentWithTheirReason) {
  const json one = one_case([](json& record, int) {
    record["counters"] = {{"absent", "paranoid is 3"}};
  });
  EXPECT_EQ(one.at("counters"), (json{{"absent", "paranoid is 3"}}));
}

TEST(Results, AnEventThatSomeRepetitionCountedIsNotAbsent) {
  const json one = one_case([](json& record, int i) {
    json& events = record["counters"] = {{"events", json::object()}};
    events["events"]["refused"] = {{"absent", "too many open files"}};
    events["events"]["once"] = {{"absent", "too many open files"}};
    record["operations"] = 100;
    if (i == 1)
      events["events"]["once"] = {{"value", 50}, {"enabled_ns", 200}, {"running_ns", 200}};
  });
  const json& events = one.at("counters").at("events");
  EXPECT_EQ(events.at("refused"), (json{{"absent", "too many open files"}}));
  EXPECT_EQ(events.at("once").at("per_operation"), (json{{"median", 0.5}}));
}

TEST(Results, GoogleBenchmarksEntriesAreNanosecondsPerOperation) {
  JournalContent content{sample::header({}), {}, false};
  std::mt19937_64 random(1);
  json record = sample::trial({"local", "mmap_sem", 2}, 0, false, {}, random);
  record["rate"] = 2e6;
  record["operations"] = 400000;
  record["software"]["cpu_s"] = 0.2;
  content.trials.push_back(record);
  const json results = build_results(content, "here");
  const json& entry = results.at("benchmarks").at(0);
  EXPECT_DOUBLE_EQ(entry.at("real_time").get<double>(), 500);
  EXPECT_DOUBLE_EQ(entry.at("cpu_time").get<double>(), 500);
  EXPECT_EQ(entry.at("threads"), 2);
  EXPECT_DOUBLE_EQ(
      results.at("faultline").at("cases").at(0).at("software").at("cpu_s").get<double>(), 0.2);
}

TEST(Results, ScalingIsOverTheSameCurveAtOneThread) {
  const json results = build_results(content_of({}), "here");
  const json& two = case_named(results, "local/refcount/compact/threads:2");
  const json& one = case_named(results, "local/refcount/compact/threads:1");
  EXPECT_DOUBLE_EQ(two.at("scaling").at("median").get<double>(),
                   two.at("throughput").at("median").get<double>() /
                       one.at("throughput").at("median").get<double>());
  EXPECT_DOUBLE_EQ(one.at("scaling").at("median").get<double>(), 1);
}

TEST(Results, FailedAndDiscardedTrialsAndWhatWasLeftOutAreListed) {
  JournalContent content = content_of({});
  content.killed = true;
  const json part = build_results(content, "here").at("faultline");
  ASSERT_EQ(part.at("failures").size(), 1u);
  EXPECT_EQ(part.at("failures").at(0).at("stall").at("holding").size(), 1u);
  EXPECT_EQ(part.at("discarded").size(), 1u);
  EXPECT_EQ(part.at("left_out").size(), 2u);
}

TEST(Results, OfAKilledRunSayHowManyOfThePlannedTrialsAreMissing) {
  JournalContent content{sample::header({}), {}, true};
  content.header["planned_trials"] = 9;
  std::mt19937_64 random(1);
  for (const int repetition : {0, 1, 1})
    content.trials.push_back(
        sample::trial({"local", "mmap_sem", 2}, repetition, false, {}, random));
  const auto lost = [&] { return build_results(content, "here").at("faultline").at("left_out"); };
  EXPECT_EQ(lost().back(),
            (json{{"what", "7 of 9 trials"}, {"why", "the run was killed, or its disk was full"}}));
  content.header.erase("planned_trials");
  EXPECT_EQ(lost().back().at("what"), "all after the first 2 trials");
  EXPECT_EQ(build_results(content, "here").at("faultline").at("ended"), false);
  content.killed = false;
  EXPECT_EQ(lost().size(), 1u);
}

TEST(Results, AreTheSameForTheSameJournal) {
  EXPECT_EQ(build_results(content_of({}), "here"), build_results(content_of({}), "here"));
}

TEST(Results, OfARecordWithoutItsPartsAreRefusedWithTheFile) {
  JournalContent content = content_of({});
  content.trials[0].at("case").erase("threads");
  try {
    build_results(content, "some.journal");
    FAIL();
  } catch (const std::invalid_argument& error) {
    EXPECT_NE(std::string(error.what()).find("some.journal"), std::string::npos);
  }
}

TEST(Schema, TakesTheFilesOfRunsWithAndWithoutCounters) {
  const TemporaryDirectory directory;
  const std::vector<json> results = {
      build_results(content_of({.repetitions = 3}), "here"),
      build_results(content_of({.repetitions = 3, .counters = true}), "here"),
      build_results(content_of({.repetitions = 1}), "here"),
      build_results(content_of({.repetitions = 1, .counters = true, .refused_event = true}),
                    "here"),
      build_results(content_of({.repetitions = 3, .mode = "sim"}), "here")};
  json calibrated = results.back();
  calibrated["faultline"]["machine"]["models"][0]["calibrated"] = {{"host", "x"},
                                                                   {"cpu_model", "y"}};
  json& doubtful = calibrated["faultline"]["cases"][0];
  doubtful["doubtful"] = {{{"kind", "modes"}, {"why", "its seeds fall into two modes"}}};
  doubtful["throughput"]["modes"] = {{{"median", 1.5}, {"repetitions", 1}},
                                     {{"median", 3}, {"repetitions", 2}}};
  EXPECT_EQ(schema_verdicts(directory, results), std::vector<std::string>(5, "fits"));
  EXPECT_EQ(schema_verdicts(directory, {calibrated}), std::vector<std::string>(1, "fits"));
}

TEST(Schema, RefusesWhatCouldBeTakenForTheOtherMode) {
  const TemporaryDirectory directory;
  const json native = build_results(content_of({.repetitions = 2}), "here");
  const json simulated = build_results(content_of({.repetitions = 2, .mode = "sim"}), "here");
  std::vector<json> all = {native, native, native, simulated, simulated, simulated};
  all[0]["faultline"]["mode"] = "sim";
  all[1]["faultline"]["cases"][0]["machine"] = "e7-8870";
  all[2]["faultline"]["cases"][0]["sim"] = simulated["faultline"]["cases"][0]["sim"];
  all[3]["faultline"]["mode"] = "native";
  all[4]["faultline"]["cases"][0].erase("machine");
  all[5]["faultline"]["date"] = "2026-11-24T02:30:00Z";
  for (const std::string& verdict : schema_verdicts(directory, all)) EXPECT_NE(verdict, "fits");
}

TEST(Results, SimulatedTransfersArePerOperationAndTimesAreShares) {
  json results =
      build_results(content_of({.repetitions = 3, .spoiled = false, .mode = "sim"}), "x");
  for (const json& one : results["faultline"]["cases"]) {
    const json& sim = one.at("sim");
    EXPECT_EQ(sim.at("seeds"), (json{1, 2, 3}));
    EXPECT_EQ(sim.at("simulated_ms"), 600);
    EXPECT_NEAR(sim["transfers"]["rwsem.count"]["per_operation"].get<double>(), 1, 1e-3);
    EXPECT_NEAR(sim["transfers"]["vma.lock"]["by"]["load"]["cluster"]["cold"].get<double>(), 0.5,
                1e-3);
    EXPECT_EQ(sim["time"]["work"], 0.25);
    EXPECT_EQ(sim["time"]["sleeping"], 0);
    EXPECT_EQ(sim["time"]["stall"], (json{{"rwsem.count", 0.25}, {"vma.lock", 0.25}}));
  }
}

// Concurrent processes end in any order; the file must not depend on it.
TEST(Results, TheOrderInWhichTrialsEndChangesNothing) {
  JournalContent content = content_of({.repetitions = 3, .mode = "sim"});
  const json once = build_results(content, "here");
  std::reverse(content.trials.begin(), content.trials.end());
  EXPECT_EQ(json::diff(build_results(content, "here"), once), json::array());
}

TEST(Schema, RefusesMutatedFiles) {
  const TemporaryDirectory directory;
  const json good = build_results(content_of({.repetitions = 2, .spoiled = false}), "here");
  const std::vector<std::function<void(json&)>> mutations = {
      [](json& r) { r.erase("benchmarks"); },
      [](json& r) { r["benchmarks"][0]["time_unit"] = "us"; },
      [](json& r) { r["faultline"]["schema_version"] = 2; },
      [](json& r) { r["faultline"]["mode"] = "guessed"; },
      [](json& r) { r["faultline"]["extra"] = 1; },
      [](json& r) { r["faultline"]["machine"].erase("cpu_model"); },
      [](json& r) { r["faultline"]["counters"].erase("reason"); },
      [](json& r) { r["faultline"]["cases"][0].erase("throughput"); },
      [](json& r) { r["faultline"]["cases"][0]["throughput"].erase("low"); },
      [](json& r) { r["faultline"]["cases"][0]["threads"] = 0; },
      [](json& r) { r["faultline"]["cases"][0]["counters"] = json::object(); },
      [](json& r) {
        r["faultline"]["cases"][0]["kinds"]["fault"]["histogram"][0] = {1, 2};
      },
      [](json& r) {
        r["faultline"]["cases"][0]["kinds"]["sleep"] = {{"count", 1}, {"errors", 0}};
      },
      [](json& r) { r["faultline"]["cases"][0]["trials"][0]["status"] = "fine"; },
      [](json& r) { r["faultline"]["cases"][0]["no_such_axis"] = "on"; },
      [](json& r) { r["faultline"]["cases"][0]["layout"] = "no_such_value"; },
  };
  std::vector<json> all = {good};
  for (const auto& mutate : mutations) {
    all.push_back(good);
    mutate(all.back());
    ASSERT_NE(all.back(), good);
  }
  const std::vector<std::string> verdicts = schema_verdicts(directory, all);
  EXPECT_EQ(verdicts[0], "fits");
  for (std::size_t i = 1; i < verdicts.size(); ++i)
    EXPECT_NE(verdicts[i], "fits") << "mutation " << i - 1;
}

TEST(GoogleBenchmark, ItsCompareScriptReadsOurFilesAndFindsThePlantedShift) {
  const TemporaryDirectory directory;
  write_results(build_results(content_of({}), "here"), directory.file("base.json"));
  write_results(build_results(content_of({.speed = 0.8, .seed = 2}), "here"),
                directory.file("new.json"));
  const std::string command = "/usr/bin/python3 /usr/share/benchmark/compare.py --no-color -d '" +
                              directory.file("d.json") + "' benchmarks '" +
                              directory.file("base.json") + "' '" + directory.file("new.json") +
                              "' > '" + directory.file("out") + "' 2>&1";
  ASSERT_EQ(std::system(command.c_str()), 0) << text_of(directory.file("out"));
  EXPECT_NE(text_of(directory.file("out")).find("Repetitions: 9 vs 9"), std::string::npos);
  bool seen = false;
  for (const json& one : json::parse(text_of(directory.file("d.json")))) {
    if (one.at("name") != "local/refcount/compact/threads:2") continue;
    seen = true;
    EXPECT_EQ(one.at("measurements").size(), 9u);
    EXPECT_NEAR(one.at("measurements").at(0).at("time").get<double>(), 0.25, 0.1);
    EXPECT_LT(one.at("utest").at("time_pvalue").get<double>(), 0.001);
  }
  EXPECT_TRUE(seen);
}

TEST(Reader, RefusesTruncatedForeignAndOtherVersionsInOneLine) {
  const TemporaryDirectory directory;
  const std::string whole = build_results(content_of({.repetitions = 2}), "here").dump();
  const std::string path = directory.file("r.json");
  const auto message = [&](const std::string& text) -> std::string {
    put_text(path, text);
    try {
      load_results(path);
    } catch (const std::invalid_argument& error) {
      return error.what();
    }
    return "no error";
  };
  const auto expect = [&](const std::string& text, const std::string& part) {
    const std::string got = message(text);
    EXPECT_NE(got.find(part), std::string::npos) << got;
    EXPECT_NE(got.find(path), std::string::npos) << got;
    EXPECT_NE(got.find("expected"), std::string::npos) << got;
    EXPECT_EQ(got.find('\n'), std::string::npos) << got;
  };
  EXPECT_EQ(message(whole), "no error");
  expect("", "truncated JSON");
  expect(whole.substr(0, whole.size() / 2), "truncated JSON");
  expect("hello", "broken JSON");
  expect("[1e999]", "out of range");
  expect("[1, 2]", "foreign JSON");
  expect(R"({"context": {}, "benchmarks": []})", "foreign JSON");
  expect(R"({"faultline": {"schema_version": 7}})", "schema_version 7");
  expect(R"({"faultline": {"schema_version": 1}})", "/faultline/mode is missing");
  json wrong = json::parse(whole);
  wrong["faultline"]["cases"][1]["throughput"]["median"] = "fast";
  expect(wrong.dump(), "/faultline/cases/1/throughput/median is of type string");
}

TEST(Reader, RefusesADamagedCaseByItsPlace) {
  const TemporaryDirectory directory;
  const json whole = build_results(content_of({.repetitions = 2, .counters = true}), "here");
  const std::string path = directory.file("r.json");
  const auto expect = [&](const std::string& part, const std::function<void(json&)>& damage) {
    json damaged = whole;
    damage(damaged["faultline"]);
    put_text(path, damaged.dump());
    try {
      load_results(path);
      ADD_FAILURE() << "no error, expected " << part;
    } catch (const std::invalid_argument& error) {
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
  };
  const std::string one = "/faultline/cases/0/";
  expect("/faultline/failures/0/repetition is missing", [](json& part) {
    part["failures"] = {{{"case", "local"}, {"reason", "it crashed"}}};
  });
  expect(one + "threads is no whole number", [](json& part) { part["cases"][0]["threads"] = 1.5; });
  expect(one + "private is of type string",
         [](json& part) { part["cases"][0]["private"] = "yes"; });
  expect(one + "throughput/repetitions is empty",
         [](json& part) { part["cases"][0]["throughput"]["repetitions"] = json::array(); });
  expect(one + "events is missing", [](json& part) { part["cases"][0].erase("events"); });
  expect(one + "events/x is of type null", [](json& part) { part["cases"][0]["events"]["x"]; });
  expect(one + "events/x/per_operation is of type number",
         [](json& part) { part["cases"][0]["events"]["x"]["per_operation"] = 1; });
  expect(one + "counters is missing", [](json& part) { part["cases"][0].erase("counters"); });
  expect(one + "counters/events/x is of type null",
         [](json& part) { part["cases"][0]["counters"]["events"]["x"]; });
  expect(one + "fairness/jain is missing",
         [](json& part) { part["cases"][0]["fairness"].erase("jain"); });
  expect(one + "fairness/jain/median is missing",
         [](json& part) { part["cases"][0]["fairness"]["jain"] = json::object(); });
  expect(one + "waiting_share/median is of type string", [](json& part) {
    part["cases"][0]["waiting_share"] = {{"median", "much"}};
  });
  expect(one + "kinds/fault is of type null",
         [](json& part) { part["cases"][0]["kinds"]["fault"] = nullptr; });
  expect(one + "by_role/all/fault is of type null",
         [](json& part) { part["cases"][0]["by_role"]["all"]["fault"]; });
  expect("/faultline/left_out/0 is no entry", [](json& part) { part["left_out"][0] = nullptr; });
  expect("/faultline/failures/0/reason is missing",
         [](json& part) { part["failures"][0].erase("reason"); });
  expect("/faultline/failures/0/stall/holding is of type string",
         [](json& part) { part["failures"][0]["stall"]["holding"] = "thread 0"; });
}

TEST(Reader, RefusesADamagedSimulationByItsPlace) {
  const TemporaryDirectory directory;
  const json whole = build_results(content_of({.repetitions = 2, .mode = "sim"}), "here");
  const auto expect = [&](const std::string& part, const std::function<void(json&)>& damage) {
    json damaged = whole;
    damage(damaged["faultline"]);
    put_text(directory.file("r.json"), damaged.dump());
    try {
      load_results(directory.file("r.json"));
      ADD_FAILURE() << "no error, expected " << part;
    } catch (const std::invalid_argument& error) {
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
      EXPECT_NE(std::string(error.what()).find("r.json"), std::string::npos) << error.what();
    }
  };
  const std::string sim = "/faultline/cases/0/sim";
  expect(sim + " is of type null", [](json& part) { part["cases"][0]["sim"] = nullptr; });
  expect("/faultline/cases/0/machine is missing",
         [](json& part) { part["cases"][0].erase("machine"); });
  expect(sim + "/time is missing", [](json& part) { part["cases"][0]["sim"].erase("time"); });
  expect(sim + "/time/work is of type string",
         [](json& part) { part["cases"][0]["sim"]["time"]["work"] = "much"; });
  expect(sim + "/time/stall is of type array",
         [](json& part) { part["cases"][0]["sim"]["time"]["stall"] = json::array(); });
  expect(sim + "/time/stall/vma.lock is of type null",
         [](json& part) { part["cases"][0]["sim"]["time"]["stall"]["vma.lock"] = nullptr; });
  expect(sim + "/transfers/vma.lock/per_operation is missing", [](json& part) {
    part["cases"][0]["sim"]["transfers"]["vma.lock"].erase("per_operation");
  });
  expect(sim + "/transfers/vma.lock/by/load/cluster/cold is of type string", [](json& part) {
    part["cases"][0]["sim"]["transfers"]["vma.lock"]["by"]["load"]["cluster"]["cold"] = "x";
  });
  expect("/faultline/machine/models/0/constants/0/origin is missing",
         [](json& part) { part["machine"]["models"][0]["constants"][0].erase("origin"); });
  expect("/faultline/seeds is empty", [](json& part) { part["seeds"] = json::array(); });
  expect("/faultline/cases/0/notes/0 is of type number",
         [](json& part) { part["cases"][0]["notes"] = {1}; });
  expect("/faultline/cases/0/doubtful/0/why is missing", [](json& part) {
    part["cases"][0]["doubtful"] = {{{"kind", "modes"}}};
  });
  expect("/faultline/cases/0/doubtful/0 is no object",
         [](json& part) { part["cases"][0]["doubtful"] = {"so"}; });
  expect("/faultline/cases/0/throughput/modes/0/repetitions is missing", [](json& part) {
    part["cases"][0]["throughput"]["modes"] = {{{"median", 1}}};
  });
}

TEST(Results, NotesOfTrialsAreTheCasesAndSayOfHowMany) {
  JournalContent content = content_of({.repetitions = 2, .spoiled = false, .mode = "sim"});
  for (json& trial : content.trials) {
    if (trial["latency"] == true) continue;
    if (trial["case"]["scheme"] == "refcount") trial["notes"] = {"short"};
    if (trial["case"]["scheme"] == "range_lock" && trial["repetition"] == 0)
      trial["notes"] = {"a window of 3 ms", "short"};
  }
  const json results = build_results(content, "here");
  for (const json& one : results["faultline"]["cases"]) {
    if (one["scheme"] == "refcount") {
      EXPECT_EQ(one["notes"], json{"short"});
    } else if (one["scheme"] == "range_lock") {
      EXPECT_EQ(one["notes"], (json{"a window of 3 ms (1 of 2 trials)", "short (1 of 2 trials)"}));
    } else {
      EXPECT_FALSE(one.contains("notes")) << one["name"];
    }
  }
  const TemporaryDirectory directory;
  EXPECT_EQ(schema_verdicts(directory, {results}), std::vector<std::string>(1, "fits"));
  std::ostringstream out;
  print_summary(out, results);
  // One line per kind, not one per case.
  EXPECT_NE(out.str().find("note: 6 cases, such as local/range_lock/compact/threads:1/on:testbox: "
                           "a window of 3 ms (1 of 2 trials)\n"),
            std::string::npos)
      << out.str();
}

TEST(Summary, HasARowASchemeAndNamesTheBestAndWhatWentWrong) {
  std::ostringstream out;
  print_summary(out, build_results(content_of({}), "here"));
  const std::string text = out.str();
  EXPECT_NE(text.find("native, testhost"), std::string::npos) << text;
  EXPECT_NE(text.find("page_fault1, compact"), std::string::npos) << text;
  EXPECT_NE(text.find("refcount, private"), std::string::npos) << text;
  EXPECT_NE(text.find("1.00"), std::string::npos) << text;
  EXPECT_NE(text.find("failed: page_fault1/mmap_sem/compact/threads:2 repetition 99: no progress"),
            std::string::npos);
  EXPECT_NE(text.find("holding: thread 0 holds rwsem"), std::string::npos) << text;
  EXPECT_NE(text.find("discarded: 1 trial: steal 7 %"), std::string::npos) << text;
  EXPECT_NE(text.find("left out: threads 3 of page_fault1: budget 2m"), std::string::npos) << text;
  EXPECT_NE(text.find("no hardware counters: this machine has no PMU"), std::string::npos) << text;
}

TEST(Summary, CountsWhatIsLeftOutInNumbersForOneReason) {
  nlohmann::json results = build_results(content_of({}), "here");
  nlohmann::json& left_out = results["faultline"]["left_out"];
  left_out = nlohmann::json::array({{{"what", "linux"}, {"why", "native alone"}}});
  for (int i = 0; i < 20; ++i)
    left_out.push_back({{"what", fmt::format("1 trial(s) of {}", i)}, {"why", "budget spent"}});
  std::ostringstream out;
  print_summary(out, results);
  const std::string text = out.str();
  EXPECT_NE(text.find("left out: linux: native alone"), std::string::npos) << text;
  EXPECT_NE(text.find("left out: 1 trial(s) of 3: budget spent"), std::string::npos) << text;
  EXPECT_EQ(text.find("1 trial(s) of 4"), std::string::npos) << text;
  EXPECT_NE(text.find("left out: 16 more, which the file's left_out names: budget spent"),
            std::string::npos)
      << text;
}

TEST(Summary, WritesRatesWithThreeDigits) {
  EXPECT_EQ(human_rate(0), "0.00");
  EXPECT_EQ(human_rate(999.4), "999");
  EXPECT_EQ(human_rate(999.6), "1.00 k");
  EXPECT_EQ(human_rate(61725), "61.7 k");
  EXPECT_EQ(human_rate(1234567), "1.23 M");
}

}  // namespace
}  // namespace faultline
