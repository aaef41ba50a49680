// `faultline run`: from the command line to a result file and its table.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <chrono>
#include <iostream>
#include <stdexcept>

#include "harness/case/candidates.hpp"
#include "harness/cli/commands.hpp"
#include "harness/cli/header.hpp"
#include "harness/cli/out.hpp"
#include "harness/cli/parse.hpp"
#include "harness/cli/run_arguments.hpp"

namespace faultline {
namespace {

// Shows what would be pinned where, and refuses to run: hwloc would bind nothing on a foreign
// topology and call it success.
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
      "--topology '{}': above is where threads would go; expected no --topology to run, since "
      "nothing can be pinned on another machine",
      arguments.topology));
}

void announce(const Plan& plan) {
  std::cerr << fmt::format("{} case(s), {} trials, about {}\n", plan.cases.size(), plan.trials(),
                           human_seconds(plan.seconds));
  if (!plan.left_out.empty())
    std::cerr << fmt::format("{} thing(s) left out, the end says which and why\n",
                             plan.left_out.size());
}

void set_up_library(const RunArguments& arguments) {
  // The library names the program in its output, and keeps the pointer.
  char* names[] = {const_cast<char*>("faultline"), nullptr};
  int count = 1;
  benchmark::Initialize(&count, names);
  for (const auto& [key, value] : context_of(arguments)) benchmark::AddCustomContext(key, value);
  benchmark::SetDefaultTimeUnit(arguments.time_unit == "s"    ? benchmark::kSecond
                                : arguments.time_unit == "ms" ? benchmark::kMillisecond
                                : arguments.time_unit == "us" ? benchmark::kMicrosecond
                                                              : benchmark::kNanosecond);
}

// The header, plan and trials into the journal; then the result from it.
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
  // Standard output is the library's where its formats were asked for.
  finish(journal_path, out, arguments.format.empty() ? std::cout : std::cerr);
  return outcome;
}

int run_command(const RunArguments& arguments) {
  if (!arguments.topology.empty()) show_foreign(arguments);
  const auto begin = std::chrono::steady_clock::now();
  const Topology topology = Topology::here();
  Selection selection = make_selection(arguments);
  RunOptions options = make_run_options(arguments);
  const auto context = context_of(arguments);
  if (arguments.list_tests) {
    list_cases(make_plan(selection, topology), std::cout);
    return 0;
  }
  if (topology.is_foreign())
    throw std::invalid_argument(
        "topology: the environment (HWLOC_XMLFILE, HWLOC_SYNTHETIC, HWLOC_FSROOT) shows another "
        "machine, on which nothing can be pinned; expected this machine's own");
  find_candidates(selection, topology);  // what it refuses leaves no folder behind
  const std::string out = choose_out(arguments.out, host_name());

  Interrupts interrupts;
  selection.overhead = [&](const CaseSpec& spec) {
    return interrupts.signal() != 0 ? Overhead{}
                                    : measure_overhead(spec, options.command, interrupts);
  };
  const Plan plan = make_plan(selection, topology);
  announce(plan);
  if (selection.budget_s > 0)
    options.end = begin + std::chrono::duration_cast<std::chrono::steady_clock::duration>(
                              std::chrono::duration<double>(selection.budget_s));
  set_up_library(arguments);
  nlohmann::json header = run_header(selection.suite, options.seed, topology, plan);
  for (const auto& [key, value] : context) header["context"][key] = value;
  const RunOutcome outcome = measure(arguments, out, plan, options, header, interrupts);
  if (outcome.signal != 0) return 128 + outcome.signal;
  return outcome.failed + outcome.spoiled != 0 ? 1 : 0;
}

}  // namespace

void add_run_command(CLI::App& app, int& exit_code) {
  auto arguments = std::make_shared<RunArguments>();
  CLI::App* run = app.add_subcommand("run", "measures natively on this machine");
  add_run_options(*run, *arguments);
  run->callback([arguments, &exit_code] { exit_code = run_command(*arguments); });
}

}  // namespace faultline
