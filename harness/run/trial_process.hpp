// The parent's side of a trial, which runs in a process of its own. The parent gets a record
// however that process ends.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "harness/case/plan.hpp"
#include "harness/case/spec.hpp"
#include "results/process.hpp"

namespace faultline {

// The command that runs a trial: a subcommand of this program.
inline const std::vector<std::string> trial_command = {"/proc/self/exe", "trial"};

// How long a trial may take beyond warm-up, window and twice the stall limit, in seconds. A minute
// is for set-up, which touches all memory of the case, perhaps hundreds of GiB, and which the trial
// itself gives up after that time. The rest is for the oracle.
inline constexpr double trial_patience_s = 80;
// The same for a simulated trial. Its window and stall limit are simulated time, and this machine
// may take many times as long to simulate them.
inline constexpr double sim_patience_s = 600;

// One line that says how a process without a record ended, with the last line of its standard
// error.
std::string reason_without_record(const ChildOutput& child, double limit_s);

// The record that the trial's process wrote, or one of status "failed" if the process crashed, hung
// or wrote none. Nothing if a signal to this program interrupted the trial.
std::optional<nlohmann::json> run_trial_process(const TrialSpec& spec,
                                                const std::vector<std::string>& command,
                                                Interrupts& interrupts,
                                                double patience_s = trial_patience_s);

// Runs the case once with a short window, to measure how long a trial takes beyond its window.
Overhead measure_overhead(const CaseSpec& spec, const std::vector<std::string>& command,
                          Interrupts& interrupts);

}  // namespace faultline
