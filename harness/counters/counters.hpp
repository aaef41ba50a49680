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

// What one event counted. Where there are more events than the CPU has counters the kernel takes
// turns, and running < enabled.
struct EventReading {
  std::string name;  // "icx::EVENT", with ":u" behind it where the kernel could not be counted
  u64 value = 0;     // as counted, not scaled
  u64 enabled_ns = 0;
  u64 running_ns = 0;
  std::string absent = {};  // why it could not be counted; empty if it could

  // What would have been counted all the time; nothing if the event never had a counter.
  std::optional<double> scaled() const;
};

// The events of the calling thread: opened by the constructor, before the window; start() and
// stop() are the window's edges, called by the same thread. A start switches all events on with one
// system call, so that none covers more of the window than another. User and kernel are counted,
// the user alone where perf_event_paranoid allows no more. Never throws: what cannot be counted has
// a reason.
class ThreadCounters {
 public:
  explicit ThreadCounters(std::span<const EventRow> rows = events_here());
  ~ThreadCounters();
  ThreadCounters(const ThreadCounters&) = delete;
  ThreadCounters& operator=(const ThreadCounters&) = delete;

  void start();
  // Also reads all events; they accumulate over several windows.
  void stop();

  // Why nothing is counted; empty if anything is.
  const std::string& absent() const { return absent_; }
  // One for each row, or none if nothing is counted.
  const std::vector<EventReading>& readings() const { return readings_; }
  // How often the kernel moved the thread to another CPU in the window; nothing if neither perf nor
  // /proc tells.
  std::optional<u64> migrations() const { return migrations_; }

 private:
  void open_rows(std::span<const EventRow> rows);
  void open_migrations();

  std::vector<int> files_;  // one for each reading; -1 where it is absent
  std::vector<EventReading> readings_;
  int migrations_file_ = -1;
  std::optional<u64> migrations_by_proc_;  // at the window's start
  std::optional<u64> migrations_;
  std::string absent_;
};

// The trial's "counters": {"events": events_json}, or {"absent": why} if a thread counted nothing.
nlohmann::json counters_json(const std::vector<const ThreadCounters*>& threads);

// Each event summed over the threads, {NAME: {"value", "enabled_ns", "running_ns"}}, or {"absent":
// why} where not every thread counted it: a sum over the others would be too low.
nlohmann::json events_json(const std::vector<std::vector<EventReading>>& threads);

// Why this thread could count no hardware event now; nothing if it could. Takes microseconds.
std::optional<std::string> counters_absent();

// The result file's "counters": {"available": true, "pmu", "events"} or {"available": false,
// "reason"}.
nlohmann::json counters_summary();

}  // namespace faultline
