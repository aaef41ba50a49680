// `faultline run`: from the command line to a result file and its table.
#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <ctime>
#include <filesystem>
#include <iostream>
#include <stdexcept>

#include "harness/cli/commands.hpp"
#include "harness/cli/header.hpp"
#include "harness/cli/parse.hpp"
#include "harness/cli/run_arguments.hpp"
#include "harness/native/candidates.hpp"
#include "results/files.hpp"
#include "results/summary.hpp"
#include "results/writer.hpp"

namespace faultline {
namespace {

namespace fs = std::filesystem;

std::string default_out() {
  char host[256] = "host";
  gethostname(host, sizeof(host) - 1);
  const std::time_t now = std::time(nullptr);
  char time[32];
  std::strftime(time, sizeof(time), "%Y%m%d-%H%M%S", std::localtime(&now));
  const fs::path out = fmt::format("results/runs/{}-{}/results.json", time, host);
  std::error_code error;
  fs::create_directories(out.parent_path(), error);
  if (error)
    throw std::invalid_argument("cannot make " + out.parent_path().string() + ": " +
                                error.message() + ", expected --out FILE in a writable folder");
  return out.string();
}

// The journal beside the result. One that a killed run left holds trials that nobody has yet.
std::string journal_for(const std::string& out) {
  const std::string journal = out + ".journal";
  if (fs::exists(journal))
    throw std::invalid_argument(
        fmt::format("{}: left by a run that did not end; expected it away: `faultline recover {}` "
                    "makes its result, then remove it",
                    journal, journal));
  return journal;
}

// Shows what would be pinned where, and refuses to run: hwloc would bind nothing on a foreign
// topology and call it success.
[[noreturn]] void show_foreign(const RunArguments& arguments) {
  const Topology topology = Topology::foreign(arguments.topology);
  for (const std::string& placement : placements_of(arguments)) {
    std::vector<u32> counts = parse_threads(arguments.threads);
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

void list_tests(const Plan& plan) {
  for (const PlannedCase& planned : plan.cases) std::cout << planned.spec.name() << '\n';
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

// The result from the journal, which stays where there is no room for the result.
nlohmann::json finish(const std::string& journal, const std::string& out) {
  try {
    return recover(journal, out);
  } catch (const std::invalid_argument& error) {
    throw std::invalid_argument(fmt::format(
        "{}; the trials are in {}, `faultline recover` makes the result", error.what(), journal));
  }
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
  const nlohmann::json results = finish(journal_path, out);
  std::error_code ignored;
  fs::remove(journal_path, ignored);
  // Standard output is the library's where its formats were asked for.
  std::ostream& table = arguments.format.empty() ? std::cout : std::cerr;
  print_summary(table, results);
  table << "results: " << out << '\n';
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
    list_tests(make_plan(selection, topology));
    return 0;
  }
  find_candidates(selection, topology);  // what it refuses leaves no folder behind
  const std::string out = arguments.out.empty() ? default_out() : arguments.out;
  require_writable(out);
  journal_for(out);

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
