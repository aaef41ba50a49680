// `faultline check-placement PLACEMENT [THREADS]`: pins threads and binds memory as a trial does,
// then verifies the result with other system calls than those that pinned and bound.
#pragma once

#include <iosfwd>
#include <string_view>

#include "locks/platform.hpp"

namespace faultline {

// Runs `threads` threads (0: one for each usable CPU) at once, placed by `placement`. Each thread
// pins itself, touches a buffer of its own and fills a second one that it has bound to its node. It
// then asks /proc/self/task/TID/stat and getcpu(2) for its CPU, and move_pages(2) and
// get_mempolicy(2) for its pages' nodes. It also plants a page on a wrong node, where there is one,
// and a wrong CPU number, and expects that the checks report both. Prints a line for each thread,
// the number of planted pages, then "PASS placement" or "FAIL placement: why". Returns 0 or 1.
// Throws std::invalid_argument for a placement that this machine does not have.
int check_placement(std::string_view placement, u32 threads, std::ostream& out);

}  // namespace faultline
