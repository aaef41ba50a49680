// What a simulation counted, in the record's JSON shape.
#pragma once

#include <nlohmann/json.hpp>

#include "harness/sim/engine/counts.hpp"

namespace faultline::sim {

// {"accesses", "transfers": {LABEL: {"load": {"hop1": {"true_sharing": 12}}}}, "time": {"work":
// [ns, a CPU each], "spinning", "sleeping", "shootdown", "stall": {LABEL: [..]}}}. A number that is
// 0 for a transfer, and a label that nobody stalled for, is absent: nothing of it happened.
nlohmann::json counts_json(const Counts& counts);

}  // namespace faultline::sim
