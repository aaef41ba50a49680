// What a trial measures in its window besides operations: the kernel's and the hardware's counts
// for each thread, the machine's steal time, and a command of the user's that observes the window.
#pragma once

#include <sys/resource.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "harness/counters/counters.hpp"
#include "workloads/worker.hpp"

namespace faultline {

// One thread's page faults, context switches and CPU time (from getrusage, which needs no
// privilege), migrations and hardware events between the window's edges. The observed thread makes
// its own.
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

// Nanoseconds that the hypervisor has taken from `cpus` since boot, from /proc/stat, which counts
// in ticks (usually of 10 ms); nothing where /proc/stat does not list these CPUs.
std::optional<u64> steal_ns(const std::vector<u32>& cpus);

// A command, perf for instance, that observes the window: it runs from construction to stop().
// {pid} in its text stands for this process's id. It gets SIGTERM if this process is killed.
class WindowCommand {
 public:
  // Throws std::runtime_error if fork fails.
  explicit WindowCommand(const std::string& command);
  WindowCommand(const WindowCommand&) = delete;
  WindowCommand& operator=(const WindowCommand&) = delete;
  ~WindowCommand() { stop(); }
  // Sends it SIGINT as Ctrl-C would, waits at most 5 s for its end, then kills it. Returns why the
  // command failed; empty if it did not. An end by the interrupt is no failure.
  std::string stop();

 private:
  std::string text_;
  int pid_ = -1;
};

}  // namespace faultline
