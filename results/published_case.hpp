#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace faultline {

/** Whether the case has all values of `wanted`, and threads that share one address space. */
bool stands_for(const nlohmann::json& one, const nlohmann::json& wanted);

/**
 * The rate of the case's operations of that kind, {"median", "low", "high"}; null where the case
 * has none. A file from before page writes were counted has a fault for each, since mapbench
 * `local`'s writes all find their page missing.
 */
nlohmann::json rate_of(const nlohmann::json& one, const std::string& kind);

}  // namespace faultline
