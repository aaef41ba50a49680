// `faultline calibrate`: shapes and files without measuring, then the command as users run it. No
// test depends on a measured value.
#include "harness/calibrate/calibrate.hpp"

#include <gtest/gtest.h>
#include <sched.h>

#include <functional>
#include <thread>

#include "harness/calibrate/crew.hpp"
#include "harness/calibrate/machine_file.hpp"
#include "harness/topology/machine.hpp"
#include "results/reader.hpp"
#include "tests/harness/command_line.hpp"
#include "tests/harness/sim_threads.hpp"

namespace faultline {
namespace {

using calibrate::Findings;
using calibrate::make_shape;
using calibrate::Shape;
using nlohmann::json;
using sim::Machine;

Shape shape_of(const Topology& topology) {
  return make_shape(topology, topology.place("compact", topology.thread_counts().back()));
}

std::string complaint(const std::function<void()>& action) {
  try {
    action();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "no std::invalid_argument";
}

TEST(CalibratedShape, IsTheMachinesOwnInHwlocsText) {
  for (const char* text :
       {"package:1 [numa] l3:1 core:1 pu:1", "package:2 [numa] l3:4 core:2 pu:2",
        "package:2 group:2 [numa] l3:2 core:3 pu:1", "package:1 [numa] l3:1 core:64 pu:1"}) {
    const Shape shape = shape_of(Topology::foreign(text));
    EXPECT_EQ(shape.hwloc, text);
    const Topology again = Topology::foreign(shape.hwloc);
    ASSERT_EQ(again.cpus().size(), shape.cpus.size());
    for (const Cpu& a : again.cpus())
      for (const Cpu& b : again.cpus()) {
        EXPECT_EQ(a.node == b.node, shape.between(a.os, b.os) <= sim::same_node);
        if (a.node == b.node) {
          EXPECT_EQ(a.cluster == b.cluster, shape.between(a.os, b.os) <= sim::same_cluster);
        }
      }
  }
}

TEST(CalibratedShape, OfSomeCpusIsNumberedFromZero) {
  const Topology topology = Topology::foreign("package:2 [numa] l3:2 core:4 pu:1");
  const Shape shape = make_shape(topology, {9, 8, 12, 13});
  EXPECT_EQ(shape.hwloc, "package:1 [numa] l3:2 core:2 pu:1");
  EXPECT_EQ(shape.cpus, (std::vector<u32>{8, 9, 12, 13}));
  EXPECT_EQ(shape.between(0, 1), sim::same_cluster);
  EXPECT_EQ(shape.between(1, 2), sim::same_node);
}

TEST(CalibratedShape, OfCpusThatAreNoTreeIsRefused) {
  const Topology topology = Topology::foreign("package:2 [numa] l3:2 core:4 pu:1");
  EXPECT_NE(complaint([&] {
              make_shape(topology, {0, 1, 4});
            }).find("CPUs 0-1,4: "),
            std::string::npos);
  EXPECT_NE(complaint([&] { make_shape(topology, {0, 16}); }).find("16"), std::string::npos);
}

TEST(CalibratedShape, PairsAreOfTheirDistanceAndReachTheLast) {
  const Shape shape = shape_of(Topology::foreign("package:2 [numa] l3:2 core:4 pu:1"));
  for (sim::Distance d = 0; d < sim::distances; ++d) {
    const auto pairs = shape.pairs(d, 4);
    EXPECT_EQ(pairs.size(), d >= sim::same_cluster && d <= sim::one_hop ? 4U : 0U);
    for (const auto& [a, b] : pairs) EXPECT_EQ(shape.between(a, b), d);
  }
  EXPECT_EQ(shape.pairs(sim::one_hop, 4).back().first, 15U);
  // Alternately from both clusters of the first node, then from both nodes.
  EXPECT_EQ(shape.within(sim::same_cluster), (std::vector<u32>{0, 1, 2, 3}));
  EXPECT_EQ(shape.within(sim::same_node), (std::vector<u32>{0, 4, 1, 5, 2, 6, 3, 7}));
  EXPECT_EQ(shape.within(sim::one_hop)[1], 8U);
}

TEST(CalibratedShape, OnePerCoreIsTheFirstThreadOfEach) {
  const Shape shape = shape_of(Topology::foreign("package:1 [numa] l3:1 core:3 pu:2"));
  EXPECT_EQ(shape.one_per_core({0, 1, 3, 2, 5}), (std::vector<u32>{0, 3, 5}));
}

TEST(CalibratedShape, HopsAreTheRanksOfTheDistancesBothWays) {
  EXPECT_EQ(calibrate::hops_from({{10, 21, 31}, {21, 10, 21}, {30, 21, 10}}),
            (std::vector<sim::u8>{0, 1, 2, 1, 0, 1, 2, 1, 0}));
  EXPECT_EQ(calibrate::hops_from({{10}}), std::vector<sim::u8>{0});
}

TEST(CalibrationCrew, RunsEachRoleOnItsCpuAndMeets) {
  const Topology topology = Topology::here();
  std::vector<u32> cpus;
  for (const Cpu& cpu : topology.cpus()) cpus.push_back(cpu.os);
  std::vector<u32> rounds(cpus.size());
  std::atomic<u32> behind{0};
  calibrate::run_pinned(topology, cpus, [&](calibrate::Meeting& meeting, u32 self) {
    for (u32 i = 1; i <= 100; ++i) {
      rounds[self] = i;
      meeting.meet();
      for (const u32 round : rounds) behind += round != i;
      behind += static_cast<u32>(sched_getcpu()) != cpus[self];
      meeting.meet();
    }
  });
  EXPECT_EQ(behind, 0U);
}

TEST(CalibrationCrew, EndsItsRoundsTogether) {
  const Topology topology = Topology::here();
  std::vector<u32> cpus;
  for (const Cpu& cpu : topology.cpus()) cpus.push_back(cpu.os);
  const auto run = [&](u32 most, u64 budget_ns) {
    calibrate::Rounds rounds(most, budget_ns);
    std::vector<u32> counts(cpus.size());
    calibrate::run_pinned(topology, cpus, [&](calibrate::Meeting& meeting, u32 self) {
      while (rounds.next(meeting, self)) ++counts[self];
    });
    return counts;
  };
  constexpr u64 an_hour = 3'600'000'000'000;
  EXPECT_EQ(run(5, an_hour), std::vector<u32>(cpus.size(), 5));
  EXPECT_EQ(run(5, 0), std::vector<u32>(cpus.size(), 0));
}

TEST(CalibrationCrew, AThreadThatCannotBePinnedStopsTheOthers) {
  const Topology foreign = Topology::foreign("core:2 pu:1");
  bool ran = false;
  EXPECT_THROW(
      calibrate::run_pinned(foreign, {0, 1}, [&](calibrate::Meeting&, u32) { ran = true; }),
      std::runtime_error);
  EXPECT_FALSE(ran);
}

// A machine file with those findings on that machine.
class CalibratedFile : public testing::Test {
 protected:
  json write(const Findings& findings, const std::string& topology) {
    shape_ = shape_of(Topology::foreign(topology));
    const json file = calibrate::machine_file(findings, shape_,
                                              {.cpu_model = "Intel Example",
                                               .system = "Linux 6.1",
                                               .date = "2026-11-24",
                                               .samples = 3,
                                               .cluster_bytes = 30 << 20,
                                               .host = "box"},
                                              "mine.xml");
    sample::put_text(path(), file.dump());
    return file;
  }
  std::string path() const { return folder_.file("mine.json"); }
  std::string origin_of(const Machine& machine, const std::string& key) {
    for (const Machine::Constant& constant : machine.constants)
      if (constant.key == key) return constant.origin;
    return "no such constant";
  }

  sample::TemporaryDirectory folder_;
  Shape shape_;
};

TEST_F(CalibratedFile, WhatWasMeasuredIsTheMedianAndAllElseSaysWhenceItIs) {
  Findings findings;
  for (const double ns : {70.0, 50.0, 60.0}) findings.add("latency.load.modified.cluster", ns);
  const json file = write(findings, "package:2 [numa] l3:1 core:4 pu:1");
  const Machine machine = Machine::load(path());
  EXPECT_EQ(machine.latency[0][static_cast<usize>(sim::State::modified)][sim::same_cluster],
            60 * sim::ps_per_ns);
  EXPECT_EQ(file["measured"]["latency.load.modified.cluster"]["quartiles"], (json{55, 60, 65}));
  for (const Machine::Constant& constant : machine.constants)
    EXPECT_EQ(constant.origin.starts_with("not measured: "),
              constant.key != "latency.load.modified.cluster")
        << constant.key << ": " << constant.origin;
  EXPECT_NE(origin_of(machine, "latency.load.modified.hop1").find("xeon-6242x2"),
            std::string::npos);
  EXPECT_EQ(machine.cluster_pages * page_size, 30u << 20);
}

TEST_F(CalibratedFile, AMachineOfAnyShapeLoads) {
  for (const char* topology : {"package:1 [numa] l3:1 core:1 pu:1",
                               "package:2 group:2 [numa] l3:2 core:2 pu:2", "core:3 pu:1"}) {
    write({}, topology);
    const Machine machine = Machine::load(path());
    EXPECT_EQ(machine.places.size(), shape_.cpus.size());
    EXPECT_EQ(machine.nodes, shape_.geometry.nodes);
    EXPECT_EQ(machine.calibrated.host, "box");
    EXPECT_EQ(machine.calibrated.cpu_model, "Intel Example");
  }
}

TEST_F(CalibratedFile, AMeasuredShareKeepsToItsBounds) {
  Findings findings;
  findings.add("contention.service.cluster", 0.5);
  findings.add("contention.nearest_share", -0.2);
  findings.add("contention.residency", 1.4);
  findings.add("contention.queued_residency", 0.25);
  write(findings, "package:1 [numa] l3:1 core:8 pu:1");
  const Machine machine = Machine::load(path());
  EXPECT_EQ(machine.service[sim::same_cluster], 512U);
  EXPECT_EQ(machine.nearest_share, 0U);
  EXPECT_EQ(machine.residency, 1024U);
  EXPECT_EQ(machine.queued_residency, 256U);
  EXPECT_NE(origin_of(machine, "contention.residency").find("the median, 1.4, is out of bounds"),
            std::string::npos);
  EXPECT_TRUE(origin_of(machine, "contention.service.cluster").starts_with("measured 2026-11-24"));
}

TEST_F(CalibratedFile, AConstantThatCannotBeMeasuredSaysWhy) {
  Findings findings;
  findings.excuse("shootdown.delivery", "the kernel lets one CPU at a time call");
  findings.add("shootdown.handler", 900);
  const json file = write(findings, "package:1 [numa] l3:1 core:8 pu:1");
  const Machine machine = Machine::load(path());
  EXPECT_EQ(origin_of(machine, "shootdown.delivery"),
            "not measured: the kernel lets one CPU at a time call; taken from xeon-6242x2");
  EXPECT_EQ(machine.shootdown_handler, 900 * sim::ps_per_ns);
  EXPECT_NE(origin_of(machine, "shootdown.handler").find("flushes no TLB"), std::string::npos);
}

TEST_F(CalibratedFile, AHandoffIsTheSumOfWhatTheModelMakesOfIt) {
  Findings findings;
  findings.add("kernel.syscall", 200);
  const std::vector<std::pair<std::string, double>> handoffs = {
      {"20us", 5000}, {"100us", 5100}, {"1000us", 30000}, {"10000us", 90000}};
  for (const auto& [sleep, handoff] : handoffs) {
    findings.add("woken." + sleep, 1200);
    findings.add("handoff." + sleep, handoff);
  }
  write(findings, "package:1 [numa] l3:1 core:2 pu:1");
  const Machine machine = Machine::load(path());
  EXPECT_EQ(machine.wake_one, 1000 * sim::ps_per_ns);
  EXPECT_EQ(machine.syscall + machine.wake_one + machine.wake_latency, 5000 * sim::ps_per_ns);
  ASSERT_EQ(machine.idle.size(), 3U);  // the little that 100 us adds is not a level
  EXPECT_EQ(machine.idle[1].asleep, 1'000'000 * sim::ps_per_ns);
  EXPECT_EQ(machine.idle[2].exit, 85'000 * sim::ps_per_ns);
}

class Calibration : public CommandLine {};

class BadCalibration : public CommandLine, public testing::WithParamInterface<const char*> {};

TEST_P(BadCalibration, IsOneLineAndExitCode2AndLeavesNothing) {
  expect_refused(run(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(Everywhere, BadCalibration,
                         testing::Values("calibrate", "calibrate -o no_such_folder/x.json",
                                         "calibrate -o x.txt", "calibrate -o x.json --cpus 4000",
                                         "calibrate -o x.json --cpus compact",
                                         "calibrate -o x.json --cpus 0,0",
                                         "calibrate -o x.json --cpus 0-",
                                         "calibrate -o x.json --samples 0"));

TEST_F(Calibration, OfACpuThatIsNotAllowedIsRefused) {
  if (std::thread::hardware_concurrency() < 2) GTEST_SKIP() << "needs two CPUs";
  expect_refused(run("calibrate -o x.json --cpus 1", "taskset -c 0"));
}

TEST_F(Calibration, WritesAMachineThatSimulates) {
  const Outcome outcome = run("calibrate -o mine.json --samples 3");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.errors;
  EXPECT_EQ(folder_.names(), std::vector<std::string>{"mine.json"});
  const Machine machine = Machine::load(folder_.file("mine.json"));
  EXPECT_EQ(machine.places.size(), Topology::here().cpus().size());
  const json here = machine_json(Topology::here());
  EXPECT_EQ(machine.calibrated.host, here["host"]);
  EXPECT_EQ(machine.calibrated.cpu_model, here["cpu_model"]);
  const usize taken = static_cast<usize>(std::count_if(
      machine.constants.begin(), machine.constants.end(),
      [](const auto& constant) { return constant.origin.starts_with("not measured"); }));
  EXPECT_NE(outcome.out.find(fmt::format("{} constants measured, {} not",
                                         machine.constants.size() - taken, taken)),
            std::string::npos)
      << outcome.out;
  for (const Machine::Constant& constant : machine.constants)
    EXPECT_NE(constant.origin.find("measured"), std::string::npos) << constant.key;
  if (machine.places.size() > 1) {
    EXPECT_NE(outcome.out.find("ticket lock, acquisitions"), std::string::npos) << outcome.out;
  }
  if (!simulator_runs) return;
  EXPECT_EQ(outcome.out.find("failed"), std::string::npos) << outcome.out;
  ASSERT_EQ(run("sim --workload local --scheme mmap_sem --machine mine.json --duration 50us "
                "--warmup 10us --seeds 1 --no-latency --no-ceiling --out a.json")
                .exit_code,
            0);
  EXPECT_EQ(load_results(folder_.file("a.json"))["faultline"]["cases"][0]["machine"], "mine");
}

TEST(CalibrationWarning, IsOfWhatTheDoctorFindsOfOtherLoad) {
  std::vector<Finding> findings = {{"governor", "powersave", Verdict::warn, "x"},
                                   {"steal time", "0.0 % of the CPU time", Verdict::ok, ""},
                                   {"other load", "absent", Verdict::unknown, ""}};
  EXPECT_EQ(calibrate::what_disturbs(findings), "");
  findings[1] = {"steal time", "7.0 % of the CPU time", Verdict::warn, "x"};
  EXPECT_EQ(calibrate::what_disturbs(findings), "steal time: 7.0 % of the CPU time");
  findings[2] = {"other load", "97 % of the CPU time, load 3.10", Verdict::warn, "x"};
  EXPECT_EQ(calibrate::what_disturbs(findings),
            "steal time: 7.0 % of the CPU time; other load: 97 % of the CPU time, load 3.10");
}

TEST_F(Calibration, OfOneCpuSaysThatNoTransferWasMeasured) {
  const Outcome outcome = run("calibrate -o one.json --samples 3", "taskset -c 0");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.errors;
  EXPECT_NE(outcome.errors.find("no transfer"), std::string::npos) << outcome.errors;
  const Machine machine = Machine::load(folder_.file("one.json"));
  EXPECT_EQ(machine.places.size(), 1U);
  for (const Machine::Constant& constant : machine.constants) {
    const bool transfer =
        constant.key.starts_with("latency.") && constant.key.find(".memory.") == std::string::npos;
    if (transfer || constant.key.starts_with("kernel.wake") ||
        constant.key.starts_with("contention.") || constant.key.starts_with("shootdown.")) {
      EXPECT_TRUE(constant.origin.starts_with("not measured: ")) << constant.key;
    }
  }
}

}  // namespace
}  // namespace faultline
