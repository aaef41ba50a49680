// What a run says of itself: the journal's first line.
#pragma once

#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <vector>

#include "harness/case/plan.hpp"

namespace faultline {

nlohmann::json run_header(const std::string& suite, u64 seed, const Topology& topology,
                          const Plan& plan);

// That of a simulation: the modelled machines instead of this one, and nothing of time or load, so
// that the same command gives the same file.
nlohmann::json sim_header(const std::string& suite, u64 seed, u32 seeds,
                          const std::vector<std::string>& machines, const Plan& plan);

// The cases by name, a line each.
void list_cases(const Plan& plan, std::ostream& out);

}  // namespace faultline
