// What it costs to bring a line from where it is, by access, the line's state, and distance.
#pragma once

#include "harness/calibrate/findings.hpp"
#include "harness/calibrate/shape.hpp"

namespace faultline::calibrate {

struct Effort {
  u32 samples = 101;  // of each quantity, on each pair of CPUs
  usize pairs = 4;    // a distance, at most
};

// Accesses to lines that the CPU owns: "caches.hit.KIND", and "fenced" for a store with a fence.
// CPUs here and below are the shape's. The others take the hits from the findings.
void measure_hits(const Topology& topology, const Shape& shape, const Effort& effort,
                  Findings& findings);

// "latency.KIND.memory.DISTANCE" for each distance from a CPU to a node that has CPUs.
void measure_memory(const Topology& topology, const Shape& shape, const Effort& effort,
                    Findings& findings);

// "latency.KIND.STATE.DISTANCE" for each distance at which there are CPUs, with lines that each of
// the pair has touched first by turns. For loads of a line of which there are copies a third CPU
// has the second copy, no nearer to the first than the owner is; without one, the first has had it
// and has thrown it out of its own caches, which takes their size (`private_bytes`, 0: unknown).
void measure_transfers(const Topology& topology, const Shape& shape, const Effort& effort,
                       usize private_bytes, Findings& findings);

// "contended.DISTANCE.N": nanoseconds a fetch-and-add when N CPUs no farther apart do nothing else,
// for N of 2, 3, 5, 9, ...: one, two, four, eight of them wait while one is served.
void measure_contention(const Topology& topology, const Shape& shape, const Effort& effort,
                        Findings& findings);

}  // namespace faultline::calibrate
