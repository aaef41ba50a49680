// `faultline run` and `faultline sim`: carry out what the command line asks for, down to the result
// file and its table.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <chrono>
#include <iostream>
#include <optional>
#include <stdexcept>

#include "harness/case/candidates.hpp"
#include "harness/case/machines.hpp"
#include "harness/cli/commands.hpp"
#include "harness/cli/header.hpp"
#include "harness/cli/out.hpp"
#include "harness/cli/parse.hpp"
#include "harness/cli/run_arguments.hpp"

namespace faultline {
namespace {

using Clock = std::chrono::steady_clock;

// Shows where threads would be pinned, and refuses to run, because hwloc reports success on a
// foreign topology although it binds nothing.
[[noreturn]] void show_foreign(const RunArguments& arguments) {
  const Topology topology = Topology::foreign(arguments.topology);
  for (const std::string& placement : placements_of(arguments)) {
    std::vector<u32> counts = parse_counts("--threads", arguments.threads);
    if (counts.empty()) counts = topology.thread_counts(placement);
    for (u32 threads : counts)
      std::cout << placement << ", " << threads << " thread(s):\n"
                << describe(topology, placement, threads);
  }
  std::cout << std::flush;
  throw std::invalid_argument(fmt::format(
      "--topology '{}': the lines above show where threads would go; expected no --topology for a "
      "run, since threads cannot be pinned on another machine",
      arguments.topology));
}

void require_own(const Topology& topology) {
  if (topology.is_foreign())
    throw std::invalid_argument(
        "topology: the environment (HWLOC_XMLFILE, HWLOC_SYNTHETIC, HWLOC_FSROOT) describes "
        "another "
        "machine, on which threads cannot be pinned; expected this machine");
}

void announce(const RunArguments& arguments, const Plan& plan, const RunOptions& options) {
  if (arguments.simulated) {
    std::cerr << fmt::format("{} case(s), {} simulations, {} at once\n", plan.cases.size(),
                             plan.trials(), options.processes);
    return;
  }
  std::cerr << fmt::format("{} case(s), {} trials, about {}\n", plan.cases.size(), plan.trials(),
                           human_seconds(plan.seconds));
  if (!plan.left_out.empty())
    std::cerr << fmt::format("{} item(s) left out, which the table at the end lists with reasons\n",
                             plan.left_out.size());
}

void set_up_library(const RunArguments& arguments) {
  // The library keeps the pointer and prints the program's name in its output.
  char* names[] = {const_cast<char*>("faultline"), nullptr};
  int count = 1;
  benchmark::Initialize(&count, names);
  for (const auto& [key, value] : context_of(arguments)) benchmark::AddCustomContext(key, value);
  benchmark::SetDefaultTimeUnit(arguments.time_unit == "s"    ? benchmark::kSecond
                                : arguments.time_unit == "ms" ? benchmark::kMillisecond
                                : arguments.time_unit == "us" ? benchmark::kMicrosecond
                                                              : benchmark::kNanosecond);
}

// Writes header and trials to the journal, then makes the result from it.
RunOutcome measure(const RunArguments& arguments, const std::string& out, const Plan& plan,
                   const RunOptions& options, const nlohmann::json& header,
                   Interrupts& interrupts) {
  const std::string journal_path = journal_for(out);
  RunOutcome outcome;
  {
    Journal journal(journal_path, header);
    outcome = run_plan(plan, options, journal, interrupts);
    journal.append({{"ended", true}});
  }
  // In a format of Google Benchmark's, standard output holds only the library's output.
  finish(journal_path, out, arguments.format.empty() ? std::cout : std::cerr);
  return outcome;
}

// `faultline sim` if arguments.simulated, else `faultline run`.
class RunCommand {
 public:
  explicit RunCommand(const RunArguments& arguments)
      : arguments_(arguments),
        selection_(make_selection(arguments)),
        options_(make_run_options(arguments)) {
    if (selection_.budget_s > 0)
      options_.end = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                        std::chrono::duration<double>(selection_.budget_s));
    if (!arguments_.simulated) topology_ = Topology::here();
  }

  int run() {
    const auto context = context_of(arguments_);
    if (arguments_.list_tests) {
      list_cases(plan(), std::cout);
      return 0;
    }
    const std::string out = choose_out(arguments_.out, name_after_checks());
    Interrupts interrupts;
    selection_.overhead = [&](const CaseSpec& spec) {
      return interrupts.signal() != 0 ? Overhead{}
                                      : measure_overhead(spec, options_.command, interrupts);
    };
    const Plan planned = plan();
    announce(arguments_, planned, options_);
    if (!arguments_.format.empty()) set_up_library(arguments_);
    nlohmann::json header = header_of(planned);
    for (const auto& [key, value] : context) header["context"][key] = value;
    const RunOutcome outcome = measure(arguments_, out, planned, options_, header, interrupts);
    if (outcome.signal != 0) return 128 + outcome.signal;
    return outcome.failed + outcome.spoiled != 0 ? 1 : 0;
  }

 private:
  Plan plan() const {
    return topology_ ? make_plan(selection_, *topology_) : plan_machines(selection_);
  }

  // The name of the machine, for the result's folder. Throws for a selection that cannot run,
  // before that folder exists.
  std::string name_after_checks() const {
    if (!topology_) return plan().cases.front().spec.machine_name();
    require_own(*topology_);
    find_candidates(selection_, *topology_);
    return host_name();
  }

  nlohmann::json header_of(const Plan& plan) const {
    return topology_
               ? run_header(selection_.suite, options_.seed, *topology_, plan)
               : sim_header(selection_.suite, options_.seed, modelled_machines(selection_), plan);
  }

  const RunArguments& arguments_;
  Selection selection_;
  RunOptions options_;
  std::optional<Topology> topology_;  // this machine's; none in a simulation
};

int run_command(const RunArguments& arguments) {
  if (!arguments.topology.empty()) show_foreign(arguments);
  return RunCommand(arguments).run();
}

}  // namespace

void add_run_command(CLI::App& app, int& exit_code) {
  auto arguments = std::make_shared<RunArguments>();
  CLI::App* run = app.add_subcommand("run", "measures natively on this machine");
  add_run_options(*run, *arguments);
  run->callback([arguments, &exit_code] { exit_code = run_command(*arguments); });
}

void add_sim_command(CLI::App& app, int& exit_code) {
  auto arguments = std::make_shared<RunArguments>();
  CLI::App* sim =
      app.add_subcommand("sim", "simulates the same cases on modelled machines of up to 1024 CPUs");
  add_sim_options(*sim, *arguments);
  sim->callback([arguments, &exit_code] { exit_code = run_command(*arguments); });
}

}  // namespace faultline
