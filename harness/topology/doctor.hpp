// `faultline doctor`: shows what would spoil a measurement on this machine, and how to mend it.
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
  std::string mend;  // what to do about a warning; empty for every other verdict
};

struct DoctorOptions {
  std::string root = "/";
  // The time between two readings of /proc/stat, whose difference gives steal time and other load.
  // /proc/stat counts in ticks, usually of 10 ms.
  std::chrono::milliseconds sample{500};
  // How to wait for the length of the sample; sleeps if empty.
  std::function<void(std::chrono::milliseconds)> wait;
  // Whether this process may ignore perf_event_paranoid, as root or with CAP_PERFMON.
  bool privileged = false;
  // Why hardware events cannot be counted, from counters_absent(); empty if they can.
  std::string counters_absent;
};

// One finding each for governor, turbo, SMT, counters, perf_event_paranoid, NUMA balancing,
// transparent huge pages, steal time, other load, clock source, virtualisation, in this order.
// The call takes as long as the sample.
std::vector<Finding> diagnose(const DoctorOptions& options = {});

// Prints the findings, the mend of each warning, and the number of warnings.
void print_findings(std::ostream& out, const std::vector<Finding>& findings);

// The command: diagnoses this machine and prints the findings. Returns the exit code, which is 0
// even with warnings.
int print_doctor(std::ostream& out);

}  // namespace faultline
