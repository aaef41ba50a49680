// Suites: JSON files (workloads/suites/schema.json describes them) that list the cases to measure,
// the most important first. make_plan (harness/case/plan.hpp) fits a suite to its budget.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/case/axes.hpp"
#include "locks/platform.hpp"

namespace faultline {

struct SuiteEntry {
  std::string workload;
  std::vector<std::string> schemes;  // locks, for lock_loop
  AxisValues axes = {};              // every combination is a case
  // What replaces the selection's value for the cases of this entry; empty where nothing does.
  std::vector<std::string> machines = {};  // modelled machines
  std::vector<u32> cpus = {};              // how many simulated CPUs work
  std::optional<std::string> placement = {};
  std::optional<u32> repetitions = {};
  std::optional<double> duration_s = {};
  double warmup_s = 0;  // the least warm-up; a longer one of the selection holds
};

struct Suite {
  std::string name;  // the file's name without .json
  std::string summary;
  double budget_s = 0;  // 0: none
  unsigned repetitions = 9;
  double duration_s = 0.2;
  bool simulated = false;                  // for `faultline sim` alone
  std::vector<std::string> machines = {};  // the modelled machines of entries that name none
  unsigned most_threads = 0;               // cap on the automatic thread counts; 0 means none
  unsigned most_counts = 0;                // how many automatic thread counts; 0 means all
  bool ceiling = true;  // also scheme `none` with one address space for each thread
  bool latency = true;  // also latency trials
  std::vector<SuiteEntry> entries;
};

// `given` is the name of one of the program's suites, or the path of a file: a text that contains
// '/' or ends in ".json". Throws std::invalid_argument, in one line with file, key and what was
// expected, for a file that cannot be read, does not follow the schema, or names what does not
// exist.
Suite load_suite(const std::string& given);

// The names of the program's own suites.
std::vector<std::string> suite_names();

}  // namespace faultline
