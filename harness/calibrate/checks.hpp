// Checks of a calibrated machine file: workloads that no constant was taken from, on this machine
// and on the simulated one.
#pragma once

#include "harness/calibrate/findings.hpp"
#include "harness/calibrate/transfers.hpp"

namespace faultline::calibrate {

// Runs fetch-and-adds on one line, a loop of compare-and-swap, and a ticket lock as `faultline run`
// does, on 2, 4, 8, ... and all CPUs, the first thread of each core before the others. Measures
// "check.rmw.N", "check.cas.N" and "check.ticket.N", in ns per operation of all CPUs together. The
// constants of `contention` come from fetch-and-adds, so "check.rmw" is not an independent check. A
// trial that fails adds no sample. Measures nothing on one CPU.
void measure_checks(const Shape& shape, const Effort& effort, Findings& findings);

// Simulates the same cases on the machine of `file`. Answers a table of the measured and the
// simulated times; empty if nothing was measured.
std::string compare_checks(const Shape& shape, const Findings& findings, const std::string& file);

}  // namespace faultline::calibrate
