// What a trial measures around its window besides operations: the system's own counts, a thread
// each and for the machine.
#pragma once

#include <sys/resource.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "harness/counters/counters.hpp"
#include "workloads/worker.hpp"

namespace faultline {

// One thread's page faults, context switches, CPU time (getrusage: the kernel's counts, the same
// for every user), migrations and hardware events between the window's edges. Made by the thread
// itself.
class ThreadObserver final : public WindowObserver {
 public:
  explicit ThreadObserver(bool hardware)
      : counters_(hardware ? events_here() : std::span<const EventRow>()) {}

  void opened() override;
  void closed() override;

  u64 minor_faults() const { return difference(&rusage::ru_minflt); }
  u64 major_faults() const { return difference(&rusage::ru_majflt); }
  u64 voluntary_switches() const { return difference(&rusage::ru_nvcsw); }
  u64 involuntary_switches() const { return difference(&rusage::ru_nivcsw); }
  double cpu_seconds() const;
  const ThreadCounters& counters() const { return counters_; }

 private:
  u64 difference(long rusage::*field) const {
    return static_cast<u64>(after_.*field - before_.*field);
  }
  ThreadCounters counters_;
  rusage before_ = {};
  rusage after_ = {};
};

// Nanoseconds that the hypervisor has taken from `cpus` since boot, from /proc/stat, in ticks of 10
// ms; nothing where the kernel does not tell.
std::optional<u64> steal_ns(const std::vector<u32>& cpus);

// A command that runs from construction to stop(): an observer of the window. {pid} in it stands
// for this process. It ends with this process, should that be killed.
class WindowCommand {
 public:
  // Throws std::runtime_error if no process can be started.
  explicit WindowCommand(const std::string& command);
  WindowCommand(const WindowCommand&) = delete;
  WindowCommand& operator=(const WindowCommand&) = delete;
  ~WindowCommand() { stop(); }
  // Interrupts it as Ctrl-C would, waits at most 5 s for its end, then kills it. What went wrong,
  // if the shell could not run it; otherwise empty.
  std::string stop();

 private:
  std::string text_;
  int pid_ = -1;
};

}  // namespace faultline
