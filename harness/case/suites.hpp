// Suites: JSON files (workloads/suites/schema.json describes them) that say what to measure, the
// most important first. make_plan (harness/case/plan.hpp) fits a suite to its budget.
#pragma once

#include <string>
#include <vector>

#include "harness/case/axes.hpp"

namespace faultline {

struct SuiteEntry {
  std::string workload;
  std::vector<std::string> schemes;  // or locks, for lock_loop
  AxisValues axes = {};              // every combination is a case
};

struct Suite {
  std::string name;  // of the file, without .json
  std::string summary;
  double budget_s = 0;  // 0: none
  unsigned repetitions = 9;
  double duration_s = 0.2;
  bool simulated = false;                  // for `faultline sim` alone
  std::vector<std::string> machines = {};  // the modelled ones
  unsigned most_threads = 0;               // cap on the automatic thread counts; 0 means none
  std::vector<SuiteEntry> entries;
};

// `given`: the name of a suite of the program's, or the path of a file: a text with '/' or ending
// in ".json". Throws std::invalid_argument, in one line with file, key and what was expected, for a
// file that cannot be read, does not follow the schema, or names what does not exist.
Suite load_suite(const std::string& given);

// The program's own, by name.
std::vector<std::string> suite_names();

}  // namespace faultline
