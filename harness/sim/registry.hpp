// Schemes and workloads on the simulator's platform. registry.cpp compiles all workloads; schemes
// and locks have translation units of their own.
#pragma once

#include "harness/sim/platform.hpp"
#include "workloads/registry.hpp"

namespace faultline {

extern template std::unique_ptr<Workload<SimPlatform>> make_workload<SimPlatform>(
    std::string_view text, std::string_view lock, u32 threads, Layout layout);

}  // namespace faultline
