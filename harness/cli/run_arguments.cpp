#include "harness/cli/run_arguments.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <random>
#include <stdexcept>

#include "harness/case/names.hpp"
#include "harness/cli/header.hpp"
#include "harness/cli/parse.hpp"
#include "harness/topology/pinned.hpp"

namespace faultline {
namespace {

// The window is short because a simulation takes longer than the simulated time, the more so the
// more CPUs it has. Six seeds are the fewest that give the median an interval.
constexpr double sim_duration_s = 0.005;
constexpr u32 sim_seeds = 6;

Suite find_suite(const std::string& given, bool simulated) {
  Suite suite = load_suite(given);
  if (suite.simulated && !simulated)
    throw std::invalid_argument(fmt::format(
        "--suite '{}': it is for `faultline sim`, expected one for native measurements", given));
  return suite;
}

std::vector<std::string> workload_names() {
  std::vector<std::string> names;
  for (const Entry& entry : workload_catalogue()) names.emplace_back(entry.name);
  return names;
}

// The names of all schemes and locks in --scheme, in canonical form.
std::vector<std::string> named_schemes(const RunArguments& arguments) {
  std::vector<std::string> names;
  for (const std::string& text : arguments.schemes)
    for (const std::string& name : split_schemes(text))
      names.push_back(scheme_or_lock_named(name).text());
  return names;
}

// The names that a workload can run on: the locks among them if `locks`, else the schemes.
std::vector<std::string> fitting(const std::vector<std::string>& names, bool locks) {
  std::vector<std::string> fit;
  std::copy_if(names.begin(), names.end(), std::back_inserter(fit), [&](const std::string& name) {
    const Families families = locks ? lock_families : Families{scheme_family};
    return find_entry(families, name.substr(0, name.find(':'))) != nullptr;
  });
  return fit;
}

void select_workloads(const RunArguments& arguments, Selection& selection) {
  const std::vector<std::string> schemes = named_schemes(arguments);
  for (const std::string& text : arguments.workloads)
    for (const std::string& workload : split_workloads(text, workload_names())) {
      const Chosen chosen = workload_named(workload);
      const bool locks = chosen.entry().needs_lock;
      selection.entries.push_back(
          {chosen.text(), schemes.empty() ? all_contestants(locks) : fitting(schemes, locks),
           // A bare lock has no faulters and updaters.
           locks ? AxisValues{{"roles", {""}}} : AxisValues{}});
    }
  selection.defaults.duration_s = arguments.simulated ? sim_duration_s : 1;
  if (!arguments.simulated) return;
  selection.repetitions = sim_seeds;
  if (arguments.latency_repetitions.empty())
    selection.latency_repetitions = std::min(selection.latency_repetitions, 1U);
}

// What the command line says applies to each entry.
void replace_in_entries(const RunArguments& arguments, std::vector<SuiteEntry>& entries) {
  for (SuiteEntry& entry : entries) {
    if (!arguments.machines.empty()) entry.machines.clear();
    if (!arguments.threads.empty()) entry.cpus.clear();
    if (!arguments.placements.empty()) entry.placement.reset();
    if (!arguments.repetitions.empty()) entry.repetitions.reset();
    if (!arguments.duration.empty()) entry.duration_s.reset();
  }
}

void select_suite(const RunArguments& arguments, Selection& selection) {
  const std::string usual = arguments.simulated ? "sim-quick" : "quick";
  const Suite suite =
      find_suite(arguments.suite.empty() ? usual : arguments.suite, arguments.simulated);
  selection.suite = suite.name;
  selection.entries = suite.entries;
  // The windows of a native suite are too long for a simulation.
  if (arguments.simulated && !suite.simulated)
    for (SuiteEntry& entry : selection.entries) entry.duration_s.reset();
  replace_in_entries(arguments, selection.entries);
  selection.budget_s = suite.budget_s;
  selection.repetitions = suite.repetitions;
  // Suite smoke has two repetitions to be fast, so it gets fewer latency trials too.
  if (arguments.latency_repetitions.empty())
    selection.latency_repetitions = std::min(selection.latency_repetitions, suite.repetitions / 2);
  selection.defaults.duration_s =
      arguments.simulated && !suite.simulated ? sim_duration_s : suite.duration_s;
  selection.most_threads = suite.most_threads;
  selection.most_counts = suite.most_counts;
  selection.machines = suite.machines;
  selection.ceiling = suite.ceiling;
  if (!suite.latency && arguments.latency_repetitions.empty()) selection.latency_repetitions = 0;
  if (const std::vector<std::string> schemes = named_schemes(arguments); !schemes.empty()) {
    for (SuiteEntry& entry : selection.entries)
      std::erase_if(entry.schemes, [&](const std::string& name) {
        return std::find(schemes.begin(), schemes.end(), name) == schemes.end();
      });
    std::erase_if(selection.entries, [](const SuiteEntry& entry) { return entry.schemes.empty(); });
    if (selection.entries.empty())
      throw std::invalid_argument(fmt::format(
          "--scheme '{}': no entry of suite {} has it, expected --workload beside it, or one that "
          "the suite has",
          fmt::join(arguments.schemes, ","), suite.name));
  }
}

void set_case_options(const RunArguments& arguments, CaseSpec& defaults) {
  for (const auto& [key, value] : arguments.settings) {
    try {
      defaults.settings.set(key, value);
    } catch (const std::invalid_argument& error) {
      throw std::invalid_argument(fmt::format("--{}", error.what()));
    }
  }
  defaults.warmup_s = parse_seconds("--warmup", arguments.warmup);
  if (!arguments.duration.empty())
    defaults.duration_s = parse_seconds("--duration", arguments.duration);
}

DisplayOptions make_display(const RunArguments& arguments) {
  DisplayOptions display;
  if (!arguments.format.empty()) {
    require_one_of("--benchmark_format", arguments.format, {"console", "json", "csv"});
    display.format = arguments.format == "console" ? DisplayFormat::console
                     : arguments.format == "json"  ? DisplayFormat::json
                                                   : DisplayFormat::csv;
  }
  // The table at the end of a run shows the aggregates.
  if (arguments.aggregates_only) display.format = DisplayFormat::progress;
  require_one_of("--benchmark_out_format", arguments.out_format, {"json"});
  require_one_of("--benchmark_color", arguments.colour, {"auto", "true", "false", "yes", "no"});
  display.colour = arguments.colour == "true" || arguments.colour == "yes" ||
                   (arguments.colour == "auto" && isatty(STDOUT_FILENO) != 0);
  display.tabular = arguments.tabular;
  return display;
}

u32 simulations_at_once(const RunArguments& arguments) {
  if (arguments.processes.empty()) return std::max(1U, static_cast<u32>(allowed_cpus().size()));
  return static_cast<u32>(parse_number("--processes", arguments.processes, 1, 1024));
}

}  // namespace

std::vector<std::string> placements_of(const RunArguments& arguments) {
  std::vector<std::string> placements;
  for (const std::string& text : arguments.placements)
    for (const std::string& placement : split_placements(text)) placements.push_back(placement);
  if (placements.empty()) placements.emplace_back("compact");
  return placements;
}

std::vector<std::pair<std::string, std::string>> context_of(const RunArguments& arguments) {
  std::vector<std::pair<std::string, std::string>> pairs;
  if (arguments.context.empty()) return pairs;
  for (const std::string& text : split_list("--benchmark_context", arguments.context)) {
    const usize equals = text.find('=');
    if (equals == std::string::npos || equals == 0)
      throw std::invalid_argument("--benchmark_context '" + arguments.context +
                                  "': expected KEY=VALUE with commas between");
    pairs.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  return pairs;
}

Selection make_selection(const RunArguments& arguments) {
  Selection selection;
  if (!arguments.latency_repetitions.empty())
    selection.latency_repetitions = static_cast<u32>(
        parse_number("--latency-repetitions", arguments.latency_repetitions, 0, 1000));
  if (!arguments.latency) selection.latency_repetitions = 0;
  if (!arguments.workloads.empty() && !arguments.suite.empty())
    throw std::invalid_argument("--suite with --workload: expected one of the two");
  if (arguments.workloads.empty() && arguments.settings.contains("roles"))
    throw std::invalid_argument("--roles: expected with --workload, a suite has its own");
  if (arguments.workloads.empty())
    select_suite(arguments, selection);
  else
    select_workloads(arguments, selection);
  set_case_options(arguments, selection.defaults);
  selection.placements = placements_of(arguments);
  const std::vector<u32> counts =
      parse_counts(arguments.simulated ? "--cpus" : "--threads", arguments.threads);
  if (!arguments.threads.empty()) selection.threads = counts;
  if (!arguments.machines.empty()) selection.machines = split_list("--machine", arguments.machines);
  if (arguments.simulated && selection.machines.empty()) selection.machines = {"e7-8870"};
  if (!arguments.ceiling) selection.ceiling = false;
  selection.filter = arguments.filter;
  if (!arguments.repetitions.empty())
    selection.repetitions =
        static_cast<u32>(parse_number("--repetitions", arguments.repetitions, 1, 100'000));
  if (!arguments.budget.empty()) selection.budget_s = parse_seconds("--budget", arguments.budget);
  return selection;
}

RunOptions make_run_options(const RunArguments& arguments) {
  RunOptions options;
  // A simulated trial's seed is this seed plus the number of its repetition, which must not
  // overflow.
  const u64 greatest_seed = arguments.simulated ? INT64_MAX / 2 : INT64_MAX;
  options.seed = arguments.seed.empty() ? std::random_device{}()
                                        : parse_number("--seed", arguments.seed, 0, greatest_seed);
  options.order = arguments.simulated     ? TrialOrder::rounds
                  : arguments.interleaved ? TrialOrder::interleaved
                                          : TrialOrder::by_case;
  if (arguments.simulated) options.processes = simulations_at_once(arguments);
  if (arguments.simulated) options.patience_s = sim_patience_s;
  options.stall_limit_s = parse_seconds("--stall-limit", arguments.stall_limit);
  options.steal_limit = parse_share("--steal-limit", arguments.steal_limit);
  options.exec_in_window = arguments.exec_in_window;
  options.counters = arguments.counters;
  options.display = make_display(arguments);
  require_one_of("--benchmark_time_unit", arguments.time_unit, {"ns", "us", "ms", "s"});
  return options;
}

}  // namespace faultline
