// `faultline calibrate`: the machine it runs on as a machine file for `faultline sim`.
#pragma once

#include <string>
#include <vector>

#include "harness/calibrate/transfers.hpp"

namespace faultline::calibrate {

struct Request {
  std::string out;   // FILE.json
  std::string cpus;  // "0,2-3"; empty: all that may be used
  Effort effort;
};

// Measures for some seconds, tells its steps on standard error, and writes the file; where no
// synthetic text describes the CPUs, hwloc's XML beside it. Throws std::invalid_argument, before
// anything is measured, for CPUs that may not be used or whose shape no file can tell, and for an
// output that cannot be written; std::runtime_error where a thread cannot be pinned.
void calibrate(const Request& request);

}  // namespace faultline::calibrate
