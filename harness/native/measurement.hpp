// From the threads' numbers to a trial's record, in the journal's JSON shape.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "harness/native/team.hpp"

namespace faultline {

// Fills in operations, rate, threads, kinds, and roles where the case has them.
void add_operations(nlohmann::json& record, const CaseSpec& spec,
                    const std::vector<Member>& members);

// The system's counts; `steal` in nanoseconds.
nlohmann::json software_json(const std::vector<Member>& members, std::optional<u64> steal);

// The hardware events, or why there are none.
nlohmann::json hardware_json(const std::vector<Member>& members, bool asked_for);

}  // namespace faultline
