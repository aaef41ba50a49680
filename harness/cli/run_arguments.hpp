// The command line of `faultline run` and `faultline sim`, and the selection that it describes.
#pragma once

#include <CLI/CLI.hpp>
#include <map>
#include <string>
#include <vector>

#include "harness/case/plan.hpp"
#include "harness/run/display.hpp"
#include "harness/run/runner.hpp"

namespace faultline {

// The texts of the command line; an empty one was not given.
struct RunArguments {
  std::string suite;
  std::vector<std::string> workloads;
  std::vector<std::string> schemes;
  std::vector<std::string> placements;
  std::string threads;
  std::string duration;
  std::string warmup = "20ms";
  std::string repetitions;
  std::string latency_repetitions;
  std::string budget;
  std::string stall_limit = "10s";
  std::string steal_limit = "0.1";
  std::string seed;
  std::string out;
  // The values that axes were given, by the axis's key.
  std::map<std::string, std::string> settings;
  std::string topology;
  std::string exec_in_window;
  bool latency = true;
  bool ceiling = true;
  bool counters = true;

  // For `faultline sim` only.
  bool simulated = false;
  std::string machines;
  std::string processes;

  // Google Benchmark's flags.
  std::string filter;
  std::string format;
  std::string out_format = "json";
  std::string colour = "auto";
  std::string time_unit = "ns";
  std::string context;
  bool list_tests = false;
  bool interleaved = true;
  bool aggregates_only = false;
  bool tabular = false;
};

void add_run_options(CLI::App& run, RunArguments& arguments);
void add_sim_options(CLI::App& sim, RunArguments& arguments);
// The values that a simulation takes where the command line gives none.
void set_sim_defaults(RunArguments& arguments);

// These functions throw std::invalid_argument for arguments that do not fit.
Selection make_selection(const RunArguments& arguments);
RunOptions make_run_options(const RunArguments& arguments);
std::vector<std::string> placements_of(const RunArguments& arguments);
// The pairs of KEY and VALUE in --benchmark_context.
std::vector<std::pair<std::string, std::string>> context_of(const RunArguments& arguments);

}  // namespace faultline
