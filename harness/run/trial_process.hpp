// The parent's side of a trial, which is a process of its own: however that ends, the parent has a
// record.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "harness/case/plan.hpp"
#include "harness/case/spec.hpp"
#include "results/process.hpp"

namespace faultline {

// What runs a trial: this program's own subcommand.
inline const std::vector<std::string> trial_command = {"/proc/self/exe", "trial"};

// How long a trial may take beyond warm-up, window and twice the stall limit, in seconds. Set-up
// touches all memory of the case, which may be hundreds of GiB; the trial gives up on it after a
// minute. The rest is for the oracle.
inline constexpr double trial_patience_s = 80;
// The same for a simulated trial, whose window and stall limit are simulated time: this machine may
// take many times as long for them.
inline constexpr double sim_patience_s = 600;

// How a process that left no record has ended, and the last line of its standard error; one line.
std::string reason_without_record(const ChildOutput& child, double limit_s);

// The trial's record as its process wrote it, or a record of status "failed" when the process
// crashed, hung or wrote none. Nothing when a signal interrupted the run meanwhile.
std::optional<nlohmann::json> run_trial_process(const TrialSpec& spec,
                                                const std::vector<std::string>& command,
                                                Interrupts& interrupts,
                                                double patience_s = trial_patience_s);

// Runs the case once with a short window, to measure what a trial costs beyond its window.
Overhead measure_overhead(const CaseSpec& spec, const std::vector<std::string>& command,
                          Interrupts& interrupts);

}  // namespace faultline
