#include "harness/calibrate/checks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <numeric>
#include <optional>

#include "harness/run/trial_process.hpp"

namespace faultline::calibrate {

namespace {

struct Check {
  const char* name;
  const char* workload;
  const char* scheme;
  const char* about;
};

constexpr Check checks[] = {{"rmw", "line:op=rmw", "none", "fetch-and-add (part of the fit)"},
                            {"cas", "line:op=cas", "none", "compare-and-swap, successful"},
                            {"ticket", "lock_loop", "ticket", "ticket lock, acquisitions"}};

std::string name_of(const Check& check, usize cpus) {
  return fmt::format("check.{}.{}", check.name, cpus);
}

// The machine file's numbers of all CPUs: the first thread of each core, then the others.
std::vector<u32> cores_first(const Shape& shape) {
  std::vector<u32> all(shape.cpus.size());
  std::iota(all.begin(), all.end(), 0U);
  std::vector<u32> order = shape.one_per_core(all);
  for (const u32 cpu : all)
    if (std::find(order.begin(), order.end(), cpu) == order.end()) order.push_back(cpu);
  return order;
}

std::vector<usize> numbers_of_cpus(const Shape& shape) {
  std::vector<usize> numbers;
  const usize all = shape.cpus.size();
  for (usize n = 2; n < all; n *= 2) numbers.push_back(n);
  if (all > 1) numbers.push_back(all);
  return numbers;
}

// The nanoseconds an operation of all threads together. Nothing if the trial failed.
std::optional<double> ns_an_operation(const Check& check, const std::vector<u32>& cpus,
                                      const std::string& machine, Interrupts& interrupts) {
  const double patience_s = machine.empty() ? 10 : sim_patience_s;
  TrialSpec trial;
  CaseSpec& one = trial.trial_case;
  one.workload = check.workload;
  one.scheme = check.scheme;
  one.placement = "compact";
  one.threads = static_cast<u32>(cpus.size());
  one.cpus = cpus;
  one.machine = machine;
  one.warmup_s = machine.empty() ? 0.005 : 0.00002;
  one.duration_s = machine.empty() ? 0.01 : 0.0001;
  trial.stall_limit_s = 2;
  trial.steal_limit = 1;
  trial.counters = false;
  const auto record = run_trial_process(trial, trial_command, interrupts, patience_s);
  if (!record || (*record)["status"] != "ok") return std::nullopt;
  return 1e9 / (*record)["rate"].get<double>();
}

// While `work` runs trials, a signal ends the trials. Then the signal does to this process what it
// does without trials.
template <class F>
void run_trials(F&& work) {
  int signal = 0;
  {
    Interrupts interrupts;
    work(interrupts);
    signal = interrupts.signal();
  }
  if (signal != 0) std::raise(signal);
}

std::vector<u32> first(const std::vector<u32>& cpus, usize count) {
  return {cpus.begin(), cpus.begin() + static_cast<std::ptrdiff_t>(count)};
}

}  // namespace

void measure_checks(const Shape& shape, const Effort& effort, Findings& findings) {
  const std::vector<u32> order = cores_first(shape);
  const u32 repetitions = std::clamp(effort.samples / 20, 1U, 5U);
  run_trials([&](Interrupts& interrupts) {
    for (const usize n : numbers_of_cpus(shape))
      for (const Check& check : checks)
        for (u32 i = 0; i < repetitions && interrupts.signal() == 0; ++i)
          if (const auto ns =
                  ns_an_operation(check, shape.os_numbers(first(order, n)), "", interrupts))
            findings.add(name_of(check, n), *ns);
  });
}

std::string compare_checks(const Shape& shape, const Findings& findings, const std::string& file) {
  const std::vector<u32> order = cores_first(shape);
  std::string table;
  run_trials([&](Interrupts& interrupts) {
    for (const Check& check : checks)
      for (const usize n : numbers_of_cpus(shape)) {
        const std::string name = name_of(check, n);
        if (!findings.has(name) || interrupts.signal() != 0) continue;
        const double measured = findings.median(name);
        const auto simulated = ns_an_operation(check, first(order, n), file, interrupts);
        table += fmt::format("  {:<32} {:>4} {:>9.1f} {:>10} {:>6}\n", check.about, n, measured,
                             simulated ? fmt::format("{:.1f}", *simulated) : "failed",
                             simulated ? fmt::format("{:.2f}", *simulated / measured) : "");
      }
  });
  if (table.empty()) return table;
  return fmt::format("{:<34} {:>4} {:>9} {:>10} {:>6}\n", "  ns per operation, all together",
                     "CPUs", "measured", "simulated", "ratio") +
         table;
}

}  // namespace faultline::calibrate
