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
// Runs each job in a child, `at_once` at the same time. Calls `done` with the job's number and
// answer, in the order in which the jobs end.
void run_in_children(const std::vector<std::function<std::string()>>& jobs, usize at_once,
                     const std::function<void(usize, const Answer&)>& done);

}  // namespace faultline::check
