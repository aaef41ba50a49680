// The options of `faultline run` and `faultline sim`, with their help texts.
#include "harness/cli/run_arguments.hpp"

namespace faultline {
namespace {

// Refuses empty values, so that a script with an unset variable does not start another run than its
// author meant.
std::string refuse_empty(const std::string& text) {
  return text.empty() ? "an empty text, expected a value" : "";
}

// Adds an option with a text. If it is given twice, the last text counts, so that arguments after a
// script's override them; an option with a list collects all texts.
CLI::Option* add_text(CLI::App& run, const char* name, std::string& value, const char* help) {
  return run.add_option(name, value, help)->take_last()->check(refuse_empty);
}
CLI::Option* add_text(CLI::App& run, const char* name, std::vector<std::string>& value,
                      const char* help) {
  return run.add_option(name, value, help)->check(refuse_empty);
}

// Adds an option for each row of the table of axes that applies to this mode.
void add_axes(CLI::App& run, RunArguments& to, const std::string& group) {
  for (const Axis& row : axes()) {
    if (!row.applies(to.simulated)) continue;
    const std::string flag = "--" + row.flag();
    const auto take = [&to, &row](const std::string& text) { to.settings[row.key] = text; };
    if (row.is_switch()) {
      const std::string other = row.usual() == "on" ? "off" : "on";
      run.add_flag_callback(
             flag, [take, other] { take(other); }, row.help)
          ->group(group);
      continue;
    }
    run.add_option_function<std::string>(flag, take, row.description())
        ->take_last()
        ->check(refuse_empty)
        ->group(group)
        ->default_str(row.usual());
  }
}

void add_selection(CLI::App& run, RunArguments& to) {
  const std::string group = to.simulated ? "What to simulate" : "What to measure";
  const auto add = [&](const char* name, auto& value, const char* help) {
    return add_text(run, name, value, help)->group(group);
  };
  add("--suite", to.suite,
      to.simulated ? "sim-quick (the default), another suite of 'faultline list', or a suite's "
                     "FILE.json"
                   : "quick (the default), another suite of 'faultline list', or a suite's "
                     "FILE.json");
  add("--workload", to.workloads, "workloads instead of a suite, separated by commas");
  add("--scheme", to.schemes, "schemes (or locks, for lock_loop), separated by commas");
  add(to.simulated ? "--cpus" : "--threads", to.threads,
      "1,2,4, or all: powers of two, all CPUs, and the edges of clusters, sockets and SMT");
  add("--placement", to.placements, "compact, scatter, per-node, smt-first, or CPUs: 0,2,4-7");
  const auto flag = [&](const char* name, bool& value, const char* help) {
    run.add_flag(name, value, help)->group(group);
  };
  flag("!--no-ceiling", to.ceiling,
       "leave out the ceiling: `none` with one address space for each thread");
  add_axes(run, to, group);
  add("--filter", to.filter, "only cases whose name matches this REGEX; -REGEX: only the others");
  flag("--list-cases", to.list_tests, "print the names of the cases and run nothing");
}

void add_measurement(CLI::App& run, RunArguments& to) {
  const std::string group = "How to measure";
  const auto add = [&](const char* name, auto& value, const char* help) {
    return add_text(run, name, value, help)->group(group);
  };
  add("--duration", to.duration,
      "length of the measured window, such as 200ms; 0.2s in suites, else 1s");
  add("--warmup", to.warmup, "time that threads run before the window")->capture_default_str();
  add("--repetitions", to.repetitions,
      "trials of each case, each a process; 9 by default, too few cannot show significance");
  add("--latency-repetitions", to.latency_repetitions,
      "further trials of each case, which time every operation; 2 by default");
  run.add_flag("--latency,!--no-latency", to.latency,
               "run latency trials, which is the default, or none")
      ->group(group);
  add("--budget", to.budget, "time for the whole run; what does not fit is left out; 2m for quick");
  run.add_flag("!--no-counters", to.counters, "do not use hardware counters")->group(group);
  add("--exec-in-window", to.exec_in_window,
      "run this command during each measured window; {pid} is the trial");
  add("--stall-limit", to.stall_limit,
      "fail a trial in which a thread makes no progress for this long")
      ->capture_default_str();
  add("--steal-limit", to.steal_limit, "discard a trial with a greater share of stolen CPU time")
      ->capture_default_str();
  add("--seed", to.seed, "seed of order and workloads; drawn and recorded if not given");
  add("--topology", to.topology, "show where threads would go on that machine, and run nothing");
  add("-o,--out", to.out, "the result's file; results/runs/TIME-HOST/results.json if not given");
}

void add_simulation(CLI::App& sim, RunArguments& to) {
  const std::string group = "How to simulate";
  const auto add = [&](const char* name, auto& value, const char* help) {
    return add_text(sim, name, value, help)->group(group);
  };
  add("--machine", to.machines,
      "the modelled machines: presets that `faultline list` names, ideal-N, or FILE.json");
  add("--duration", to.duration,
      "least simulated length of the window; 2ms in sim-quick, else 5ms");
  add("--warmup", to.warmup,
      "least simulated time that threads run before the window; they run on until throughput has "
      "settled, at most 256 times --duration")
      ->capture_default_str();
  add("--repetitions,--seeds", to.repetitions, "seeds of each case; 6 by default, 3 in sim-quick");
  add("--latency-repetitions", to.latency_repetitions,
      "further seeds of each case, which time every operation; 1 by default");
  sim.add_flag("--latency,!--no-latency", to.latency,
               "run latency trials, which is the default, or none")
      ->group(group);
  add("--seed", to.seed, "the first seed; the others follow")->capture_default_str();
  add("--budget", to.budget, "time on this machine after which no simulation begins");
  add("--processes", to.processes,
      "simulations at once; by default one for each CPU of this machine");
  add("--stall-limit", to.stall_limit,
      "fail a trial in which a thread makes no progress for this simulated time")
      ->capture_default_str();
  add("-o,--out", to.out, "the result's file; results/runs/TIME-MACHINE/results.json if not given");
}

// Adds Google Benchmark's flags under their own names, even where faultline has another name for
// the same option.
void add_benchmark_flags(CLI::App& run, RunArguments& to) {
  const std::string group = "Google Benchmark's flags";
  const auto add = [&](const char* name, auto& value, const char* help) {
    add_text(run, name, value, help)->group(group);
  };
  const auto flag = [&](const char* name, bool& value, const char* help) {
    run.add_flag(name, value, help)->group(group);
  };
  add("--benchmark_filter", to.filter, "as --filter");
  flag("--benchmark_list_tests", to.list_tests, "as --list-cases");
  add("--benchmark_format", to.format, "console, json or csv on standard output");
  add("--benchmark_out", to.out, "as --out");
  add("--benchmark_out_format", to.out_format, "json");
  add("--benchmark_repetitions", to.repetitions, "as --repetitions");
  add("--benchmark_min_time", to.duration, "as --duration");
  add("--benchmark_min_warmup_time", to.warmup, "as --warmup");
  flag("--benchmark_enable_random_interleaving", to.interleaved,
       "true, the default, shuffles the trials; false runs case by case");
  flag("--benchmark_display_aggregates_only", to.aggregates_only,
       "show no repetitions on standard output");
  add("--benchmark_color", to.colour, "auto, true or false");
  flag("--benchmark_counters_tabular", to.tabular, "show counters as columns");
  add("--benchmark_time_unit", to.time_unit, "ns, us, ms or s on standard output");
  add("--benchmark_context", to.context, "KEY=VALUE,... for the result's context");
}

}  // namespace

void add_run_options(CLI::App& run, RunArguments& arguments) {
  add_selection(run, arguments);
  add_measurement(run, arguments);
  add_benchmark_flags(run, arguments);
}

void set_sim_defaults(RunArguments& arguments) {
  arguments.simulated = true;
  arguments.warmup = "200us";
  arguments.stall_limit = "1s";
  arguments.seed = "1";
}

void add_sim_options(CLI::App& sim, RunArguments& arguments) {
  set_sim_defaults(arguments);
  add_selection(sim, arguments);
  add_simulation(sim, arguments);
}

}  // namespace faultline
