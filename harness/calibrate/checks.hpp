// Checks of a calibrated machine file: workloads that no constant was taken from, on this machine
// and on the simulated one.
#pragma once

#include "harness/calibrate/findings.hpp"
#include "harness/calibrate/transfers.hpp"

namespace faultline::calibrate {

// Runs fetch-and-adds on one line, a loop of compare-and-swap, and a ticket lock as `faultline run`
// does, on 2, 4, 8, ... and all CPUs, the first thread of each core before the others. Measures
// "check.rmw.N", "check.cas.N" and "check.ticket.N", in ns an operation, all CPUs together. The
// constants follow from logged fetch-and-adds, so the first is no independent check. Measures
// nothing on one CPU. Leaves out what a trial does not complete.
void measure_checks(const Shape& shape, const Effort& effort, Findings& findings);

// A table of these findings beside the same cases on the machine of that file, which it simulates.
// Empty if there are no such findings.
std::string compare_checks(const Shape& shape, const Findings& findings, const std::string& file);

}  // namespace faultline::calibrate
