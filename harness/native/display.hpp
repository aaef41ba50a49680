// What a run shows while it runs: our own progress, or Google Benchmark's console, JSON or CSV.
#pragma once

#include <benchmark/benchmark.h>

#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "harness/case/plan.hpp"

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
  nlohmann::json record;  // null: it was left out
};

// A reporter that passes on what the library reports, with what the library gets wrong of it
// mended: the name (without "/iterations:1/manual_time"), threads, repetition, CPU time, and the
// warning that the library was built as DEBUG, which says nothing of faultline. Trials that were
// left out are not shown. `current` is to be filled before each report. For
// DisplayFormat::progress it shows nothing.
std::unique_ptr<benchmark::BenchmarkReporter> make_reporter(const DisplayOptions& options,
                                                            const ReportedTrial& current);

// On standard error: one line that is rewritten on a terminal; elsewhere a plain line every ten
// seconds.
class Progress {
 public:
  // `shown` false: only remarks.
  Progress(usize trials, bool shown);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // One more trial has ended.
  void step(const std::string& name);
  // A line of its own, whatever stands there.
  void remark(const std::string& line);
  // Seconds that a trial has taken so far, on average; 0 before the first has ended.
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
