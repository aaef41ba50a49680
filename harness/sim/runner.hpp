// Runs a plan of simulated cases: every seed of every case a process of its own, as many at once as
// this machine has CPUs.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "harness/case/plan.hpp"
#include "harness/native/runner.hpp"
#include "harness/native/trial_process.hpp"
#include "results/journal.hpp"

namespace faultline {

// How long a process may take on the host, in seconds: the time of a simulation is not the host's.
inline constexpr double sim_patience_s = 600;

struct SimRunOptions {
  u64 seed = 1;  // of the first repetition; the others' follow
  u32 processes = 1;
  double stall_limit_s = 1;  // simulated
  bool progress = true;
  // No trial begins after that.
  std::optional<std::chrono::steady_clock::time_point> end;
  std::vector<std::string> command = trial_command;
  double patience_s = sim_patience_s;
};

// Appends every trial's record to the journal as it ends, and what was left out, why. All cases
// have their first seed before any has its second. A signal ends the trials in flight and the run.
// Throws what the journal throws (a full disk), and std::runtime_error where no process can be
// started.
RunOutcome run_sim_plan(const Plan& plan, const SimRunOptions& options, Journal& journal,
                        Interrupts& interrupts);

}  // namespace faultline
