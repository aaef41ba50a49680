// `faultline doctor`: what would spoil a measurement on this machine, and how to mend it.
#pragma once

#include <chrono>
#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

namespace faultline {

enum class Verdict { ok, warn, unknown };

struct Finding {
  std::string name;
  std::string value;
  Verdict verdict = Verdict::unknown;
  std::string mend;  // what to do about it; never empty where the verdict is warn
};

struct DoctorOptions {
  std::string root = "/";
  // How long /proc/stat is watched for steal time and other load; ticks are 10 ms.
  std::chrono::milliseconds sample{500};
  // Waits for the sample; nothing: sleeps.
  std::function<void(std::chrono::milliseconds)> wait;
  // Whether perf_event_paranoid does not bind this process: root, or CAP_PERFMON.
  bool privileged = false;
  // Why no hardware event can be counted, empty if they can: the caller asks counters_absent().
  std::string counters_absent;
};

// One finding each for governor, turbo, SMT, counters, perf_event_paranoid, NUMA balancing,
// transparent huge pages, steal time, other load, clock source, virtualisation, in this order.
// Takes as long as the sample.
std::vector<Finding> diagnose(const DoctorOptions& options = {});

// Prints the findings, each with its mend, and how many are warnings.
void print_findings(std::ostream& out, const std::vector<Finding>& findings);

// The command: diagnoses this machine and prints. Returns the exit code, 0: a warning is no error.
int print_doctor(std::ostream& out);

}  // namespace faultline
