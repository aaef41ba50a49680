// Hardware events, counted per thread through perf_event_open(2).
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "harness/counters/events.hpp"
#include "harness/counters/pmu.hpp"

namespace faultline {

// What one event counted. If there are more events than the CPU has counters, the kernel
// multiplexes them, and running_ns < enabled_ns.
struct EventReading {
  std::string name;  // "icx::EVENT"; ":u" follows where only user mode could be counted
  u64 value = 0;     // as counted, not scaled
  u64 enabled_ns = 0;
  u64 running_ns = 0;
  std::string absent = {};  // why it could not be counted; empty if it could

  // The count extrapolated to all the time that the event was enabled; nothing if the event never
  // had a counter.
  std::optional<double> scaled() const;
};

// The events of the calling thread. The constructor opens them before the window; the same thread
// calls start() and stop() at the window's edges. start() switches all events on with one system
// call, so that all of them cover the same time. They count in user and kernel mode, or in user
// mode alone where perf_event_paranoid allows no more. No function throws for an event that cannot
// be counted: its reading says why.
class ThreadCounters {
 public:
  explicit ThreadCounters(std::span<const EventRow> rows = events_here());
  ~ThreadCounters();
  ThreadCounters(const ThreadCounters&) = delete;
  ThreadCounters& operator=(const ThreadCounters&) = delete;

  void start();
  // Stops and reads all events. Their values accumulate over several windows.
  void stop();

  // Why no event is counted; empty if at least one is.
  const std::string& absent() const { return absent_; }
  // One reading for each row; empty if no event is counted.
  const std::vector<EventReading>& readings() const { return readings_; }
  // How often the kernel moved the thread to another CPU in the window; nothing if neither
  // perf_event_open nor /proc/thread-self/sched is available.
  std::optional<u64> migrations() const { return migrations_; }

 private:
  void open_rows(std::span<const EventRow> rows);
  void open_migrations();

  std::vector<int> files_;  // one for each reading; -1 where it is absent
  std::vector<EventReading> readings_;
  int migrations_file_ = -1;
  std::optional<u64> migrations_by_proc_;  // /proc's count at the window's start
  std::optional<u64> migrations_;
  std::string absent_;
};

// The trial's "counters": {"events": events_json}, or {"absent": reason} if a thread counted no
// event.
nlohmann::json counters_json(const std::vector<const ThreadCounters*>& threads);

// Each event summed over the threads, {NAME: {"value", "enabled_ns", "running_ns"}}. An event that
// some thread did not count gets {"absent": reason}, since the sum would be too low.
nlohmann::json events_json(const std::vector<std::vector<EventReading>>& threads);

// Why the calling thread cannot count any hardware event now; nothing if it can. Takes
// microseconds.
std::optional<std::string> counters_absent();

// The result file's "counters": {"available": true, "pmu", "events"} or {"available": false,
// "reason"}.
nlohmann::json counters_summary();

}  // namespace faultline
