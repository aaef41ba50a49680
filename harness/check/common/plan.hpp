// Decides which search runs which programs on a lock.
#pragma once

#include <string>
#include <vector>

#include "harness/check/common/search.hpp"

namespace faultline::check {

struct Stage {
  std::string what;  // "2 threads x 1, exhaustive"
  std::vector<Program> programs;
  SearchOptions options;
  SearchLimits limits;  // of each program
};

// `seed` determines everything that the searches draw at random.
std::vector<Stage> stages_of(const Checked& checked, bool deep, u64 seed);

}  // namespace faultline::check
