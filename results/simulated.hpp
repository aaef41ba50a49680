#pragma once

#include <nlohmann/json.hpp>
#include <vector>

namespace faultline {

/**
 * What the simulator counted, over the records of one case that have "sim":
 *   {"machine", "seeds", "simulated_ms" (of all together),
 *    "transfers": {LABEL: {"per_operation": x, "by": {"rmw": {"hop1": {"true_sharing": x}}}}},
 *    "time": {"work": share, "spinning", "sleeping", "shootdown", "stall": {LABEL: share}}}
 * Shares are of the CPUs' time within the window; transfers per operation of any kind. Null where
 * no record has any. Throws nlohmann::json::exception for a malformed record.
 */
nlohmann::json simulated_of(const std::vector<const nlohmann::json*>& records);

}  // namespace faultline
