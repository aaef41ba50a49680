// A case, and a trial of it. The types serve trials on this machine and on a modelled machine
// alike.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "harness/case/axes.hpp"
#include "locks/platform.hpp"

namespace faultline {

struct CaseSpec {
  std::string workload;   // with its options: "page_fault1:size=64K"
  std::string scheme;     // or, for lock_loop, a lock: "mmap_sem:osq=off", "ticket"
  std::string placement;  // as the user asked for it: "compact"
  u32 threads = 1;
  std::vector<u32> cpus;  // cpus[i]: the CPU of thread i
  bool oversubscribed = false;
  Settings settings;  // a value for every axis
  double warmup_s = 0.05;
  double duration_s = 0.2;
  std::string machine = {};  // the modelled machine: a preset or a file; empty: this machine

  bool simulated() const { return !machine.empty(); }
  // Whether the scheme is the running kernel.
  bool is_kernel() const;
  // The workload's name in results: a replay has the stem of its file, not the path.
  std::string workload_name() const;
  // The modelled machine's name in results: a file has its stem.
  std::string machine_name() const;
  // "workload/scheme/placement/threads:N[/on:MACHINE][/private][/page-table:per_cpu]...". The name
  // contains the axes that differ from the default.
  std::string name() const;

  const std::string& value(std::string_view axis) const { return settings.value(axis); }
  bool is_on(std::string_view axis) const { return settings.is_on(axis); }
};

struct TrialSpec {
  CaseSpec trial_case;
  u32 repetition = 0;
  bool latency = false;
  u64 seed = 1;
  double stall_limit_s = 10;   // simulated seconds for a simulated trial
  double steal_limit = 0.1;    // share of the window's CPU time above which the trial is discarded
  std::string exec_in_window;  // "" or a command; {pid} stands for the trial's process
  bool counters = true;        // try the hardware counters
};

void to_json(nlohmann::json& json, const CaseSpec& spec);
void from_json(const nlohmann::json& json, CaseSpec& spec);
void to_json(nlohmann::json& json, const TrialSpec& spec);
void from_json(const nlohmann::json& json, TrialSpec& spec);

// Throws std::invalid_argument for values that no case can have, natively or simulated.
void validate_options(const CaseSpec& spec);

// Throws with the text "case '...': why".
[[noreturn]] void refuse_case(const CaseSpec& spec, const std::string& why);

}  // namespace faultline
