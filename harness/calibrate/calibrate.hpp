// `faultline calibrate`: measures the machine it runs on and writes a machine file for
// `faultline sim`.
#pragma once

#include <string>
#include <vector>

#include "harness/calibrate/transfers.hpp"
#include "harness/topology/doctor.hpp"

namespace faultline::calibrate {

struct Request {
  std::string out;   // FILE.json
  std::string cpus;  // "0,2-3"; empty: all usable CPUs
  Effort effort;
};

// The doctor's warnings about steal time and other load, such as "other load: 97 % of the CPU time,
// load 3.10"; empty on a quiet machine.
std::string what_disturbs(const std::vector<Finding>& findings);

// Measures for some seconds, reports its steps on standard error, and writes the file. If hwloc's
// synthetic format cannot describe the CPUs, it writes hwloc's XML beside the file. Throws
// std::invalid_argument, before it measures anything, for CPUs that this process may not use or
// whose shape a machine file cannot express, and for an output that it cannot write. Throws
// std::runtime_error if it cannot pin a thread. If other programs run, it warns on standard error
// and in the file's origins.
void calibrate(const Request& request);

}  // namespace faultline::calibrate
