#include "harness/run/runner.hpp"

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <exception>

#include "harness/stats/splitmix.hpp"

namespace faultline {
namespace {

using nlohmann::json;

constexpr int max_attempts = 3;  // of a trial that steal time spoils
constexpr u32 max_failures = 2;  // of one case, before its other repetitions are left out

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
        journal_(journal),
        interrupts_(interrupts),
        trials_(interleave(plan, options.seed)),
        of_cases_(plan.cases.size()),
        progress_(trials_.size(), options.display.format == DisplayFormat::progress) {
    if (!options.interleaved)
      std::stable_sort(trials_.begin(), trials_.end(),
                       [](const PlannedTrial& a, const PlannedTrial& b) { return a.of < b.of; });
  }

  RunOutcome run() {
    // Each repetition is registered by itself, in our order: the library's own interleaving draws
    // from a seed that nobody can record.
    benchmark::ClearRegisteredBenchmarks();
    for (usize i = 0; i < trials_.size(); ++i)
      benchmark::RegisterBenchmark(plan_.cases[trials_[i].of].spec.name().c_str(),
                                   [this, i](benchmark::State& state) { perform(i, state); })
          ->Iterations(1)
          ->UseManualTime();
    const auto reporter = make_reporter(options_.display, current_);
    benchmark::RunSpecifiedBenchmarks(reporter.get(), ".");
    benchmark::ClearRegisteredBenchmarks();
    if (failure_) std::rethrow_exception(failure_);
    if (!left_out_.empty()) journal_.append({{"left_out", left_out_json(left_out_.list())}});
    outcome_.signal = interrupts_.signal();
    outcome_.spoiled = static_cast<u32>(
        std::count_if(of_cases_.begin(), of_cases_.end(),
                      [](const CaseOutcome& one) { return one.discarded && !one.measured; }));
    return outcome_;
  }

 private:
  // What Google Benchmark times. An exception must not pass through the library.
  void perform(usize index, benchmark::State& state) {
    current_ = {&plan_.cases[trials_[index].of], trials_[index], nullptr};
    try {
      if (!failure_) current_.record = measure(index);
    } catch (...) {
      failure_ = std::current_exception();
    }
    const json& record = current_.record;
    if (record.is_null()) return state.SkipWithError("left out");
    if (record["status"] != "ok" || !record.contains("rate"))
      return state.SkipWithError(record["reason"].get<std::string>().c_str());
    for (auto _ : state) state.SetIterationTime(1 / record["rate"].get<double>());
    state.SetItemsProcessed(1);
  }

  // The record of the last attempt; null when there was none.
  json measure(usize index) {
    const PlannedTrial& trial = trials_[index];
    const std::string name = plan_.cases[trial.of].spec.name();
    json record;
    for (int attempt = 0; attempt < max_attempts; ++attempt) {
      if (const std::string why = reason_to_leave_out(trial); !why.empty()) {
        if (attempt == 0) left_out_.add(name, why);
        break;
      }
      std::optional<json> ended =
          run_trial_process(spec_of(index), options_.command, interrupts_, options_.patience_s);
      if (!ended) {
        left_out_.add(name, "the run was interrupted");
        return nullptr;
      }
      record = std::move(*ended);
      journal_.append(record);
      count(record, trial, name);
      if (record["status"] != "discarded") break;
    }
    if (!record.is_null()) progress_.step(name);
    return record;
  }

  std::string reason_to_leave_out(const PlannedTrial& trial) {
    if (interrupts_.signal() != 0) return "the run was interrupted";
    if (of_cases_[trial.of].failures >= max_failures)
      return fmt::format("{} of its trials had failed", max_failures);
    const CaseSpec& spec = plan_.cases[trial.of].spec;
    const double expected = std::max(progress_.mean_s(), spec.warmup_s + spec.duration_s);
    if (options_.end &&
        std::chrono::steady_clock::now() + std::chrono::duration<double>(expected) > *options_.end)
      return "the budget was spent";
    return {};
  }

  TrialSpec spec_of(usize index) const {
    const PlannedTrial& trial = trials_[index];
    TrialSpec spec;
    spec.trial_case = plan_.cases[trial.of].spec;
    spec.repetition = trial.repetition;
    spec.latency = trial.latency;
    spec.seed = splitmix64(options_.seed + index * golden_gamma);
    spec.stall_limit_s = options_.stall_limit_s;
    spec.steal_limit = options_.steal_limit;
    spec.exec_in_window = options_.exec_in_window;
    spec.counters = options_.counters && !trial.latency;
    return spec;
  }

  void count(const json& record, const PlannedTrial& trial, const std::string& name) {
    CaseOutcome& of_case = of_cases_[trial.of];
    if (record["status"] == "ok") {
      ++outcome_.ok;
      of_case.measured = true;
    }
    if (record["status"] == "discarded") {
      ++outcome_.discarded;
      of_case.discarded = true;
    }
    if (record["status"] != "failed") return;
    ++outcome_.failed;
    ++of_case.failures;
    progress_.remark(fmt::format("failed: {}: {}", name, record["reason"].get<std::string>()));
  }

  const Plan& plan_;
  const RunOptions& options_;
  Journal& journal_;
  Interrupts& interrupts_;
  std::vector<PlannedTrial> trials_;
  std::vector<CaseOutcome> of_cases_;
  Progress progress_;
  ReportedTrial current_;
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
