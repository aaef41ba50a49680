// Locks, schemes and workloads on the simulator's platform. Their code is compiled once, in
// registry.cpp, not by every file that looks something up.
#pragma once

#include "harness/sim/platform.hpp"
#include "workloads/registry.hpp"

namespace faultline {

extern template const std::vector<Scheme<SimPlatform>>& scheme_list<SimPlatform>();
extern template std::unique_ptr<Workload<SimPlatform>> make_workload<SimPlatform>(
    std::string_view text, std::string_view lock, u32 threads);

}  // namespace faultline
