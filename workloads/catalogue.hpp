// The workloads' part of the catalogue (locks/catalogue.hpp), without a platform. To add a
// workload: its header and one line in workloads/list.def.
#pragma once

#include "locks/catalogue.hpp"

namespace faultline {

std::span<const Entry> workload_catalogue();

// "mix:faults=1:shared=on". Throws as choose() does.
Chosen choose_workload(std::string_view text);

}  // namespace faultline
