// Locks, schemes and workloads on the native platform. Their code is compiled once, in
// registry.cpp, not by every file that looks something up.
#pragma once

#include "harness/native/platform.hpp"
#include "workloads/registry.hpp"

namespace faultline {

extern template const std::vector<Scheme<NativePlatform>>& scheme_list<NativePlatform>();
extern template std::unique_ptr<Workload<NativePlatform>> make_workload<NativePlatform>(
    std::string_view text, std::string_view lock, u32 threads);

}  // namespace faultline
