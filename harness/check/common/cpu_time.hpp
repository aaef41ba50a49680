#pragma once

#include <ctime>

namespace faultline::check {

// This process's CPU time in seconds. Searches limit their CPU time, since other programs on the
// machine must not shorten a search.
inline double cpu_seconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

}  // namespace faultline::check
