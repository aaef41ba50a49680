// `faultline sim`: from the command line to a result of modelled machines and its table.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iostream>
#include <set>
#include <stdexcept>

#include "harness/case/names.hpp"
#include "harness/cli/commands.hpp"
#include "harness/cli/header.hpp"
#include "harness/cli/out.hpp"
#include "harness/cli/parse.hpp"
#include "harness/cli/run_arguments.hpp"
#include "harness/sim/machine.hpp"
#include "harness/sim/runner.hpp"
#include "harness/topology/pinned.hpp"

namespace faultline {
namespace {

constexpr const char* native_only = "it is native alone: the simulator has no code of others";

// Without what exists natively alone, which is told. Throws where nothing remains.
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

// The cases on one machine. What it has no CPUs for is left out.
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
  plan.left_out.insert(plan.left_out.end(), too_many.begin(), too_many.end());
  return plan;
}

// Throws unless one of the machines has as many CPUs as are asked for at most.
void require_cpus(const Selection& selection, const std::vector<sim::Machine>& machines) {
  usize most = 0;
  for (const sim::Machine& machine : machines) most = std::max(most, machine.places.size());
  for (u32 count : selection.threads)
    if (count > most)
      throw std::invalid_argument(fmt::format("--cpus {}: machine {} has {} CPUs, expected 1 to {}",
                                              count, fmt::join(selection.machines, ","), most,
                                              most));
}

// One name in a result is one machine.
void require_distinct(const Selection& selection, const std::vector<sim::Machine>& machines) {
  std::set<std::string> names;
  const std::vector<std::string> presets = sim::Machine::presets();
  for (usize i = 0; i < machines.size(); ++i) {
    const std::string& given = selection.machines[i];
    const std::string& name = machines[i].name;
    const bool taken = given != name && std::count(presets.begin(), presets.end(), name) != 0;
    if (taken || !names.insert(name).second)
      throw std::invalid_argument(
          fmt::format("--machine {}: the name {} is {}, expected one of its own", given, name,
                      taken ? "that of a machine of faultline's" : "there twice"));
  }
}

// Beyond that the engine's clock has no room.
void require_time(const Selection& selection) {
  constexpr double most_s = 150;
  const double together = selection.defaults.warmup_s + selection.defaults.duration_s;
  if (together > most_s)
    throw std::invalid_argument(fmt::format(
        "--warmup and --duration: {:g} s of simulated time together, expected at most {:g} s",
        together, most_s));
}

// The machines' cases by turns, the most important first.
Plan plan_machines(const Selection& given) {
  std::vector<sim::Machine> machines;
  for (const std::string& name : given.machines) machines.push_back(sim::Machine::load(name));
  require_distinct(given, machines);
  require_time(given);
  require_cpus(given, machines);
  Plan plan;
  const Selection selection = without_native(given, plan.left_out);
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

SimRunOptions make_options(const RunArguments& arguments) {
  SimRunOptions options;
  options.seed = parse_number("--seed", arguments.seed, 0, INT64_MAX / 2);
  options.processes =
      arguments.processes.empty()
          ? std::max(1U, static_cast<u32>(allowed_cpus().size()))
          : static_cast<u32>(parse_number("--processes", arguments.processes, 1, 1024));
  options.stall_limit_s = parse_seconds("--stall-limit", arguments.stall_limit);
  return options;
}

void announce(const Plan& plan, const SimRunOptions& options) {
  std::cerr << fmt::format("{} case(s), {} simulations, {} at once\n", plan.cases.size(),
                           plan.trials(), options.processes);
}

int sim_command(const RunArguments& arguments) {
  const auto begin = std::chrono::steady_clock::now();
  Selection selection = make_selection(arguments);
  if (selection.machines.empty()) selection.machines = {"e7-8870"};
  SimRunOptions options = make_options(arguments);
  if (selection.budget_s > 0)
    options.end = begin + std::chrono::duration_cast<std::chrono::steady_clock::duration>(
                              std::chrono::duration<double>(selection.budget_s));
  selection.budget_s = 0;  // what fits is seen as it goes
  const Plan plan = plan_machines(selection);
  if (arguments.list_tests) {
    list_cases(plan, std::cout);
    return 0;
  }
  const std::string out = choose_out(arguments.out, plan.cases.front().spec.machine_name());
  Interrupts interrupts;
  announce(plan, options);
  RunOutcome outcome;
  {
    Journal journal(journal_for(out), sim_header(selection.suite, options.seed,
                                                 selection.repetitions, selection.machines, plan));
    outcome = run_sim_plan(plan, options, journal, interrupts);
    journal.append({{"ended", true}});
  }
  finish(journal_for(out), out, std::cout);
  if (outcome.signal != 0) return 128 + outcome.signal;
  return outcome.failed != 0 ? 1 : 0;
}

}  // namespace

void add_sim_command(CLI::App& app, int& exit_code) {
  auto arguments = std::make_shared<RunArguments>();
  CLI::App* sim =
      app.add_subcommand("sim", "simulates the same cases on modelled machines of up to 1024 CPUs");
  add_sim_options(*sim, *arguments);
  sim->callback([arguments, &exit_code] { exit_code = sim_command(*arguments); });
}

}  // namespace faultline
