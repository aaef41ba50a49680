// Runs a plan, on this machine or on modelled ones: every repetition of every case is a process of
// its own.
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
  // Of the order and of the trials: a native trial's own seed is drawn from it, a simulated one's
  // is the seed plus the number of the repetition.
  u64 seed = 1;
  TrialOrder order = TrialOrder::interleaved;
  u32 processes = 1;          // at once; natively 1, and 1 for the formats of Google Benchmark
  double stall_limit_s = 10;  // of a simulated trial: simulated seconds
  double steal_limit = 0.1;   // share of CPU time
  std::string exec_in_window;
  bool counters = true;
  // No trial begins after that, nor one whose window would end after it.
  std::optional<std::chrono::steady_clock::time_point> end;
  DisplayOptions display;
  std::vector<std::string> command = trial_command;
  double patience_s = trial_patience_s;
};

struct RunOutcome {
  u32 ok = 0;         // trials
  u32 failed = 0;     // trials
  u32 discarded = 0;  // trials
  u32 spoiled = 0;    // cases all of whose trials were discarded
  int signal = 0;     // that ended the run early, or 0
};

// Appends every trial's record to the journal as it ends, and at the end what was left out with the
// reason. A trial that steal time spoils is tried three times. After two failures the other
// repetitions of a native case are left out; those of a simulated case still run, since which of
// them had begun by then would depend on this machine's load. A signal ends the trials in flight
// and the run. Throws what the journal throws (a full disk), and std::runtime_error where no
// process can be started.
RunOutcome run_plan(const Plan& plan, const RunOptions& options, Journal& journal,
                    Interrupts& interrupts);

}  // namespace faultline
