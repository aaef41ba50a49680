#pragma once

#include <string>
#include <vector>

#include "workloads/worker.hpp"

namespace faultline {

// The role of each of `threads` threads, from a text such as "faulters:N-1,updaters:1", in which N
// is `threads`. An empty text gives every thread Role::all. Throws std::invalid_argument for any
// other text and for counts that do not add up to `threads`.
std::vector<Role> assign_roles(const std::string& text, u32 threads);

// The role's name in results: "faulters", "updaters" or "all".
const char* role_name(Role role);

}  // namespace faultline
