#include "harness/case/machines.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>
#include <stdexcept>

#include "harness/case/names.hpp"
#include "harness/sim/machine/machine.hpp"

namespace faultline {
namespace {

constexpr const char* native_only = "it runs natively only: the simulator cannot run foreign code";

// Removes from the selection what exists natively alone, and adds it to `left_out`. Throws where
// nothing remains.
Selection without_native(Selection selection, std::vector<LeftOut>& left_out) {
  std::vector<std::string> names;
  for (SuiteEntry& entry : selection.entries)
    std::erase_if(entry.schemes, [&](const std::string& name) {
      if (!scheme_or_lock_named(name).is_native_only()) return false;
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
      return true;
    });
  std::erase_if(selection.entries, [](const SuiteEntry& entry) { return entry.schemes.empty(); });
  for (const std::string& name : names) left_out.push_back({name, native_only});
  if (selection.entries.empty() && !names.empty())
    throw std::invalid_argument(
        fmt::format("--scheme '{}': {}, expected another", fmt::join(names, ","), native_only));
  return selection;
}

// The cases on one machine, without thread counts for which the machine has too few CPUs.
Plan plan_on(const std::string& given, const sim::Machine& machine, Selection selection) {
  const Topology topology = machine.topology();
  const usize cpus = topology.cpus().size();
  std::vector<LeftOut> too_many;
  const bool asked = !selection.threads.empty();
  std::erase_if(selection.threads, [&](u32 count) {
    if (count <= cpus) return false;
    too_many.push_back(
        {fmt::format("{} CPUs of {}", count, machine.name), fmt::format("it has {}", cpus)});
    return true;
  });
  selection.defaults.machine = given;
  Plan plan;
  if (!asked || !selection.threads.empty()) plan = make_plan(selection, topology);
  for (const PlannedCase& planned : plan.cases)
    if (planned.spec.oversubscribed)
      throw std::invalid_argument(fmt::format(
          "--placement '{}': {} CPUs are more than the placement names, expected a CPU for each "
          "simulated thread",
          planned.spec.placement, planned.spec.threads));
  plan.left_out.insert(plan.left_out.end(), too_many.begin(), too_many.end());
  return plan;
}

// Throws unless one of the machines has enough CPUs for the greatest thread count of the selection.
void require_cpus(const Selection& selection, const std::vector<sim::Machine>& machines) {
  usize most = 0;
  for (const sim::Machine& machine : machines) most = std::max(most, machine.places.size());
  for (u32 count : selection.threads)
    if (count > most)
      throw std::invalid_argument(fmt::format("--cpus {}: machine {} has {} CPUs, expected 1 to {}",
                                              count, fmt::join(selection.machines, ","), most,
                                              most));
}

// Throws where a name would mean two machines in the result.
void require_distinct(const Selection& selection, const std::vector<sim::Machine>& machines) {
  std::set<std::string> names;
  const std::vector<std::string> presets = sim::Machine::presets();
  for (usize i = 0; i < machines.size(); ++i) {
    const std::string& given = selection.machines[i];
    const std::string& name = machines[i].name;
    const bool taken = given != name && std::count(presets.begin(), presets.end(), name) != 0;
    if (taken || !names.insert(name).second)
      throw std::invalid_argument(
          fmt::format("--machine {}: the name {} {}, expected a name of its own", given, name,
                      taken ? "belongs to a machine of faultline" : "appears twice"));
  }
}

// Throws where the selection needs more simulated time than the engine's clock can count.
void require_time(const Selection& selection) {
  constexpr double most_s = 150;
  const double together = selection.defaults.warmup_s + selection.defaults.duration_s;
  if (together > most_s)
    throw std::invalid_argument(fmt::format(
        "--warmup and --duration: {:g} s of simulated time together, expected at most {:g} s",
        together, most_s));
}

}  // namespace

Plan plan_machines(const Selection& given) {
  std::vector<sim::Machine> machines;
  for (const std::string& name : given.machines) machines.push_back(sim::Machine::load(name));
  require_distinct(given, machines);
  require_time(given);
  require_cpus(given, machines);
  Plan plan;
  Selection selection = without_native(given, plan.left_out);
  selection.budget_s = 0;  // no budget, since only the running simulations show how much fits
  std::vector<Plan> parts;
  for (usize i = 0; i < machines.size(); ++i)
    parts.push_back(plan_on(selection.machines[i], machines[i], selection));
  usize longest = 0;
  for (const Plan& part : parts) {
    longest = std::max(longest, part.cases.size());
    plan.left_out.insert(plan.left_out.end(), part.left_out.begin(), part.left_out.end());
  }
  for (usize i = 0; i < longest; ++i)
    for (const Plan& part : parts)
      if (i < part.cases.size()) plan.cases.push_back(part.cases[i]);
  return plan;
}

}  // namespace faultline
