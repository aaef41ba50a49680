// Runs jobs in child processes: a broken lock may damage its checker's memory, and the fibers of
// failed executions are never freed.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "harness/check/common/types.hpp"

namespace faultline::check {

// What a job answered, or why its process died without an answer.
struct Answer {
  std::optional<std::string> text;
  std::string reason;
};
// Runs each job in a child, `at_once` at a time. Calls `done` with the job's number and its answer,
// in the order in which the jobs end.
void run_in_children(const std::vector<std::function<std::string()>>& jobs, usize at_once,
                     const std::function<void(usize, const Answer&)>& done);

}  // namespace faultline::check
