// `faultline calibrate`: the machine it runs on as a machine file for `faultline sim`.
#pragma once

#include <string>
#include <vector>

#include "harness/calibrate/transfers.hpp"
#include "harness/topology/doctor.hpp"

namespace faultline::calibrate {

struct Request {
  std::string out;   // FILE.json
  std::string cpus;  // "0,2-3"; empty: all that may be used
  Effort effort;
};

// What the doctor finds of other load and stolen time, where it warns of it: "other load: 97 % of
// the CPU time, load 3.10"; empty on a quiet machine.
std::string what_disturbs(const std::vector<Finding>& findings);

// Measures for some seconds, tells its steps on standard error, and writes the file; where no
// synthetic text describes the CPUs, hwloc's XML beside it. Throws std::invalid_argument, before
// anything is measured, for CPUs that may not be used or whose shape no file can tell, and for an
// output that cannot be written; std::runtime_error where a thread cannot be pinned. Warns, in a
// line on standard error and in the file's origins, where something else runs.
void calibrate(const Request& request);

}  // namespace faultline::calibrate
