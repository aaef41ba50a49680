// The three commands of `faultline check`, and the tables that they print.
#pragma once

#include <string>
#include <vector>

#include "harness/check/subjects/subject.hpp"

namespace faultline::check {

struct CheckOptions {
  std::vector<const Checked*> chosen;
  bool deep = false;      // searches for `seconds` instead of minutes
  double seconds = 3600;  // of a deep run, by the clock
  u64 seed = 1;           // it determines everything that is drawn at random
  usize at_once = 2;      // processes at once
  std::string at;         // For check_weakened: only sites whose text begins with this. Empty: all.
  u64 most_executions = ~u64{0};  // of each program in a hunt (hunt.hpp)
  // For check_semantic: the mutants are dealt out to `parts` parts, and only this part is tried.
  u64 part = 1, parts = 1;
  bool no_unit_tests = false;  // for check_semantic: nor mutants that are left to them
};

// All functions print to standard output and answer the exit code: 0, or 1 where something failed
// or nothing was run.

// Explores the chosen locks as they are.
int check_locks(const CheckOptions& options);
// Weakens each memory order that the chosen locks reach and drops each wake-up, one at a time.
// Answers 1 if a search does not notice a weakening that no excuse covers (excuses.hpp), or if an
// excuse is wrong.
int check_weakened(const CheckOptions& options);
// Explores sound controls, and the locks of the chosen kinds that are broken by hand. Answers 1 if
// a broken lock is not caught, or if a control fails.
int check_broken(const CheckOptions& options);

}  // namespace faultline::check
