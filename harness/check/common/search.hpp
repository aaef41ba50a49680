// Runs executions of a program on a subject until the search is complete or reaches a limit.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/check/common/weakening.hpp"
#include "harness/check/subjects/subject.hpp"
#include "harness/check/weak_memory/explorer.hpp"

namespace faultline::check {

struct SearchLimits {
  double seconds = 10;  // of CPU time
  u64 executions = ~u64{0};
  // The time ends the search only after so many executions.
  u64 least = 0;
  // CPU time for which the search continues after a failure, to find a shorter one.
  double seconds_for_shorter = 0.3;
};

struct Failure {
  std::string what;
  std::string story;  // one line for each operation
  u64 execution = 0;  // the first execution that failed, counted from 1
  u32 operations = 0;
};

struct Outcome {
  u64 executions = 0;
  bool makes_promise = false;  // the lock promises its waiters a bound (locks/promise.hpp)
  u64 promises = 0;            // how often it has
  bool complete = false;
  double seconds = 0;
  std::optional<Failure> failure;
};

// `weakening` applies to every execution; null means none. `sites`, if not null, collects the sites
// that the executions reach.
Outcome explore(const Checked& checked, const Program& program, const SearchOptions& options,
                const SearchLimits& limits, const Weakening* weakening = nullptr,
                std::vector<Site>* sites = nullptr);

}  // namespace faultline::check
