// Runs a plan's native and simulated cases, every repetition of every case in a process of its own.
#pragma once

#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "harness/case/plan.hpp"
#include "harness/run/display.hpp"
#include "harness/run/order.hpp"
#include "harness/run/trial_process.hpp"
#include "results/journal.hpp"

namespace faultline {

struct RunOptions {
  // Determines the order of the trials and their seeds. A native trial's seed is a hash of this
  // seed and the trial's place in the order; a simulated trial's is this seed plus its repetition.
  u64 seed = 1;
  TrialOrder order = TrialOrder::interleaved;
  // Trials that run at once; must be 1 for native cases and for Google Benchmark's formats.
  u32 processes = 1;
  double stall_limit_s = 10;  // simulated seconds in a simulated trial
  double steal_limit = 0.1;   // share of CPU time; a trial with more is discarded
  std::string exec_in_window;
  bool counters = true;
  // No trial begins that is expected to end after this time.
  std::optional<std::chrono::steady_clock::time_point> end;
  DisplayOptions display;
  std::vector<std::string> command = trial_command;
  double patience_s = trial_patience_s;
};

struct RunOutcome {
  u32 ok = 0;         // trials
  u32 failed = 0;     // trials
  u32 discarded = 0;  // trials
  u32 spoiled = 0;    // cases with discarded trials and no measured one
  int signal = 0;     // the signal that ended the run early, or 0
};

// Appends every trial's record to the journal as the trial ends, and at the end the trials that
// were left out, each with its reason. The runner tries a trial up to three times while its records
// are discarded. After two failures it leaves out the other repetitions of a native case. Those of
// a simulated case still run, since this machine's load would decide which of them had begun by
// then. A signal ends the trials in flight and the run. Throws what the journal throws (a full
// disk), and std::runtime_error if a process cannot be started.
RunOutcome run_plan(const Plan& plan, const RunOptions& options, Journal& journal,
                    Interrupts& interrupts);

}  // namespace faultline
