// What a simulated window was too short to show.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "locks/platform.hpp"

namespace faultline {

// Fewer operations a thread than this say little: a whole cycle of mapping, faulting and unmapping
// is no more.
inline constexpr u64 least_operations = 4;

// Short texts, one for each thing that did not happen in the trial's window and might have in a
// longer one: the handoff of a lock that publishes handoffs, has had waiters, and hands off only
// after a wait longer than the window; operations enough. `record`: with "case", "window_s",
// "operations" and "events".
std::vector<std::string> short_window_notes(const nlohmann::json& record);

}  // namespace faultline
