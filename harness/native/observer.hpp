// What a trial measures around its window besides operations: the system's own counts, a thread
// each and for the machine.
#pragma once

#include <sys/resource.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "workloads/worker.hpp"

namespace faultline {

// One thread's page faults and context switches between the window's edges, from getrusage: the
// kernel's counts, the same for every user.
class ThreadUsage final : public WindowObserver {
 public:
  void opened() override;
  void closed() override;

  u64 minor_faults() const { return difference(&rusage::ru_minflt); }
  u64 major_faults() const { return difference(&rusage::ru_majflt); }
  u64 voluntary_switches() const { return difference(&rusage::ru_nvcsw); }
  u64 involuntary_switches() const { return difference(&rusage::ru_nivcsw); }
  double cpu_seconds() const;

 private:
  u64 difference(long rusage::*field) const {
    return static_cast<u64>(after_.*field - before_.*field);
  }
  rusage before_ = {};
  rusage after_ = {};
};

// Nanoseconds that the hypervisor has taken from `cpus` since boot, from /proc/stat, in ticks of 10
// ms; absent: -1.
i64 steal_ns(const std::vector<u32>& cpus);

// A command that runs from construction to stop(): an observer of the window. {pid} in it stands
// for this process.
class WindowCommand {
 public:
  explicit WindowCommand(const std::string& command);
  WindowCommand(const WindowCommand&) = delete;
  WindowCommand& operator=(const WindowCommand&) = delete;
  ~WindowCommand() { stop(); }
  // Interrupts it as Ctrl-C would, waits at most 5 s for its end, then kills it.
  void stop();

 private:
  int pid_ = -1;
};

}  // namespace faultline
