// What a run shows while it runs: our own progress line, or Google Benchmark's console, JSON or
// CSV.
#pragma once

#include <benchmark/benchmark.h>

#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "harness/case/plan.hpp"
#include "harness/run/order.hpp"

namespace faultline {

enum class DisplayFormat { progress, console, json, csv };

struct DisplayOptions {
  DisplayFormat format = DisplayFormat::progress;
  bool colour = false;
  bool tabular = false;  // counters as columns
};

// The trial that Google Benchmark is about to report.
struct ReportedTrial {
  const PlannedCase* planned = nullptr;
  PlannedTrial trial;
  nlohmann::json record;  // null if the trial was left out
};

// Google Benchmark's reporter of that format, which must not be `progress`, inside one that
// corrects the runs first: their name (without "/iterations:1/manual_time"), threads, repetition
// and CPU time. It drops the warning that the library was built as DEBUG, which says nothing about
// faultline, and trials that were left out. The caller fills `current` before each report.
std::unique_ptr<benchmark::BenchmarkReporter> make_reporter(const DisplayOptions& options,
                                                            const ReportedTrial& current);

// Shows on standard error how many trials have ended: on a terminal as one line that is rewritten,
// elsewhere as a plain line every ten seconds.
class Progress {
 public:
  // Unless `shown`, it prints only remarks.
  Progress(usize trials, bool shown);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Counts one more trial as ended and shows the progress; `name` is the trial's case.
  void step(const std::string& name);
  // Prints a line, whether progress is shown or not.
  void remark(const std::string& line);
  // The mean time from one trial's end to the next one's, in seconds; 0 before the first has ended.
  double mean_s() const;

 private:
  using Clock = std::chrono::steady_clock;
  void clear();

  const usize trials_;
  const bool shown_;
  const bool terminal_;
  const Clock::time_point begin_;
  Clock::time_point last_;
  usize done_ = 0;
};

// "45 s", "2 min 5 s".
std::string human_seconds(double seconds);

}  // namespace faultline
