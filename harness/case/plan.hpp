// Plans a selection, which is a suite or the cases of the command line: which cases run within the
// budget, how often, and which are left out.
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

// The time of a trial beyond warm-up and window: its process, the set-up, the oracle's check.
struct Overhead {
  double seconds = 0.1;
  double spent_s = 0;  // seconds that the measurement of `seconds` took
};

struct Selection {
  std::string suite;                // its name, or empty
  std::vector<SuiteEntry> entries;  // the most important first
  std::vector<std::string> placements = {"compact"};
  // For entries without numbers of their own. Empty: 1, the powers of two and the machine's edges.
  std::vector<u32> threads;
  u32 most_threads = 0;  // cap on the automatic thread counts; 0 means none
  u32 most_counts = 0;   // how many automatic thread counts, the most important first; 0 means all
  // The modelled machines of entries that name none. Natively no machine is modelled.
  std::vector<std::string> machines = {};
  // Settings, warm-up and duration that all cases share.
  CaseSpec defaults;
  u32 repetitions = 9;  // of entries without a number of their own
  u32 latency_repetitions = 2;
  bool ceiling = true;  // also scheme `none` with one address space for each thread
  std::string filter;   // as --filter takes it; empty: all
  double budget_s = 0;  // 0: none
  // The overhead of one trial of the case. A plan with a budget asks for it for each workload at
  // the fewest and at the most threads.
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

// [{"what", "why"}], the form of journals and results.
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

// Throws std::invalid_argument, before anything runs, for schemes, workloads, roles and placements
// that do not exist or cannot be combined, for a filter that matches no case, and for a budget into
// which no case fits.
//
// While the budget lasts, a plan takes the candidates in the order of their Stage
// (harness/case/candidates.hpp). Within a stage it first takes the thread counts that are farthest
// from those already taken. It leaves out cases but never repetitions, since fewer than nine
// repetitions could not show a significant change.
Plan make_plan(const Selection& selection, const Topology& topology);

}  // namespace faultline
