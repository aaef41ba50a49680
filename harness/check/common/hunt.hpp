// The search for one flaw, a weakened order or a lock that is broken by hand: a lock's searches
// until the first failure.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "harness/check/common/plan.hpp"
#include "harness/check/common/report.hpp"

namespace faultline::check {

// The stages of a hunt, those that are soon through first. Each ends after a number of executions,
// so that a slow machine finds what a fast one finds.
std::vector<Stage> hunt_stages(const Checked& checked, bool deep, u64 seed);

// {"executions": so many} and, where an execution failed, "caught": what failed, and "program": in
// which stage and program. `weakening` may be null.
nlohmann::json hunt(const Checked& checked, const Weakening* weakening,
                    const CheckOptions& options);

struct Verdict {
  bool caught = false;
  std::string text;
  std::string lock = {};  // the last that was searched; empty where the process crashed
};

// Runs each job, which answers as hunt() does, in a process of its own. A crash counts as caught.
std::vector<Verdict> run_hunts(const std::vector<std::function<std::string()>>& jobs,
                               usize at_once);

}  // namespace faultline::check
