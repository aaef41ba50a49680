// A failing execution, told: one line an operation, with thread, object, value, memory order and
// place in the source.
#pragma once

#include <string>
#include <vector>

#include "harness/check/weak_memory/world.hpp"

namespace faultline::check {

std::string story_of(const std::vector<LogEntry>& log, const std::vector<Label>& labels);

}  // namespace faultline::check
