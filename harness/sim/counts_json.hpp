// The counts of a simulation in the form in which a record holds them.
#pragma once

#include <nlohmann/json.hpp>

#include "harness/sim/engine/counts.hpp"

namespace faultline::sim {

// {"accesses", "transfers": {LABEL: {"load": {"hop1": {"true_sharing": 12}}}}, "time": {"work":
// [ns, a CPU each], "spinning", "sleeping", "shootdown", "stall": {LABEL: [..]}}}. Numbers of
// transfers that are 0 are left out, and labels for which no CPU stalled.
nlohmann::json counts_json(const Counts& counts);

}  // namespace faultline::sim
