#pragma once

#include <string>
#include <vector>

#include "workloads/worker.hpp"

namespace faultline {

// The role of each of `threads` threads by a text such as "faulters:N-1,updaters:1", N being the
// number of threads; all of them Role::all for an empty text. Throws std::invalid_argument where
// the numbers do not add up to `threads`.
std::vector<Role> assign_roles(const std::string& text, u32 threads);

// "faulters", "updaters", or "all": as results call the role.
const char* role_name(Role role);

}  // namespace faultline
