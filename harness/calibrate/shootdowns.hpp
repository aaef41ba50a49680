// Measures interrupts between CPUs by membarrier(2), which the kernel carries out by an interrupt
// to every other CPU that runs a thread of the process (MEMBARRIER_CMD_PRIVATE_EXPEDITED). This
// interrupt flushes no TLB, so it shows the way of a TLB shootdown, but not the flush, nor what a
// change of the page tables costs the sender beside it.
#pragma once

#include "harness/calibrate/findings.hpp"
#include "harness/calibrate/transfers.hpp"

namespace faultline::calibrate {

// All results are in ns, of targets that spin:
//   membarrier.to_all.M    a call by one CPU to M others
//   membarrier.from.K      a call to all other CPUs, while K CPUs call at once
//   membarrier.pairs.K     a call to one target, while K CPUs call, each its own target
//   membarrier.to_one.K    a call to one target, while K CPUs call the same target
//   shootdown.interrupt.DISTANCE  from the start of the call, less half a system call, to the start
//       of the interruption at the single target
//   shootdown.handler      what the interruption takes from that target, less the transfer of the
//       call's line
//   shootdown.per_target   the slope of membarrier.to_all over M, less the transfer of the target's
//       call queue
//   shootdown.delivery     membarrier.pairs.K over K, if the calls of K pairs disturb each other
// Calls to one CPU need MEMBARRIER_CMD_FLAG_CPU (Linux 5.10). A kernel in which a mutex lets one
// CPU at a time call (Linux commit 944d5fe50f3f) cannot show the delivery. A constant that cannot
// be measured gets an excuse with the reason. Call it after measure_hits(), measure_cpu() and
// measure_transfers().
void measure_shootdowns(const Topology& topology, const Shape& shape, const Effort& effort,
                        Findings& findings);

}  // namespace faultline::calibrate
