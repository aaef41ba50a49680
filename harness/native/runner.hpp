// Runs a plan: every repetition of every case a process of its own, interleaved at random, with
// Google Benchmark as the front.
#pragma once

#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "harness/case/plan.hpp"
#include "harness/native/display.hpp"
#include "harness/native/trial_process.hpp"
#include "results/journal.hpp"

namespace faultline {

struct RunOptions {
  u64 seed = 1;             // of the order, and of every trial's own seed
  bool interleaved = true;  // false: case by case
  double stall_limit_s = 10;
  double steal_limit = 0.1;
  std::string exec_in_window;
  bool counters = true;
  // No trial begins that would not have ended by then.
  std::optional<std::chrono::steady_clock::time_point> end;
  DisplayOptions display;
  std::vector<std::string> command = trial_command;
  double patience_s = trial_patience_s;
};

struct RunOutcome {
  u32 ok = 0;
  u32 failed = 0;  // trials
  u32 discarded = 0;
  u32 spoiled = 0;  // cases all of whose trials were discarded
  int signal = 0;   // that ended the run early, or 0
};

// Appends every trial's record to the journal as it ends, and what was left out, why. A trial that
// steal time spoils is tried three times; after two failures the other repetitions of a case are
// left out. A signal ends the trial in flight and the run. Throws what the journal throws (a full
// disk).
RunOutcome run_plan(const Plan& plan, const RunOptions& options, Journal& journal,
                    Interrupts& interrupts);

}  // namespace faultline
