#include "harness/native/platform.hpp"
#include "workloads/lock_loops.hpp"

namespace faultline {

template std::unique_ptr<Workload<NativePlatform>> make_lock_loop<NativePlatform, range_family>(
    const Chosen& workload, const Chosen& lock, Layout layout);

}  // namespace faultline
