#include "harness/sim/runner.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <mutex>
#include <thread>

namespace faultline {
namespace {

using nlohmann::json;

std::vector<PlannedTrial> seed_by_seed(const Plan& plan) {
  u32 rounds = 0;
  for (const PlannedCase& planned : plan.cases)
    rounds = std::max({rounds, planned.repetitions, planned.latency_repetitions});
  std::vector<PlannedTrial> trials;
  for (u32 round = 0; round < rounds; ++round)
    for (usize of = 0; of < plan.cases.size(); ++of) {
      if (round < plan.cases[of].repetitions) trials.push_back({of, round, false});
      if (round < plan.cases[of].latency_repetitions) trials.push_back({of, round, true});
    }
  return trials;
}

class SimRunner {
 public:
  SimRunner(const Plan& plan, const SimRunOptions& options, Journal& journal,
            Interrupts& interrupts)
      : plan_(plan),
        options_(options),
        journal_(journal),
        interrupts_(interrupts),
        trials_(seed_by_seed(plan)),
        progress_(trials_.size(), options.progress) {}

  RunOutcome run() {
    std::vector<std::thread> hands;
    for (u32 i = 0; i < options_.processes; ++i) hands.emplace_back([this] { work(); });
    for (std::thread& hand : hands) hand.join();
    if (failure_) std::rethrow_exception(failure_);
    if (!left_out_.empty()) journal_.append({{"left_out", left_out_json(left_out_.list())}});
    outcome_.signal = interrupts_.signal();
    return outcome_;
  }

 private:
  // One process after another, until no trial is left.
  void work() {
    try {
      while (const PlannedTrial* trial = next()) {
        const std::optional<json> record =
            run_trial_process(spec_of(*trial), options_.command, interrupts_, options_.patience_s);
        take(*trial, record);
      }
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!failure_) failure_ = std::current_exception();
    }
  }

  const PlannedTrial* next() {
    const std::lock_guard lock(mutex_);
    while (next_ < trials_.size() && !failure_) {
      const PlannedTrial& trial = trials_[next_++];
      const std::string why = reason_to_leave_out();
      if (why.empty()) return &trial;
      left_out_.add(name_of(trial), why);
    }
    return nullptr;
  }

  std::string reason_to_leave_out() const {
    if (interrupts_.signal() != 0) return "the run was interrupted";
    if (options_.end && std::chrono::steady_clock::now() > *options_.end)
      return "the budget was spent";
    return {};
  }

  const std::string name_of(const PlannedTrial& trial) const {
    return plan_.cases[trial.of].spec.name();
  }

  TrialSpec spec_of(const PlannedTrial& trial) const {
    TrialSpec spec;
    spec.trial_case = plan_.cases[trial.of].spec;
    spec.repetition = trial.repetition;
    spec.latency = trial.latency;
    spec.seed = options_.seed + trial.repetition;
    spec.stall_limit_s = options_.stall_limit_s;
    return spec;
  }

  void take(const PlannedTrial& trial, const std::optional<json>& record) {
    const std::lock_guard lock(mutex_);
    const std::string name = name_of(trial);
    if (!record) {
      left_out_.add(name, "the run was interrupted");
      return;
    }
    journal_.append(*record);
    if ((*record)["status"] == "ok") {
      ++outcome_.ok;
    } else {
      ++outcome_.failed;
      progress_.remark(fmt::format("failed: {}: {}", name, (*record)["reason"].get<std::string>()));
    }
    progress_.step(name);
  }

  const Plan& plan_;
  const SimRunOptions& options_;
  Journal& journal_;
  Interrupts& interrupts_;
  const std::vector<PlannedTrial> trials_;
  std::mutex mutex_;  // of all below
  usize next_ = 0;
  Progress progress_;
  std::exception_ptr failure_;
  RunOutcome outcome_;
  LeftOutTrials left_out_;
};

}  // namespace

RunOutcome run_sim_plan(const Plan& plan, const SimRunOptions& options, Journal& journal,
                        Interrupts& interrupts) {
  return SimRunner(plan, options, journal, interrupts).run();
}

}  // namespace faultline
