// Locks that this build leaves out: locks/range/patented.def.
#pragma once

#include <string>
#include <string_view>

namespace faultline {

// Why the lock of that name is no entry of the catalogue here, and the remedy. Empty for any other
// name.
std::string left_out(std::string_view name);

}  // namespace faultline
