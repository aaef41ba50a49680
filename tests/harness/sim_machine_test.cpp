#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <stdexcept>

#include "harness/sim/machine/perturbed.hpp"
#include "tests/harness/sim_threads.hpp"
#include "tests/paths.hpp"

namespace faultline {
namespace {

using nlohmann::json;
using sim::Machine;

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "no std::invalid_argument";
}

json preset(const std::string& name) {
  std::ifstream in(std::string(FAULTLINE_SOURCE_DIR) + "/harness/sim/machine/presets/" + name +
                   ".json");
  return json::parse(in);
}

// The error of load() for a machine file with that content.
std::string complaint(const std::string& content) {
  const std::filesystem::path file =
      std::filesystem::temp_directory_path() / ("machine-" + std::to_string(getpid()) + ".json");
  std::ofstream(file) << content;
  const std::string message = message_of([&] { Machine::load(file.string()); });
  std::filesystem::remove(file);
  const std::string prefix = file.string() + ": ";
  return message.starts_with(prefix) ? message.substr(prefix.size()) : message;
}

std::string complaint(const std::function<void(json&)>& spoil,
                      const std::string& name = "e7-8870") {
  json machine = preset(name);
  spoil(machine);
  return complaint(machine.dump());
}

std::vector<std::string> parts_of(const std::string& key) {
  std::vector<std::string> parts;
  std::istringstream stream(key);
  for (std::string part; std::getline(stream, part, '.');) parts.push_back(part);
  return parts;
}

template <class Names>
bool is_one_of(const std::string& part, const Names& names) {
  return std::find(names.begin(), names.end(), part) != names.end();
}

// The key as docs/simulator.md writes it: "latency.load.shared.hop1" is
// latency.KIND.STATE.DISTANCE.
std::string documented_form(const std::string& key) {
  std::vector<std::string> parts = parts_of(key);
  const bool latency = parts[0] == "latency";
  for (usize i = 1; i < parts.size(); ++i) {
    if (is_one_of(parts[i], sim::kind_names))
      parts[i] = "KIND";
    else if (latency && is_one_of(parts[i], sim::state_names))
      parts[i] = "STATE";
    else if (is_one_of(parts[i], sim::distance_names))
      parts[i] = "DISTANCE";
    else if (parts[i].ends_with("[0]"))
      parts[i].replace(parts[i].size() - 3, 3, "[]");
    else if (parts[i] == "origin" || parts[i] == "origins")
      parts[0] = "GROUP";
  }
  return fmt::format("{}", fmt::join(parts, "."));
}

// Leaves out objects and lists that only contain other keys.
std::set<std::string> documented_forms(const std::set<std::string>& keys) {
  std::set<std::string> forms;
  for (const std::string& key : keys) {
    const bool holds_others = std::any_of(keys.begin(), keys.end(), [&](const std::string& other) {
      return other.starts_with(key + ".") || other.starts_with(key + "[");
    });
    if (!holds_others) forms.insert(documented_form(key));
  }
  return forms;
}

TEST(SimMachine, TheManualDescribesEveryKeyOfAMachineFileAndNoOther) {
  std::ifstream in(std::string(FAULTLINE_SOURCE_DIR) + "/docs/simulator.md");
  ASSERT_TRUE(in);
  std::set<std::string> described;
  bool keys = false;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("## ")) keys = line == "## A machine file";
    if (keys && line.starts_with("| `")) described.insert(line.substr(3, line.find('`', 3) - 3));
  }
  EXPECT_EQ(described, documented_forms(Machine::keys()));
}

class EveryPreset : public testing::TestWithParam<std::string> {};

TEST_P(EveryPreset, LoadsAndNamesTheOriginOfEveryConstant) {
  const Machine machine = Machine::load(GetParam() == "ideal-N" ? "ideal-1024" : GetParam());
  EXPECT_GT(machine.constants.size(), 30U);
  for (const Machine::Constant& constant : machine.constants)
    EXPECT_NE(constant.origin, "") << constant.key;
}

INSTANTIATE_TEST_SUITE_P(Machines, EveryPreset, testing::ValuesIn(Machine::presets()),
                         [](const auto& parameter) {
                           std::string name = parameter.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(SimMachine, AShapeIsTheMachinesOwn) {
  const Machine e7 = Machine::load("e7-8870");
  EXPECT_EQ(e7.places.size(), 80U);
  EXPECT_EQ(e7.nodes, 8U);
  EXPECT_EQ(e7.between(e7.places[0], e7.places[9]), sim::same_cluster);
  EXPECT_EQ(e7.between(e7.places[0], e7.places[10]), sim::one_hop);
  EXPECT_EQ(e7.between(e7.places[0], e7.places[25]), sim::one_hop + 1);
  const Machine epyc = Machine::load("epyc-7742x2");
  EXPECT_EQ(epyc.between(epyc.places[0], epyc.places[3]), sim::same_cluster);
  EXPECT_EQ(epyc.between(epyc.places[0], epyc.places[4]), sim::same_node);
  EXPECT_EQ(epyc.between(epyc.places[0], epyc.places[64]), sim::one_hop);
  EXPECT_EQ(Machine::load("ideal-7").places.size(), 7U);
}

TEST(SimMachine, AMissingLatencyIsNamed) {
  EXPECT_EQ(complaint([](json& m) { m["latency"]["load"]["shared"].erase("hop2"); }),
            "latency.load.shared.hop2: missing, expected nanoseconds above 0");
  EXPECT_EQ(complaint([](json& m) { m["latency"].erase("rmw"); }),
            "latency.rmw.memory.socket: missing, expected nanoseconds above 0");
  EXPECT_EQ(complaint([](json& m) { m["caches"]["protocol"] = "moesi"; }),
            "latency.load.owned.cluster: missing, expected nanoseconds above 0");
  EXPECT_EQ(complaint([](json& m) { m.erase("shootdown"); }),
            "shootdown: missing, expected an object of constants");
}

TEST(SimMachine, ALatencyOfNothingIsRefused) {
  EXPECT_EQ(complaint([](json& m) { m["latency"]["store"]["modified"]["hop1"] = 0; }),
            "latency.store.modified.hop1: 0, expected nanoseconds above 0");
  EXPECT_EQ(complaint([](json& m) { m["cpu"]["pause"] = "fast"; }),
            "cpu.pause: \"fast\", expected nanoseconds above 0");
}

TEST(SimMachine, AKernelWhoseCallsAreUnknownIsRefused) {
  EXPECT_EQ(complaint([](json& m) { m["shootdown"]["kernel"] = "xv6"; }),
            "shootdown.kernel: \"xv6\", expected linux or sv6");
  EXPECT_TRUE(Machine::load("e7-8870").sv6_calls);
  EXPECT_FALSE(Machine::load("xeon-8375cx2").sv6_calls);
}

TEST(SimMachine, AConstantWithoutOriginIsRefused) {
  EXPECT_EQ(complaint([](json& m) { m["kernel"].erase("origin"); }),
            "kernel.origin: missing, expected a text");
}

TEST(SimMachine, AKeyThatNobodyReadsIsRefusedWithTheNearestThatAreRead) {
  EXPECT_EQ(complaint([](json& m) { m["shape"]["hop"] = 1; }),
            "shape.hop: unknown, expected hops, hwloc, origin");
  EXPECT_EQ(complaint([](json& m) { m["cpu"]["pauze"] = 1; }),
            "cpu.pauze: unknown, expected pause, origin, rcu_read");
  EXPECT_EQ(
      complaint([](json& m) { m["latency"]["load"]["modify"] = json::object(); }).substr(0, 45),
      "latency.load.modify: unknown, expected modifi");
  EXPECT_EQ(complaint([](json& m) { m["latency"]["load"]["shared"]["hop6"] = 1; }).substr(0, 46),
            "latency.load.shared.hop6: unknown, expected ho");
  EXPECT_EQ(complaint([](json& m) { m["kernel"]["idle"][1]["sleep"] = 1; }),
            "kernel.idle[1].sleep: unknown, expected asleep, exit");
  EXPECT_EQ(complaint([](json& m) { m["memori"] = json::object(); }).substr(0, 32),
            "memori: unknown, expected memory");
  EXPECT_EQ(complaint([](json& m) { m["cpu"]["origins"]["pauze"] = "x"; }),
            "cpu.origins.pauze: \"x\", expected the name of a constant in its group");
}

TEST(SimMachine, WhatAFileMayTellBeyondItsShapeIsTaken) {
  const auto beyond = [](json& m) {
    m["latency"]["load"]["owned"] = {{"cluster", 50}};
    m["latency"]["load"]["shared"]["hop5"] = 400;
    m["contention"]["service"]["smt"] = 1;
    m["measured"] = {{"whatever", 1}};
    m["calibrated"] = {{"host", "here"}, {"cpu_model", "any"}};
  };
  EXPECT_EQ(complaint(beyond), "no std::invalid_argument");
  EXPECT_EQ(complaint([](json& m) {
              m["calibrated"] = {{"host", "here"}};
            }),
            "calibrated.cpu_model: missing, expected a text");
}

TEST(SimMachine, DistancesAreSymmetricAndNotZero) {
  EXPECT_EQ(complaint([](json& m) { m["shape"]["hops"][2][1] = 2; }),
            "shape.hops[2][1]: 2, expected 1 hops, as the way back has");
  EXPECT_EQ(complaint([](json& m) { m["shape"]["hops"][0][3] = 0; }),
            "shape.hops[0][3]: 0, expected a whole number from 1 to 5");
  EXPECT_EQ(complaint([](json& m) { m["shape"]["hops"][4][4] = 1; }),
            "shape.hops[4][4]: 1, expected 0 hops from a node to itself");
  EXPECT_EQ(complaint([](json& m) { m["shape"]["hops"].erase(7); }).substr(0, 11), "shape.hops:");
}

TEST(SimMachine, AShapeThatHwlocCannotReadIsRefused) {
  EXPECT_EQ(
      complaint([](json& m) { m["shape"]["hwloc"] = "a box of 80"; }),
      "shape.hwloc: \"a box of 80\", expected hwloc's synthetic text or XML file of 1 to 1024 "
      "CPUs, numbered from 0");
  EXPECT_EQ(complaint("{\"summary\": ").substr(0, 5), "byte ");
  EXPECT_EQ(complaint("{\"summary\": 1e999}"),
            "a number that is out of range, expected numbers of at most 1e308");
}

TEST(SimMachine, EachConstantCanBeChangedAlone) {
  const json machine = preset("e7-8870");
  usize changed = 0;
  for (const sim::PerturbedMachine& one : sim::perturbed(machine, 1.2)) {
    if (one.file.is_null()) {
      EXPECT_EQ(one.value, 0) << one.key;
      continue;
    }
    ++changed;
    EXPECT_EQ(json::diff(machine, one.file).size(), 1U) << one.key;
    EXPECT_EQ(complaint(one.file.dump()), "no std::invalid_argument") << one.key;
    const json& file = one.file;
    if (one.key == "latency.rmw.modified.hop1") {
      EXPECT_DOUBLE_EQ(file["latency"]["rmw"]["modified"]["hop1"].get<double>(), 1.2 * 152.1);
    }
    if (one.key == "kernel.idle[1].exit") {
      EXPECT_EQ(file["kernel"]["idle"][1]["exit"], 12000);
    }
  }
  EXPECT_GT(changed, 60U);
}

TEST(SimMachine, AMachineThatDoesNotExistIsRefused) {
  const std::string message = message_of([] { Machine::load("pdp-11"); });
  EXPECT_TRUE(message.starts_with("machine 'pdp-11': expected e5-2680v4x2, e5-2699v4x2, e7-8870, "))
      << message;
  EXPECT_TRUE(message.ends_with(", xeon-8375cx2, or a file that ends in .json")) << message;
  EXPECT_EQ(message_of([] { Machine::load("/nowhere.json"); }),
            "/nowhere.json: cannot be read, expected a machine's JSON file");
  for (const std::string name : {"ideal-2000", "ideal-0", "ideal-x"})
    EXPECT_EQ(message_of([&] { Machine::load(name); }),
              "machine '" + name + "': expected ideal-N with N from 1 to 1024");
}

TEST(SimMachine, MoreCpusThanTheMachineHasAreRefused) {
  if (!simulator_runs) GTEST_SKIP() << no_simulator;
  const Machine machine = Machine::load("graviton3");
  EXPECT_EQ(message_of([&] { sim::Simulation(machine, first_cpus(65), {}); }),
            "machine 'graviton3': 65 CPUs asked for, expected 1 to 64");
  EXPECT_EQ(message_of([&] {
              sim::Simulation(machine, {3, 64}, {});
            }),
            "machine 'graviton3': CPU 64 for thread 1, expected one of its 64, once");
  EXPECT_EQ(message_of([&] {
              sim::Simulation(machine, {3, 3}, {});
            }),
            "machine 'graviton3': CPU 3 for thread 1, expected one of its 64, once");
}

}  // namespace
}  // namespace faultline
