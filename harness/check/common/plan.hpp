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

// How much of the programs is explored.
enum class Extent : u8 {
  sampled,  // some programs of a variant such as "rwsem:osq=off", which the seed draws
  whole,    // all programs, each with a bound of executions
  deep,     // all programs, for a long time
};

// `seed` determines everything that is drawn at random.
std::vector<Stage> stages_of(const Checked& checked, Extent extent, u64 seed);

}  // namespace faultline::check
