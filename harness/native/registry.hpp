// Schemes and workloads on the native platform. registry.cpp compiles the workloads once; schemes
// and locks have translation units of their own.
#pragma once

#include "harness/native/platform.hpp"
#include "workloads/registry.hpp"

namespace faultline {

extern template std::unique_ptr<Workload<NativePlatform>> make_workload<NativePlatform>(
    std::string_view text, std::string_view lock, u32 threads, Layout layout);

}  // namespace faultline
