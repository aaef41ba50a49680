// `faultline check-placement PLACEMENT [THREADS]`: pins threads and binds memory as a trial does,
// then asks the kernel by other ways than those that did it.
#pragma once

#include <iosfwd>
#include <string_view>

#include "locks/platform.hpp"

namespace faultline {

// Runs `threads` threads (0: one a usable CPU) by `placement` at once. Each pins itself, touches a
// buffer of its own and fills a second one bound to its node; its CPU is then read from
// /proc/self/task/TID/stat and getcpu(2), its pages from move_pages(2) and get_mempolicy(2). It
// also plants a page on a wrong node, where there is one, and a thread on a wrong CPU, and expects
// both to be found. Prints a line a thread, how many were planted, then "PASS placement" or "FAIL
// placement: why". Returns 0 or
// 1. Throws std::invalid_argument for a placement that cannot be.
int check_placement(std::string_view placement, u32 threads, std::ostream& out);

}  // namespace faultline
