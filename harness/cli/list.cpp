#include <fmt/format.h>
#include <fmt/ranges.h>

#include <iostream>
#include <map>
#include <nlohmann/json.hpp>

#include "harness/case/suites.hpp"
#include "harness/check/subjects/coverage.hpp"
#include "harness/cli/commands.hpp"
#include "harness/cli/header.hpp"
#include "harness/counters/counters.hpp"
#include "harness/native/platform.hpp"
#include "harness/native/registry.hpp"
#include "harness/sim/machine.hpp"
#include "harness/sim/registry.hpp"
#include "harness/topology/machine.hpp"
#include "harness/topology/topology.hpp"

namespace faultline {
namespace {

using nlohmann::json;
using P = NativePlatform;

json locks_json() {
  json locks = json::array();
  const auto add = [&]<class L>(const char* kind, const NamedLock<L>& named) {
    locks.push_back({{"name", named.name},
                     {"kind", kind},
                     {"summary", named.summary},
                     {"checked_by", check::checked_by<L>()}});
  };
  std::apply([&](const auto&... named) { (add("mutex", named), ...); }, mutex_list<P>());
  std::apply([&](const auto&... named) { (add("shared", named), ...); }, shared_list<P>());
  std::apply([&](const auto&... named) { (add("range", named), ...); }, range_list<P>());
  return locks;
}

json broken_json() {
  json locks = json::array();
  std::apply(
      [&](const auto&... named) {
        (locks.push_back({{"name", named.name}, {"summary", named.summary}}), ...);
      },
      broken_list<P>());
  return locks;
}

json workloads_json() {
  json workloads = json::array();
  const auto add = [&](const WorkloadInfo& info) {
    workloads.push_back({{"name", info.name},
                         {"form", info.form},
                         {"summary", info.summary},
                         {"roles", info.roles},
                         {"linux_only", info.linux_only},
                         {"runs_on", info.needs_lock ? "locks" : "schemes"}});
  };
  for (const auto& entry : workload_list<P>()) add(entry);
  add(replay_info);
  return workloads;
}

json machines_json() {
  json machine = machine_json(Topology::here());
  machine["name"] = "here";
  machine["summary"] =
      fmt::format("this machine: {}, {} CPUs, {} node(s)", machine["cpu_model"].get<std::string>(),
                  machine["cpus"].get<u32>(), machine["nodes"].get<u32>());
  machine["simulated"] = false;
  machine.erase("hwloc_xml");
  json machines = json::array({machine});
  for (const std::string& name : sim::Machine::presets()) {
    const sim::Machine model = sim::Machine::load(name);
    machines.push_back({{"name", name},
                        {"summary", model.summary},
                        {"simulated", true},
                        {"cpus", model.places.size()},
                        {"nodes", model.nodes}});
  }
  return machines;
}

json everything() {
  json schemes = json::array();
  for (const Scheme<P>& scheme : scheme_list<P>())
    schemes.push_back(
        {{"name", scheme.name},
         {"summary", scheme.summary},
         {"checked_by",
          check::scheme_checked_by(scheme, find_scheme<SimPlatform>(scheme.name) != nullptr)}});
  json suites = json::array();
  for (const Suite& suite : suite_list(small_trace_path()))
    suites.push_back(
        {{"name", suite.name}, {"summary", suite.summary}, {"budget_s", suite.budget_s}});
  return {{"schemes", schemes},
          {"locks", locks_json()},
          {"broken", broken_json()},
          {"workloads", workloads_json()},
          {"suites", suites},
          {"placements", placement_names()},
          {"machines", machines_json()},
          {"counters", counters_summary()}};
}

void print_section(const json& entries, const char* title, const char* key) {
  std::cout << title << '\n';
  for (const json& entry : entries)
    std::cout << fmt::format("  {:<28} {}\n", entry[key].get<std::string>(),
                             entry["summary"].get<std::string>());
}

// "checked by" and then each way with the names that it covers.
void print_coverage(const json& all) {
  std::map<std::string, std::vector<std::string>> covered;
  for (const char* kind : {"locks", "schemes"})
    for (const json& entry : all[kind])
      covered[entry["checked_by"].get<std::string>()].push_back(entry["name"].get<std::string>());
  std::cout << "checked by\n";
  for (const auto& [way, names] : covered)
    std::cout << fmt::format("  {}\n    {}\n", way, fmt::join(names, ", "));
}

void print_counters(const json& counters) {
  std::cout << "hardware counters\n";
  if (!counters["available"].get<bool>())
    std::cout << "  none: " << counters["reason"].get<std::string>() << '\n';
  else
    for (const json& event : counters["events"])
      std::cout << "  " << event.get<std::string>() << '\n';
}

void print_text(const json& all) {
  print_section(all["schemes"], "schemes", "name");
  print_section(all["locks"], "locks, for lock_loop", "name");
  print_section(all["broken"], "broken locks, never measured", "name");
  print_coverage(all);
  print_section(all["workloads"], "workloads", "name");
  std::cout << "their parameters\n";
  std::string before;
  for (const json& workload : all["workloads"]) {
    const std::string form = workload["form"].get<std::string>();
    if (form != before) std::cout << "  " << form << '\n';
    before = form;
  }
  print_section(all["suites"], "suites", "name");
  std::cout << fmt::format("placements\n  {}\n",
                           fmt::join(all["placements"].get<std::vector<std::string>>(), ", "));
  print_section(all["machines"], "machines: this one, and those that `faultline sim` has models of",
                "name");
  print_counters(all["counters"]);
}

}  // namespace

void add_list_command(CLI::App& app, int& exit_code) {
  CLI::App* list = app.add_subcommand(
      "list", "schemes, locks, workloads, suites, machines, and what this one can measure");
  auto as_json = std::make_shared<bool>(false);
  list->add_flag("--json", *as_json, "as JSON");
  list->callback([as_json, &exit_code] {
    const json all = everything();
    if (*as_json)
      std::cout << all.dump(2) << '\n';
    else
      print_text(all);
    exit_code = 0;
  });
}

}  // namespace faultline
