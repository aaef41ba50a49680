// Work in processes of its own: a lock that is broken may break its checker's memory, and fibers of
// failed executions are never given back.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "harness/check/common/types.hpp"

namespace faultline::check {

// Runs each job in a child, `at_once` at a time, and hands what it answered to `done` with the
// job's number, in the order in which they end; nothing, with the reason, if the child died.
struct Answer {
  std::optional<std::string> text;
  std::string reason;
};
void run_in_children(const std::vector<std::function<std::string()>>& jobs, usize at_once,
                     const std::function<void(usize, const Answer&)>& done);

}  // namespace faultline::check
