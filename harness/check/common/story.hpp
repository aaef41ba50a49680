// The story of a failing execution: one line for each operation, with its thread, object, value,
// memory order and source line.
#pragma once

#include <string>
#include <vector>

#include "harness/check/common/log.hpp"

namespace faultline::check {

std::string story_of(const std::vector<LogEntry>& log, const std::vector<Label>& labels);

}  // namespace faultline::check
