#include "harness/cli/header.hpp"

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <fstream>

#include "harness/cli/build_info.hpp"
#include "harness/counters/counters.hpp"
#include "harness/sim/machine/machine.hpp"
#include "harness/topology/machine.hpp"
#include "harness/trial/measurement.hpp"

namespace faultline {
namespace {

using nlohmann::json;

// The context as Google Benchmark writes it, except for the build type: the library reports its
// own, which is DEBUG for Debian's package whatever faultline's is.
json benchmark_context() {
  const benchmark::CPUInfo& cpu = benchmark::CPUInfo::Get();
  json caches = json::array();
  for (const auto& cache : cpu.caches)
    caches.push_back({{"type", cache.type},
                      {"level", cache.level},
                      {"size", cache.size},
                      {"num_sharing", cache.num_sharing}});
  return {{"date", utc_now()},
          {"host_name", benchmark::SystemInfo::Get().name},
          {"executable", "faultline"},
          {"num_cpus", cpu.num_cpus},
          {"mhz_per_cpu", static_cast<int>(cpu.cycles_per_second / 1e6)},
          {"cpu_scaling_enabled", cpu.scaling == benchmark::CPUInfo::ENABLED},
          {"caches", caches},
          {"load_avg", cpu.load_avg},
          {"library_build_type", "release"}};
}

// The program's name and arguments, from /proc.
std::string command_line() {
  std::ifstream file("/proc/self/cmdline");
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  for (char& c : text)
    if (c == '\0') c = ' ';
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return text;
}

json build_json() {
  return {{"version", build_version},
          {"commit", build_commit},
          {"compiler", build_compiler},
          {"flags", build_flags},
          {"type", build_type}};
}

json model_json(const std::string& name) {
  const sim::Machine machine = sim::Machine::load(name);
  json constants = json::array();
  for (const sim::Machine::Constant& constant : machine.constants)
    constants.push_back(
        {{"key", constant.key}, {"value", constant.value}, {"origin", constant.origin}});
  json model = {{"name", machine.name},
                {"summary", machine.summary},
                {"cpus", machine.places.size()},
                {"nodes", machine.nodes},
                {"constants", constants}};
  if (!machine.calibrated.host.empty())
    model["calibrated"] = {{"host", machine.calibrated.host},
                           {"cpu_model", machine.calibrated.cpu_model}};
  return model;
}

}  // namespace

json run_header(const std::string& suite, u64 seed, const Topology& topology, const Plan& plan) {
  return {{"faultline_journal", 1},
          {"context", benchmark_context()},
          {"mode", "native"},
          {"date", utc_now()},
          {"suite", suite},
          {"seed", seed},
          {"command", command_line()},
          {"machine", machine_json(topology)},
          {"build", build_json()},
          {"axes", axes_json()},
          {"counters", counters_summary()},
          {"planned_trials", plan.trials()},
          {"left_out", left_out_json(plan.left_out)}};
}

json sim_header(const std::string& suite, u64 seed, const std::vector<std::string>& machines,
                const Plan& plan) {
  json models = json::array();
  for (const std::string& name : machines) models.push_back(model_json(name));
  u32 seeds = 0;
  for (const PlannedCase& planned : plan.cases) seeds = std::max(seeds, planned.repetitions);
  json used = json::array();
  for (u64 one = seed; one < seed + seeds; ++one) used.push_back(one);
  return {{"faultline_journal", 1},
          {"context", {{"executable", "faultline"}, {"library_build_type", "release"}}},
          {"mode", "sim"},
          {"suite", suite},
          {"seed", seed},
          {"seeds", used},
          {"command", command_line()},
          {"machine", {{"models", models}}},
          {"build", build_json()},
          {"axes", axes_json()},
          {"counters",
           {{"available", false}, {"reason", "simulated: transfers of lines are counted instead"}}},
          {"planned_trials", plan.trials()},
          {"left_out", left_out_json(plan.left_out)}};
}

void list_cases(const Plan& plan, std::ostream& out) {
  for (const PlannedCase& planned : plan.cases) out << planned.spec.name() << '\n';
}

}  // namespace faultline
