#include "harness/case/machines.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <exception>
#include <set>
#include <stdexcept>

#include "harness/case/candidates.hpp"
#include "harness/case/names.hpp"
#include "harness/sim/machine/machine.hpp"

namespace faultline {
namespace {

constexpr const char* native_only = "it runs natively only: the simulator cannot run foreign code";

// Removes from the selection what exists natively alone, and adds it to `left_out`. Throws where
// nothing remains. The plan refuses an entry that had no scheme from the first.
Selection without_native(Selection selection, std::vector<LeftOut>& left_out) {
  std::vector<std::string> names;
  const auto is_left_out = [&](const std::string& name) {
    if (!scheme_or_lock_named(name).is_native_only()) return false;
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    return true;
  };
  std::erase_if(selection.entries, [&](SuiteEntry& entry) {
    return std::erase_if(entry.schemes, is_left_out) != 0 && entry.schemes.empty();
  });
  for (const std::string& name : names) left_out.push_back({name, native_only});
  if (selection.entries.empty() && !names.empty())
    throw std::invalid_argument(
        fmt::format("--scheme '{}': {}, expected another", fmt::join(names, ","), native_only));
  return selection;
}

// Keeps the entries that run on the machine, each without the numbers of CPUs that the machine does
// not have. Answers these numbers.
std::set<u32> keep_what_fits(const std::string& machine, usize cpus, Selection& selection) {
  std::set<u32> too_many;
  const auto drop = [&](u32 count) {
    if (count <= cpus) return false;
    too_many.insert(count);
    return true;
  };
  std::erase_if(selection.entries, [&](SuiteEntry& entry) {
    const auto& machines = entry.machines.empty() ? selection.machines : entry.machines;
    if (std::find(machines.begin(), machines.end(), machine) == machines.end()) return true;
    if (entry.cpus.empty()) entry.cpus = selection.threads;
    return std::erase_if(entry.cpus, drop) != 0 && entry.cpus.empty();
  });
  return too_many;
}

// The cases on one machine, without thread counts for which the machine has too few CPUs.
Plan plan_on(const std::string& given, const sim::Machine& machine, Selection selection) {
  const Topology topology = machine.topology();
  const usize cpus = topology.cpus().size();
  std::vector<LeftOut> too_many;
  for (u32 count : keep_what_fits(given, cpus, selection))
    too_many.push_back(
        {fmt::format("{} CPUs of {}", count, machine.name), fmt::format("it has {}", cpus)});
  selection.defaults.machine = given;
  Plan plan;
  if (!selection.entries.empty()) plan = make_plan(selection, topology);
  for (const PlannedCase& planned : plan.cases)
    if (planned.spec.oversubscribed)
      throw std::invalid_argument(fmt::format(
          "--placement '{}': {} CPUs are more than the placement names, expected a CPU for each "
          "simulated thread",
          planned.spec.placement, planned.spec.threads));
  plan.left_out.insert(plan.left_out.end(), too_many.begin(), too_many.end());
  return plan;
}

// Throws unless one of the machines has enough CPUs for the greatest thread count of the command
// line. The suite's reader looks at the counts of the entries.
void require_cpus(const Selection& selection, const std::vector<sim::Machine>& machines) {
  usize most = 0;
  for (const sim::Machine& machine : machines) most = std::max(most, machine.places.size());
  for (u32 count : selection.threads)
    if (count > most)
      throw std::invalid_argument(fmt::format("--cpus {}: machine {} has {} CPUs, expected 1 to {}",
                                              count, fmt::join(modelled_machines(selection), ","),
                                              most, most));
}

// Throws where a name would mean two machines in the result.
void require_distinct(const std::vector<std::string>& all_given,
                      const std::vector<sim::Machine>& machines) {
  std::set<std::string> names;
  const std::vector<std::string> presets = sim::Machine::presets();
  for (usize i = 0; i < machines.size(); ++i) {
    const std::string& given = all_given[i];
    const std::string& name = machines[i].name;
    const bool taken = given != name && std::count(presets.begin(), presets.end(), name) != 0;
    if (taken || !names.insert(name).second)
      throw std::invalid_argument(
          fmt::format("--machine {}: the name {} {}, expected a name of its own", given, name,
                      taken ? "belongs to a machine of faultline" : "appears twice"));
  }
}

// Throws where an entry needs more simulated time than the engine's clock can count.
void require_time(const Selection& selection) {
  constexpr double most_s = 150;
  const CaseSpec& defaults = selection.defaults;
  double together = 0;
  for (const SuiteEntry& entry : selection.entries)
    together = std::max(together, std::max(defaults.warmup_s, entry.warmup_s) +
                                      entry.duration_s.value_or(defaults.duration_s));
  if (together > most_s)
    throw std::invalid_argument(fmt::format(
        "--warmup and --duration: {:g} s of simulated time together, expected at most {:g} s",
        together, most_s));
}

}  // namespace

std::vector<std::string> modelled_machines(const Selection& selection) {
  std::vector<std::string> names;
  const auto names_none = [](const SuiteEntry& entry) { return entry.machines.empty(); };
  if (std::any_of(selection.entries.begin(), selection.entries.end(), names_none))
    names = selection.machines;
  for (const SuiteEntry& entry : selection.entries)
    for (const std::string& name : entry.machines)
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  return names;
}

Plan plan_machines(const Selection& given) {
  const std::vector<std::string> names = modelled_machines(given);
  std::vector<sim::Machine> machines;
  for (const std::string& name : names) machines.push_back(sim::Machine::load(name));
  require_distinct(names, machines);
  require_time(given);
  require_cpus(given, machines);
  Plan plan;
  Selection selection = without_native(given, plan.left_out);
  selection.budget_s = 0;  // no budget, since only the running simulations show how much fits
  std::vector<Plan> parts;
  // A filter may leave cases on some of the machines alone.
  std::exception_ptr nothing;
  for (usize i = 0; i < machines.size(); ++i) {
    try {
      parts.push_back(plan_on(names[i], machines[i], selection));
    } catch (const NothingMatches&) {
      nothing = std::current_exception();
    }
  }
  if (parts.empty()) std::rethrow_exception(nothing);
  usize longest = 0;
  for (const Plan& part : parts) {
    longest = std::max(longest, part.cases.size());
    plan.left_out.insert(plan.left_out.end(), part.left_out.begin(), part.left_out.end());
  }
  for (usize i = 0; i < longest; ++i)
    for (const Plan& part : parts)
      if (i < part.cases.size()) plan.cases.push_back(part.cases[i]);
  if (plan.cases.empty()) {
    const LeftOut& first = plan.left_out.front();
    throw std::invalid_argument(fmt::format(
        "the selection: {}: {}, expected one case at least that can run", first.what, first.why));
  }
  return plan;
}

}  // namespace faultline
