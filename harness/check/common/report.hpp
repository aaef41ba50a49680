// The three things that `faultline check` does, and the tables that it prints.
#pragma once

#include <string>
#include <vector>

#include "harness/check/subjects/subject.hpp"

namespace faultline::check {

struct CheckOptions {
  std::vector<const Checked*> chosen;
  bool deep = false;  // hours instead of minutes
  u64 seed = 1;       // of everything drawn at random
  usize at_once = 2;  // processes at once
  std::string at;     // check_weakened: sites alone whose text begins so; empty: all
};

// All print to standard output and answer the exit code: 0, or 1 where something failed or nothing
// was run.

// Explores the chosen locks as they are.
int check_locks(const CheckOptions& options);
// Weakens each memory order that the chosen locks come by and drops each wake-up, one at a time. 1
// if a search does not notice one that no excuse covers (see excuses.hpp), or if an excuse is
// wrong.
int check_weakened(const CheckOptions& options);
// Explores the locks of the chosen ones' kinds that are broken by hand, and sound controls. 1 if a
// broken one is not caught, or if a control fails.
int check_broken(const CheckOptions& options);

}  // namespace faultline::check
