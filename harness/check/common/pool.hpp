// Runs jobs in child processes, since a broken lock may damage its checker's memory, and since the
// fibers of failed executions are never freed.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "harness/check/common/types.hpp"

namespace faultline::check {

// A job's answer, or why its process died without one.
struct Answer {
  std::optional<std::string> text;
  std::string reason;
};
// Is called with the numbers of the jobs under way, 10 s after the start and then every minute.
using Progress = std::function<void(const std::vector<usize>& under_way)>;
// Runs each job in a child, `at_once` at the same time. Calls `done` with the job's number and
// answer, in the order in which the jobs end. SIGINT and SIGTERM stop all jobs: `done` is not
// called for those that have not ended. Answers the signal, or 0 if all jobs have ended.
int run_in_children(const std::vector<std::function<std::string()>>& jobs, usize at_once,
                    const std::function<void(usize, const Answer&)>& done,
                    const Progress& progress = {});
// Whether a signal has stopped the last run_in_children().
bool is_stopped();
// Does to this process what `signal` does to a process that does not handle it. 0: nothing.
void end_by(int signal);
// The same, but first says "stopped WHEN" in a line.
void end_early(int signal, const char* when);

}  // namespace faultline::check
