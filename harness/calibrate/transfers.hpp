// Measures the cost of a line transfer, by kind of access, the line's state, and distance.
#pragma once

#include "harness/calibrate/findings.hpp"
#include "harness/calibrate/shape.hpp"

namespace faultline::calibrate {

struct Effort {
  u32 samples = 101;  // samples of each quantity on each pair of CPUs
  usize pairs = 4;    // at most so many pairs at each distance
};

// Measures accesses to lines that the CPU owns: "caches.hit.KIND", and "fenced" for a store with a
// fence. All functions here measure on CPUs of the shape. Call this one first: the others subtract
// its findings.
void measure_hits(const Topology& topology, const Shape& shape, const Effort& effort,
                  Findings& findings);

// Measures "latency.KIND.memory.DISTANCE" for each distance from the first CPU to a node with CPUs.
void measure_memory(const Topology& topology, const Shape& shape, const Effort& effort,
                    Findings& findings);

// Measures "latency.KIND.STATE.DISTANCE" for each distance between CPUs. At distances between nodes
// it measures each pair twice, with the lines on the node of one and of the other CPU. Loads of
// shared and owned lines need a second copy: a third CPU has it, no nearer to the first CPU than
// the owner is. If there is none, the first CPU itself had that copy and has evicted it from its
// own caches, for which it must know their size (`private_bytes`; 0: unknown).
void measure_transfers(const Topology& topology, const Shape& shape, const Effort& effort,
                       usize private_bytes, Findings& findings);

}  // namespace faultline::calibrate
