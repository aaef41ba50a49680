// Notes on results for which the simulated window was too short.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "locks/platform.hpp"

namespace faultline {

// A result with fewer operations a thread says little: one cycle of mapping, faulting and unmapping
// has as many.
inline constexpr u64 least_operations = 4;

// Returns a short text for each event that the window was too short for: a handoff, where a lock
// publishes handoffs, had waiters, and hands off only after a wait longer than the window; and
// `least_operations` a thread. `record` has "case", "window_s", "operations" and "events".
std::vector<std::string> short_window_notes(const nlohmann::json& record);

}  // namespace faultline
