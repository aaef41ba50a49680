// From a selection (a suite, or what the command line names) and a budget to the trials that will
// run, and what is left out.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "harness/case/spec.hpp"
#include "harness/case/suites.hpp"
#include "harness/topology/topology.hpp"

namespace faultline {

// What a trial costs beyond warm-up and window (process, set-up, oracle), in seconds, and what it
// took to find out.
struct Overhead {
  double seconds = 0.1;
  double spent_s = 0;
};

struct Selection {
  std::string suite;                // its name, or empty
  std::vector<SuiteEntry> entries;  // the most important first
  std::vector<std::string> placements = {"compact"};
  std::vector<u32> threads;                // empty: the machine's own counts
  u32 most_threads = 0;                    // of the machine's own counts; 0: no matter
  std::vector<std::string> machines = {};  // the modelled ones; empty: this machine
  CaseSpec defaults;  // page_clear, shootdown, merge, thp, private, warm-up and duration
  u32 repetitions = 9;
  u32 latency_repetitions = 2;
  bool ceiling = true;        // also one address space a thread, under `none`
  bool every_option = false;  // also modelled page clearing and the other shootdown policies
  std::string filter;         // as --filter takes it; empty: all
  double budget_s = 0;        // 0: none
  // Asked for each workload at its fewest and most threads, when there is a budget.
  std::function<Overhead(const CaseSpec&)> overhead = [](const CaseSpec&) { return Overhead{}; };
};

struct PlannedCase {
  CaseSpec spec;
  u32 repetitions = 0;
  u32 latency_repetitions = 0;
};

struct LeftOut {
  std::string what;
  std::string why;
};

// As journal and header have them.
nlohmann::json left_out_json(const std::vector<LeftOut>& left_out);

// Trials that were planned and did not run, counted by case and reason.
class LeftOutTrials {
 public:
  void add(const std::string& name, const std::string& why) { ++trials_[{name, why}]; }
  bool empty() const { return trials_.empty(); }
  std::vector<LeftOut> list() const;

 private:
  std::map<std::pair<std::string, std::string>, u32> trials_;
};

struct Plan {
  std::vector<PlannedCase> cases;
  std::vector<LeftOut> left_out;
  double seconds = 0;  // the estimate, calibration included

  usize trials() const;
};

// Throws std::invalid_argument, before anything runs, for schemes, workloads, roles, placements
// that do not exist or do not go together, a filter that matches nothing, and a budget in which not
// one case fits.
//
// Within a budget, in this order while it lasts: every workload on every scheme at the most
// threads; the ends of the first workload's curve (one thread, the ceiling); a latency trial of
// each case so far; the rest of that curve; the other ceilings; the other workloads at one thread,
// then at the counts between, those first that are farthest from the ones already taken; further
// latency trials. Repetitions are never cut: fewer than nine could not be significant.
Plan make_plan(const Selection& selection, const Topology& topology);

// One process to run.
struct PlannedTrial {
  usize of = 0;  // index into Plan::cases
  u32 repetition = 0;
  bool latency = false;
};

// Every trial of the plan in rounds: each round has one repetition of every case that has as many,
// in random order. So slow drift of the machine falls on all cases alike, and a run cut short has
// as many repetitions of one case as of another.
std::vector<PlannedTrial> interleave(const Plan& plan, u64 seed);

}  // namespace faultline
