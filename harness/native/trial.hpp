// A trial: one case, once, in a process of its own. The parent writes a TrialSpec to the child's
// standard input and reads the trial's record (the journal's JSON shape) from its standard output.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "locks/platform.hpp"

namespace faultline {

struct CaseSpec {
  std::string workload;   // with its parameters: "page_fault1:2M"
  std::string scheme;     // or, for lock_loop, a lock: "mmap_sem:no-osq", "ticket"
  std::string placement;  // as asked for: "compact"
  u32 threads = 1;
  std::vector<u32> cpus;  // cpus[i]: the CPU of thread i
  bool oversubscribed = false;
  std::string roles;  // "" or "faulters:N-1,updaters:1"
  bool private_spaces = false;
  std::string page_clear = "memset";  // or "model"
  std::string shootdown = "cpumask";  // or "precise", "broadcast"
  bool merge = true;
  bool thp = false;
  double warmup_s = 0.05;
  double duration_s = 0.2;

  // The workload as results call it: a replay by the stem of its file, not by its path.
  std::string workload_name() const;
  std::string name()
      const;  // "workload/scheme/placement/threads:N[/private][/roles:..][/shootdown:..]...":
              // what differs from the default
};

struct TrialSpec {
  CaseSpec trial_case;
  u32 repetition = 0;
  bool latency = false;
  u64 seed = 1;
  double stall_limit_s = 10;
  double steal_limit = 0.1;    // share of the window's CPU time above which the trial is discarded
  std::string exec_in_window;  // "" or a command; {pid} stands for the trial's process
  bool counters = true;        // try the hardware counters
};

void to_json(nlohmann::json& json, const CaseSpec& spec);
void from_json(const nlohmann::json& json, CaseSpec& spec);
void to_json(nlohmann::json& json, const TrialSpec& spec);
void from_json(const nlohmann::json& json, TrialSpec& spec);

// Runs in the child. Never throws for what belongs to the case: that is status "failed" with its
// reason. When a thread stands still for the stall limit, or crashes, nothing can be unwound: the
// record is then written to standard output here, with who waits and who holds, and the process
// ends. Throws std::invalid_argument for a spec that names what does not exist or go together.
nlohmann::json run_trial(const TrialSpec& spec);

}  // namespace faultline
