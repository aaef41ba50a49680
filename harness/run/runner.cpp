#include "harness/run/runner.hpp"

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>

#include "locks/random.hpp"

namespace faultline {
namespace {

using nlohmann::json;

constexpr int max_attempts = 3;  // at one trial, when the attempts before are discarded
constexpr u32 max_failures = 2;  // after so many, a native case's other repetitions are left out

struct CaseOutcome {
  u32 failures = 0;
  bool measured = false;
  bool discarded = false;
};

class Runner {
 public:
  Runner(const Plan& plan, const RunOptions& options, Journal& journal, Interrupts& interrupts)
      : plan_(plan),
        options_(options),
        interrupts_(interrupts),
        trials_(order_trials(plan, options.order, options.seed)),
        journal_(journal),
        of_cases_(plan.cases.size()),
        progress_(trials_.size(), options.display.format == DisplayFormat::progress) {}

  RunOutcome run() {
    if (options_.display.format == DisplayFormat::progress)
      run_at_once();
    else
      run_as_benchmarks();
    if (failure_) std::rethrow_exception(failure_);
    if (!left_out_.empty()) journal_.append({{"left_out", left_out_json(left_out_.list())}});
    outcome_.signal = interrupts_.signal();
    outcome_.spoiled = static_cast<u32>(
        std::count_if(of_cases_.begin(), of_cases_.end(),
                      [](const CaseOutcome& one) { return one.discarded && !one.measured; }));
    return outcome_;
  }

 private:
  void run_at_once() {
    std::vector<std::jthread> others;
    for (u32 i = 1; i < options_.processes; ++i) others.emplace_back([this] { run_trials(); });
    run_trials();
  }

  // Measures the trials that no other thread has taken, until none is left.
  void run_trials() {
    for (usize index; (index = next_++) < trials_.size();) measure(index);
  }

  // Google Benchmark runs and reports the trials. This function registers each repetition by
  // itself, in our order, because the library interleaves repetitions by a seed that cannot be
  // recorded.
  void run_as_benchmarks() {
    benchmark::ClearRegisteredBenchmarks();
    for (usize i = 0; i < trials_.size(); ++i)
      benchmark::RegisterBenchmark(name_of(trials_[i]).c_str(),
                                   [this, i](benchmark::State& state) { time_trial(i, state); })
          ->Iterations(1)
          ->UseManualTime();
    ReportedTrial current;
    current_ = &current;
    const auto reporter = make_reporter(options_.display, current);
    benchmark::RunSpecifiedBenchmarks(reporter.get(), ".");
    benchmark::ClearRegisteredBenchmarks();
  }

  void time_trial(usize index, benchmark::State& state) {
    const PlannedTrial& trial = trials_[index];
    *current_ = {&plan_.cases[trial.of], trial, measure(index)};
    const json& record = current_->record;
    if (record.is_null()) return state.SkipWithError("left out");
    if (record["status"] != "ok" || !record.contains("rate"))
      return state.SkipWithError(record["reason"].get<std::string>().c_str());
    for (auto _ : state) state.SetIterationTime(1 / record["rate"].get<double>());
    state.SetItemsProcessed(1);
  }

  // The record of the trial's last attempt; null if the trial was left out or interrupted, or the
  // run has failed. It keeps an exception for run() to throw, because an exception must pass
  // neither out of a thread nor through the library.
  json measure(usize index) {
    json record;
    try {
      for (int attempt = 0; attempt < max_attempts && may_begin(trials_[index], attempt);
           ++attempt) {
        std::optional<json> ended =
            run_trial_process(spec_of(index), options_.command, interrupts_, options_.patience_s);
        record = ended ? std::move(*ended) : json();
        take(trials_[index], record);
        if (record.is_null() || record["status"] != "discarded") break;
      }
      if (!record.is_null()) end_trial(trials_[index]);
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!failure_) failure_ = std::current_exception();
    }
    return record;
  }

  bool may_begin(const PlannedTrial& trial, int attempt) {
    const std::lock_guard lock(mutex_);
    if (failure_) return false;
    const std::string why = reason_to_leave_out(trial);
    if (!why.empty() && attempt == 0) left_out_.add(name_of(trial), why);
    return why.empty();
  }

  std::string reason_to_leave_out(const PlannedTrial& trial) {
    if (interrupts_.signal() != 0) return "the run was interrupted";
    const CaseSpec& spec = plan_.cases[trial.of].spec;
    if (!spec.simulated() && of_cases_[trial.of].failures >= max_failures)
      return fmt::format("{} of its trials had failed", max_failures);
    // A simulated window does not tell how long its simulation takes on this machine.
    const double expected =
        spec.simulated() ? 0 : std::max(progress_.mean_s(), spec.warmup_s + spec.duration_s);
    if (options_.end &&
        std::chrono::steady_clock::now() + std::chrono::duration<double>(expected) > *options_.end)
      return "the budget was spent";
    return {};
  }

  std::string name_of(const PlannedTrial& trial) const { return plan_.cases[trial.of].spec.name(); }

  TrialSpec spec_of(usize index) const {
    const PlannedTrial& trial = trials_[index];
    TrialSpec spec;
    spec.trial_case = plan_.cases[trial.of].spec;
    spec.repetition = trial.repetition;
    spec.latency = trial.latency;
    spec.seed = spec.trial_case.simulated() ? options_.seed + trial.repetition
                                            : splitmix64(options_.seed + index * golden_gamma);
    spec.stall_limit_s = options_.stall_limit_s;
    spec.steal_limit = options_.steal_limit;
    spec.exec_in_window = options_.exec_in_window;
    spec.counters = options_.counters && !trial.latency;
    return spec;
  }

  // Enters an attempt's record in journal and outcome. A null record means that a signal
  // interrupted the attempt.
  void take(const PlannedTrial& trial, const json& record) {
    const std::lock_guard lock(mutex_);
    if (record.is_null()) return left_out_.add(name_of(trial), "the run was interrupted");
    journal_.append(record);
    CaseOutcome& of_case = of_cases_[trial.of];
    if (record["status"] == "ok") {
      ++outcome_.ok;
      of_case.measured = true;
    } else if (record["status"] == "discarded") {
      ++outcome_.discarded;
      of_case.discarded = true;
    } else {
      ++outcome_.failed;
      ++of_case.failures;
      progress_.remark(
          fmt::format("failed: {}: {}", name_of(trial), record["reason"].get<std::string>()));
    }
  }

  void end_trial(const PlannedTrial& trial) {
    const std::lock_guard lock(mutex_);
    progress_.step(name_of(trial));
  }

  const Plan& plan_;
  const RunOptions& options_;
  Interrupts& interrupts_;
  const std::vector<PlannedTrial> trials_;
  std::atomic<usize> next_ = 0;
  ReportedTrial* current_ = nullptr;

  std::mutex mutex_;  // guards the members below while trials run
  Journal& journal_;
  std::vector<CaseOutcome> of_cases_;
  Progress progress_;
  std::exception_ptr failure_;
  RunOutcome outcome_;
  LeftOutTrials left_out_;
};

}  // namespace

RunOutcome run_plan(const Plan& plan, const RunOptions& options, Journal& journal,
                    Interrupts& interrupts) {
  return Runner(plan, options, journal, interrupts).run();
}

}  // namespace faultline
