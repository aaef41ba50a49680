// What `faultline run` or `faultline sim` was told, and what it comes to.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "harness/case/plan.hpp"
#include "harness/native/display.hpp"
#include "harness/native/runner.hpp"

namespace faultline {

// Texts as given; empty: not given.
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
  std::string roles;
  std::string page_clear = "memset";
  std::string shootdown = "cpumask";
  std::string page_table = "shared";
  std::string topology;
  std::string exec_in_window;
  bool latency = true;
  bool ceiling = true;
  bool counters = true;
  bool private_spaces = false;
  bool no_merge = false;
  bool thp = false;

  // Of `faultline sim` alone.
  bool simulated = false;
  bool kernel_entry = false;
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

// All throw std::invalid_argument for what cannot be.
Selection make_selection(const RunArguments& arguments);
RunOptions make_run_options(const RunArguments& arguments);
std::vector<std::string> placements_of(const RunArguments& arguments);
// --benchmark_context's pairs.
std::vector<std::pair<std::string, std::string>> context_of(const RunArguments& arguments);

}  // namespace faultline
