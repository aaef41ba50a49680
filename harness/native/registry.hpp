// Schemes and workloads on the native platform. Workloads are compiled once, in registry.cpp;
// schemes and locks in translation units of their own.
#pragma once

#include "harness/native/platform.hpp"
#include "workloads/registry.hpp"

namespace faultline {

extern template std::unique_ptr<Workload<NativePlatform>> make_workload<NativePlatform>(
    std::string_view text, std::string_view lock, u32 threads, Layout layout);

}  // namespace faultline
