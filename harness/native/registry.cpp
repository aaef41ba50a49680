#include "harness/native/registry.hpp"

namespace faultline {

template std::unique_ptr<Workload<NativePlatform>> make_workload<NativePlatform>(
    std::string_view text, std::string_view lock, u32 threads, Layout layout);

}  // namespace faultline
