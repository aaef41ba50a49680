#include "harness/sim/registry.hpp"

namespace faultline {

template std::unique_ptr<Workload<SimPlatform>> make_workload<SimPlatform>(std::string_view text,
                                                                           std::string_view lock,
                                                                           u32 threads,
                                                                           Layout layout);

}  // namespace faultline
