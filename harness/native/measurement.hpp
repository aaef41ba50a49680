// The kernel's and the hardware's counts for the measured threads, in the journal's JSON shape.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "harness/native/team.hpp"

namespace faultline {

// The sums of the kernel's counts over the threads; `steal` in nanoseconds. Leaves out threads that
// never saw the window open, and gives their number as "threads_not_counted".
nlohmann::json software_json(const std::vector<Member>& members, std::optional<u64> steal);

// The hardware events, or {"absent": reason}.
nlohmann::json hardware_json(const std::vector<Member>& members, bool asked_for);

}  // namespace faultline
