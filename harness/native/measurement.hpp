// What the system and the hardware counted of the threads, in the journal's JSON shape.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "harness/native/team.hpp"

namespace faultline {

// The system's counts; `steal` in nanoseconds.
nlohmann::json software_json(const std::vector<Member>& members, std::optional<u64> steal);

// The hardware events, or why there are none.
nlohmann::json hardware_json(const std::vector<Member>& members, bool asked_for);

}  // namespace faultline
