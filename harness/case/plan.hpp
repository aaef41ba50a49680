// Plans a selection (a suite, or what the command line names): which cases run within the budget,
// how often, and what is left out.
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

// What a trial costs beyond warm-up and window: its process, the set-up, the oracle's check.
struct Overhead {
  double seconds = 0.1;
  double spent_s = 0;  // seconds that the measurement of `seconds` took
};

struct Selection {
  std::string suite;                // its name, or empty
  std::vector<SuiteEntry> entries;  // the most important first
  std::vector<std::string> placements = {"compact"};
  // Empty: 1, the powers of two and the machine's edges.
  std::vector<u32> threads;
  u32 most_threads = 0;  // cap on the automatic thread counts; 0 means none
  // The modelled ones; empty: this machine.
  std::vector<std::string> machines = {};
  // What all cases share: settings, warm-up and duration.
  CaseSpec defaults;
  u32 repetitions = 9;
  u32 latency_repetitions = 2;
  bool ceiling = true;  // also scheme `none` with one address space a thread
  std::string filter;   // as --filter takes it; empty: all
  double budget_s = 0;  // 0: none
  // What one trial of the case costs; a plan with a budget asks for each workload at its fewest and
  // at its most threads.
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

// [{"what", "why"}], as journals and results hold them.
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
// (harness/case/candidates.hpp), and within a stage first the thread counts that are farthest from
// those already taken. It leaves out cases but never repetitions: fewer than nine could not show a
// significant change.
Plan make_plan(const Selection& selection, const Topology& topology);

}  // namespace faultline
