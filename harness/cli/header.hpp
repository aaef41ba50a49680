// What a run says of itself: the journal's first line.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "harness/native/plan.hpp"

namespace faultline {

nlohmann::json run_header(const std::string& suite, u64 seed, const Topology& topology,
                          const Plan& plan);

// The project's own recording, for the suites.
std::string small_trace_path();

}  // namespace faultline
