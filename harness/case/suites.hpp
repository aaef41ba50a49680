// The suites, as data: what each measures, in the order of importance. The plan
// (harness/case/plan.hpp) fits them to a budget.
#pragma once

#include <string>
#include <vector>

#include "harness/case/axes.hpp"

namespace faultline {

struct SuiteEntry {
  std::string workload;
  std::vector<std::string> schemes;  // or locks, for lock_loop
  AxisValues axes = {};              // every combination is a case
};

struct Suite {
  std::string name;
  std::string summary;
  double budget_s = 0;
  unsigned repetitions = 9;
  double duration_s = 0.2;
  bool simulated = false;                  // for `faultline sim` alone
  std::vector<std::string> machines = {};  // the modelled ones
  unsigned most_threads = 0;               // 0: as many as the machine has CPUs
  std::vector<SuiteEntry> entries;
};

// `small_trace`: the path of the project's own recording.
std::vector<Suite> suite_list(const std::string& small_trace);

}  // namespace faultline
