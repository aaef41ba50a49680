// `faultline check`: what is run for whom, and the tables that it ends with.
#pragma once

#include <string>
#include <vector>

#include "harness/check/subjects/subject.hpp"

namespace faultline::check {

struct CheckOptions {
  std::vector<const Checked*> chosen;
  bool deep = false;  // hours instead of minutes
  u64 seed = 1;       // of what is drawn at random
  usize at_once = 2;  // processes
};

// Both print to standard output and answer the exit code: 0, or 1 where something failed, or
// nothing was run.
int check_locks(const CheckOptions& options);
// Each memory order of the chosen locks weakened and each wake-up dropped, and the locks of their
// kinds that are broken by hand: 1 if one is not caught (a weaker order may survive where its
// header says why), or a control fails.
int check_mutants(const CheckOptions& options);

}  // namespace faultline::check
