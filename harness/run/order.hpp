// The order in which the trials of a plan run.
#pragma once

#include <vector>

#include "harness/case/plan.hpp"

namespace faultline {

// One trial, for which the runner starts a process.
struct PlannedTrial {
  usize of = 0;  // index into Plan::cases
  u32 repetition = 0;
  bool latency = false;
};

// Round r consists of repetition r of every case that has more than r repetitions.
enum class TrialOrder {
  rounds,       // round after round, each in the plan's order
  interleaved,  // round after round, each in an order that the seed draws
  by_case,      // all trials of the first case, then all of the second, and so on
};

// Every trial of the plan, in the order in which to run it. With rounds, a slow drift of the
// machine affects all cases alike, and a run that is cut short has measured all cases about equally
// often.
std::vector<PlannedTrial> order_trials(const Plan& plan, TrialOrder order, u64 seed);

}  // namespace faultline
