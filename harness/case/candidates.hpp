// Finds every case that a selection could run, native or simulated, in groups of falling
// importance. A plan chooses among them.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

#include "harness/case/plan.hpp"

namespace faultline {

// How important a group is. A plan takes the groups of the first stages first.
enum class Stage : int {
  most_threads,   // every workload and scheme
  first_ends,     // the first workload at one thread, and its ceiling
  latency,        // one latency trial of each case at the most threads
  first_curve,    // the first workload at the remaining thread counts
  ceilings,       // the ceilings of the other workloads
  one_thread,     // the other workloads at one thread
  other_threads,  // the other workloads at the remaining thread counts
  more_latency    // the remaining latency trials
};

// Cases of one workload that are compared with each other. A plan takes all of them or none. At
// Stage::most_threads alone it may also take a part of them.
struct Group {
  Stage stage = Stage::most_threads;
  usize order = 0;  // within the stage
  u32 threads = 1;
  std::vector<PlannedCase> cases;
};

struct Candidates {
  std::vector<Group> groups;  // in the order in which they should be taken
  std::vector<LeftOut> impossible;
};

// Where the filter matches no case of the selection.
struct NothingMatches : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

// Throws as make_plan does.
Candidates find_candidates(const Selection& selection, const Topology& topology);

// The ascending `counts` in the order in which they show the shape of a curve: the greatest, the
// least, then each time the count that is farthest (by ratio) from those already chosen.
std::vector<u32> by_importance(const std::vector<u32>& counts);

}  // namespace faultline
