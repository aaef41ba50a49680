// A trial in a process of its own, seen from the parent: whatever becomes of the process, there is
// a record.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "harness/case/plan.hpp"
#include "harness/case/spec.hpp"
#include "harness/native/spawn.hpp"

namespace faultline {

// What runs a trial: this program's own subcommand.
inline const std::vector<std::string> trial_command = {"/proc/self/exe", "trial"};

// How long a trial may take beyond warm-up, window and twice the stall limit, in seconds. Set-up
// touches all memory of the case, which may be hundreds of GiB: the trial itself gives up after a
// minute; the rest is for the oracle.
inline constexpr double trial_patience_s = 80;

// In one line, how a process that left no record has ended, with the last that it said.
std::string reason_without_record(const ChildOutput& child, double limit_s);

// The trial's record, as its process wrote it; one of status "failed" when that crashed, hung or
// wrote none. Nothing when the run was interrupted meanwhile.
std::optional<nlohmann::json> run_trial_process(const TrialSpec& spec,
                                                const std::vector<std::string>& command,
                                                Interrupts& interrupts,
                                                double patience_s = trial_patience_s);

// Runs the case once with a short window, to see what a trial costs beyond its window.
Overhead measure_overhead(const CaseSpec& spec, const std::vector<std::string>& command,
                          Interrupts& interrupts);

}  // namespace faultline
