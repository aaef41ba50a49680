// The journal's first line, in which a run describes itself.
#pragma once

#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <vector>

#include "harness/case/plan.hpp"

namespace faultline {

// The header of a native run.
nlohmann::json run_header(const std::string& suite, u64 seed, const Topology& topology,
                          const Plan& plan);

// The header of a simulated run. It describes the modelled machines instead of this one, and has
// neither the time nor the load, so that the same command gives the same file.
nlohmann::json sim_header(const std::string& suite, u64 seed,
                          const std::vector<std::string>& machines, const Plan& plan);

// Prints the names of the cases, one a line.
void list_cases(const Plan& plan, std::ostream& out);

}  // namespace faultline
