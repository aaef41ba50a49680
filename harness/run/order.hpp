// In which order the trials of a plan run.
#pragma once

#include <vector>

#include "harness/case/plan.hpp"

namespace faultline {

// One process to run.
struct PlannedTrial {
  usize of = 0;  // index into Plan::cases
  u32 repetition = 0;
  bool latency = false;
};

// A round has one repetition of every case that has as many.
enum class TrialOrder {
  rounds,       // round after round, each in the plan's order
  interleaved,  // round after round, each in an order that the seed draws
  by_case,      // all trials of a case, then those of the next
};

// Every trial of the plan. In rounds, slow drift of the machine falls on all cases alike, and a run
// that is cut short has as many repetitions of one case as of another.
std::vector<PlannedTrial> order_trials(const Plan& plan, TrialOrder order, u64 seed);

}  // namespace faultline
