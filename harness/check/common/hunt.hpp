// The search for one flaw, which is a weakened order or a lock that is broken by hand. It runs the
// lock's searches until the first failure.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "harness/check/common/plan.hpp"
#include "harness/check/common/pool.hpp"
#include "harness/check/common/report.hpp"

namespace faultline::check {

// The stages of a hunt, the shortest first. Each ends after a number of executions, so that a slow
// machine finds what a fast machine finds.
std::vector<Stage> hunt_stages(const Checked& checked, bool deep, u64 seed);

// Answers {"executions": number} and, where an execution failed, "caught": what failed, and
// "program": the stage and program. `weakening` may be null. Calls `before_program` before it
// searches each program.
nlohmann::json hunt(
    const Checked& checked, const Weakening* weakening, const CheckOptions& options,
    const std::function<void()>& before_program = [] {});

struct Verdict {
  bool tried = false;  // the search has ended
  bool caught = false;
  std::string text;
  std::string lock = {};  // The last lock that was searched. Empty where the process crashed.
};

// The verdict on a process whose job answers as hunt() does. A crash counts as caught.
Verdict verdict_of(const Answer& answer);

struct Hunts {
  std::vector<Verdict> verdicts;  // by job
  int stopped_by = 0;             // the signal that has stopped the search; 0: none
};

// Runs each job in a process of its own. Each job answers as hunt() does. A crash counts as caught.
Hunts run_hunts(const std::vector<std::function<std::string()>>& jobs, usize at_once);
// "stopped: 3 of 7 were not tried\n", or nothing if all were.
std::string untried(usize left, usize all);
std::string untried(const Hunts& hunts);

}  // namespace faultline::check
