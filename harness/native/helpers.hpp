// The threads of a trial that are not measured: the main one, and RCU's, which reclaims.
#pragma once

#include <string>
#include <vector>

#include "harness/topology/topology.hpp"

namespace faultline {

// Puts the calling thread, and with it RCU's which it starts, on the usable CPUs that are not
// `measured`; where there is none they stay on all. To be called before any thread of the case
// exists: RCU's would inherit that one's CPU. Answers where they are, for the record.
std::string place_helpers(const Topology& topology, const std::vector<u32>& measured);

}  // namespace faultline
