#include <fmt/format.h>
#include <fmt/ranges.h>

#include <iostream>
#include <map>
#include <nlohmann/json.hpp>

#include "harness/case/suites.hpp"
#include "harness/check/subjects/coverage.hpp"
#include "harness/cli/commands.hpp"
#include "harness/cli/header.hpp"
#include "harness/cli/promises.hpp"
#include "harness/counters/counters.hpp"
#include "harness/sim/machine/machine.hpp"
#include "harness/topology/machine.hpp"
#include "harness/topology/topology.hpp"
#include "workloads/catalogue.hpp"

namespace faultline {
namespace {

using nlohmann::json;
const char* kind_of(Family family) {
  if (family == mutex_family) return "mutex";
  return family == shared_family ? "shared" : "range";
}

json options_json(const Entry& entry) {
  json options = json::array();
  for (const Option& option : entry.options)
    if (option.key != nullptr)
      options.push_back({{"key", option.key},
                         {"form", option_form(option)},
                         {"values", option_values(option)},
                         {"summary", option.summary}});
  return options;
}

json entry_json(const Entry& entry) {
  return {{"name", entry.name}, {"summary", entry.summary}, {"options", options_json(entry)}};
}

json promise_json(const Promise& promise) {
  if (!promise.is_made()) return {{"most_passes", nullptr}};
  return {{"most_passes", promise.most_passes}, {"since", promise.since}};
}

json locks_json() {
  json locks = json::array();
  for (const Family family : {mutex_family, shared_family, range_family})
    for (const Entry& entry : catalogue(family)) {
      json& lock = locks.emplace_back(entry_json(entry));
      lock.update({{"kind", kind_of(family)},
                   {"native_only", entry.native_only},
                   {"lock_loop_only", entry.lock_loop_only},
                   {"promise", promise_json(promise_of(entry.name))},
                   {"checked_by", check::lock_checked_by(entry)}});
    }
  return locks;
}

json schemes_json() {
  json schemes = json::array();
  for (const Entry& entry : catalogue(scheme_family)) {
    json& scheme = schemes.emplace_back(entry_json(entry));
    scheme.update({{"kernel", entry.kernel},
                   {"native_only", entry.native_only},
                   {"discards_by_page", entry.discards_by_page},
                   {"checked_by", check::scheme_checked_by(entry)}});
  }
  return schemes;
}

json profiles_json() {
  json entries = json::array();
  for (const Profile& profile : profiles)
    entries.push_back({{"name", profile.name},
                       {"composition", choose(scheme_family, profile.name).composition()},
                       {"summary", profile.summary}});
  return entries;
}

json plain_json(Family family) {
  json entries = json::array();
  for (const Entry& entry : catalogue(family)) entries.push_back(entry_json(entry));
  return entries;
}

json workloads_json() {
  json workloads = json::array();
  for (const Entry& entry : workload_catalogue()) {
    json& workload = workloads.emplace_back(entry_json(entry));
    workload.update({{"roles", entry.roles},
                     {"needs_files", entry.needs_files},
                     {"runs_on", entry.needs_lock ? "locks" : "schemes"}});
  }
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
  json suites = json::array();
  for (const std::string& name : suite_names()) {
    const Suite suite = load_suite(name);
    suites.push_back({{"name", name}, {"summary", suite.summary}, {"budget_s", suite.budget_s}});
  }
  return {{"schemes", schemes_json()},
          {"profiles", profiles_json()},
          {"locks", locks_json()},
          {"broken", plain_json(broken_family)},
          {"containers", plain_json(vmas_family)},
          {"workloads", workloads_json()},
          {"suites", suites},
          {"placements", placement_names()},
          {"machines", machines_json()},
          {"counters", counters_summary()}};
}

void print_section(const json& entries, const char* title) {
  std::cout << title << '\n';
  for (const json& entry : entries) {
    std::cout << fmt::format("  {:<22} {}\n", entry["name"].get<std::string>(),
                             entry["summary"].get<std::string>());
    if (entry.contains("composition"))
      std::cout << fmt::format("      ={}\n", entry["composition"].get<std::string>());
    if (!entry.contains("options")) continue;
    for (const json& option : entry["options"])
      std::cout << fmt::format("      :{}  {}\n", option["form"].get<std::string>(),
                               option["summary"].get<std::string>());
  }
}

json locks_where(const json& locks, bool lock_loop_only) {
  json some = json::array();
  for (const json& lock : locks)
    if (lock["lock_loop_only"] == lock_loop_only) some.push_back(lock);
  return some;
}

// Prints "checked by", then each kind of check with the names that it covers.
void print_coverage(const json& all) {
  std::map<std::string, std::vector<std::string>> covered;
  for (const char* kind : {"locks", "schemes"})
    for (const json& entry : all[kind])
      covered[entry["checked_by"].get<std::string>()].push_back(entry["name"].get<std::string>());
  std::cout << "checked by\n";
  for (const auto& [way, names] : covered)
    std::cout << fmt::format("  {}\n    {}\n", way, fmt::join(names, ", "));
  std::vector<std::string> exportable;
  for (const json& lock : all["locks"])
    if (lock["checked_by"] != check::by_stress) exportable.push_back(lock["name"]);
  std::cout << fmt::format("  {}\n    {}\n", check::by_genmc, fmt::join(exportable, ", "));
}

std::string times(u32 most) {
  return most == 0 ? "never" : fmt::format("at most {} time(s)", most);
}

// Prints how often a waiter of each lock is passed at most.
void print_promises(const json& locks) {
  std::cout << "a waiter is passed by others that come later\n";
  std::vector<std::string> unbounded;
  for (const json& lock : locks) {
    const json& promise = lock["promise"];
    if (promise["most_passes"].is_null())
      unbounded.push_back(lock["name"]);
    else
      std::cout << fmt::format("  {:<22} {}, once it {}\n", lock["name"].get<std::string>(),
                               times(promise["most_passes"].get<u32>()),
                               promise["since"].get<std::string>());
  }
  std::cout << fmt::format("  without a bound\n    {}\n", fmt::join(unbounded, ", "));
}

void print_weaknesses(const json& schemes) {
  std::vector<std::string> names;
  for (const json& scheme : schemes)
    if (scheme["discards_by_page"].get<bool>()) names.push_back(scheme["name"]);
  std::cout << fmt::format("schemes whose discard takes effect page by page\n    {}\n",
                           fmt::join(names, ", "));
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
  print_section(
      all["schemes"],
      "schemes; an option follows the name, as in mmap_sem:vmas=...; its default comes first");
  print_section(all["profiles"],
                "kernel profiles: the name of a kernel for a scheme with options, not the kernel");
  print_section(locks_where(all["locks"], false), "locks, for lock_loop and as options of schemes");
  print_section(locks_where(all["locks"], true), "locks for lock_loop alone");
  print_section(all["containers"], "containers of VMAs");
  print_section(all["broken"], "broken locks, never measured");
  print_promises(all["locks"]);
  print_weaknesses(all["schemes"]);
  print_coverage(all);
  print_section(all["workloads"], "workloads");
  print_section(all["suites"], "suites");
  std::cout << fmt::format("placements\n  {}\n",
                           fmt::join(all["placements"].get<std::vector<std::string>>(), ", "));
  print_section(all["machines"], "machines: this one, and the models of `faultline sim`");
  print_counters(all["counters"]);
}

}  // namespace

void add_list_command(CLI::App& app, int& exit_code) {
  CLI::App* list = app.add_subcommand(
      "list",
      "lists schemes, locks, workloads, suites, machines, and what this machine can measure");
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
