// The options of `faultline run`, as its help shows them.
#include "harness/cli/run_arguments.hpp"

namespace faultline {
namespace {

// An unset variable of a script must not start another run than was meant.
std::string refuse_empty(const std::string& text) {
  return text.empty() ? "an empty text, expected a value" : "";
}

// The last of an option's texts counts, so that a script's can be overridden; lists grow.
CLI::Option* add_text(CLI::App& run, const char* name, std::string& value, const char* help) {
  return run.add_option(name, value, help)->take_last()->check(refuse_empty);
}
CLI::Option* add_text(CLI::App& run, const char* name, std::vector<std::string>& value,
                      const char* help) {
  return run.add_option(name, value, help)->check(refuse_empty);
}

// One option a row of the table of axes.
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
      to.simulated ? "sim-quick (the default), quick, full, smoke, or a suite's FILE.json"
                   : "quick (the default), full, smoke, or a suite's FILE.json");
  add("--workload", to.workloads, "instead of a suite: workloads, with commas between");
  add("--scheme", to.schemes, "schemes (or locks, for lock_loop), with commas between");
  add(to.simulated ? "--cpus" : "--threads", to.threads,
      "1,2,4, or all: 1, 2, powers of two, the machine's edges");
  add("--placement", to.placements, "compact, scatter, per-node, smt-first, or CPUs: 0,2,4-7");
  const auto flag = [&](const char* name, bool& value, const char* help) {
    run.add_flag(name, value, help)->group(group);
  };
  flag("!--no-ceiling", to.ceiling, "leave out `none` with one address space a thread");
  add_axes(run, to, group);
  add("--filter", to.filter, "cases whose name matches; -REGEX: all others");
  flag("--list-cases", to.list_tests, "name the cases, run nothing");
}

void add_measurement(CLI::App& run, RunArguments& to) {
  const std::string group = "How to measure";
  const auto add = [&](const char* name, auto& value, const char* help) {
    return add_text(run, name, value, help)->group(group);
  };
  add("--duration", to.duration, "of the measured window, such as 200ms; 0.2s in suites, else 1s");
  add("--warmup", to.warmup, "before the window")->capture_default_str();
  add("--repetitions", to.repetitions, "processes a case, 9; fewer cannot be significant");
  add("--latency-repetitions", to.latency_repetitions,
      "further processes a case that time every operation, 2");
  run.add_flag("--latency,!--no-latency", to.latency, "with latency trials, the default, or none")
      ->group(group);
  add("--budget", to.budget, "for all of it: what does not fit is left out; 2m for quick");
  run.add_flag("!--no-counters", to.counters, "leave hardware counters alone")->group(group);
  add("--exec-in-window", to.exec_in_window,
      "run this command during each measured window; {pid} is the trial");
  add("--stall-limit", to.stall_limit, "end a case without progress for so long")
      ->capture_default_str();
  add("--steal-limit", to.steal_limit, "share of CPU time stolen that discards a trial")
      ->capture_default_str();
  add("--seed", to.seed, "of order and workloads; drawn and recorded if not given");
  add("--topology", to.topology, "show where threads would go on that machine, and run nothing");
  add("-o,--out", to.out, "the result; results/runs/TIME-HOST/results.json if not given");
}

void add_simulation(CLI::App& sim, RunArguments& to) {
  const std::string group = "How to simulate";
  const auto add = [&](const char* name, auto& value, const char* help) {
    return add_text(sim, name, value, help)->group(group);
  };
  add("--machine", to.machines,
      "the modelled machines: presets that `faultline list` names, ideal-N, or FILE.json");
  add("--duration", to.duration, "of the simulated window; 2ms in sim-quick, else 5ms");
  add("--warmup", to.warmup, "before the window, simulated")->capture_default_str();
  add("--repetitions,--seeds", to.repetitions, "seeds a case, 6; 3 in sim-quick");
  add("--latency-repetitions", to.latency_repetitions,
      "further seeds a case that time every operation, 1");
  sim.add_flag("--latency,!--no-latency", to.latency, "with latency trials, the default, or none")
      ->group(group);
  add("--seed", to.seed, "the first seed; the others follow")->capture_default_str();
  add("--budget", to.budget, "of this machine's time: what is not begun by then is left out");
  add("--processes", to.processes, "simulations at once; as many as this machine has CPUs");
  add("--stall-limit", to.stall_limit, "simulated: end a case without progress for so long")
      ->capture_default_str();
  add("-o,--out", to.out, "the result; results/runs/TIME-MACHINE/results.json if not given");
}

// The library's own spelling, also of what has another name here.
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
       "true, the default; false: case by case");
  flag("--benchmark_display_aggregates_only", to.aggregates_only,
       "no repetitions on standard output");
  add("--benchmark_color", to.colour, "auto, true or false");
  flag("--benchmark_counters_tabular", to.tabular, "counters as columns");
  add("--benchmark_time_unit", to.time_unit, "ns, us, ms or s on standard output");
  add("--benchmark_context", to.context, "KEY=VALUE,... for the result's context");
}

}  // namespace

void add_run_options(CLI::App& run, RunArguments& arguments) {
  add_selection(run, arguments);
  add_measurement(run, arguments);
  add_benchmark_flags(run, arguments);
}

void add_sim_options(CLI::App& sim, RunArguments& arguments) {
  arguments.simulated = true;
  arguments.warmup = "200us";
  arguments.stall_limit = "1s";
  arguments.seed = "1";
  add_selection(sim, arguments);
  add_simulation(sim, arguments);
}

}  // namespace faultline
