// Every case that a selection could run, in groups of falling importance: what a plan chooses from.
#pragma once

#include <string>
#include <vector>

#include "harness/case/plan.hpp"

namespace faultline {

// How urgent a group is; the first are taken first.
enum class Stage : int {
  most_threads,   // every workload and scheme
  first_ends,     // the first workload at one thread, and its ceiling
  latency,        // one latency trial of each of most_threads
  first_curve,    // the first workload's other counts
  ceilings,       // those of the other workloads
  one_thread,     // the other workloads
  other_threads,  // theirs
  more_latency,   // the other latency trials
  options         // modelled page clearing, other shootdown policies
};

// Cases of one workload that make sense together: all of them are taken, or none. Only
// Stage::most_threads can be taken in part.
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

// Throws as make_plan does.
Candidates find_candidates(const Selection& selection, const Topology& topology);

// The ascending `counts` in the order in which they tell most of a curve: the greatest, the least,
// then always the one that is farthest (by ratio) from all before it.
std::vector<u32> by_importance(const std::vector<u32>& counts);

}  // namespace faultline
