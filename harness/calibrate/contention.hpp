// Measures how several CPUs share one line. reductions.hpp says how the constants follow from the
// logs.
#pragma once

#include "harness/calibrate/findings.hpp"
#include "harness/calibrate/transfers.hpp"

namespace faultline::calibrate {

// All functions here use one CPU of each core, and the latencies that measure_transfers() found. A
// constant that these CPUs cannot show gets an excuse.

// Lets N CPUs at most DISTANCE apart add to one word and log what their fetch-and-adds return.
// Measures "contended.DISTANCE.N", ns an addition; "run.DISTANCE.N", additions in a row by one CPU;
// "contention.service.DISTANCE", of the most CPUs; "contention.nearest_share", of the most CPUs at
// the greatest distance; and "contention.queued_residency", of the most CPUs at the nearest
// distance, from their runs. N is 2, 3, 5, 9, ..., so that 1, 2, 4, 8, ... CPUs queue while one is
// served, and the number of all.
void measure_contention(const Topology& topology, const Shape& shape, const Effort& effort,
                        Findings& findings);

// Lets one CPU add all the time, and another one with gaps. Measures "residency.DISTANCE", the
// share of the latency for which the first keeps the line after the second has asked for it. That
// of the nearest pairs is "contention.residency".
void measure_residency(const Topology& topology, const Shape& shape, const Effort& effort,
                       Findings& findings);

// Lets one CPU write a word that N - 1 others read, in one cluster and over clusters. Measures
// "value.WHERE.N", ns between two values that a reader saw; "copies.WHERE.N", the copies of such a
// value; "clusters.WHERE.N", the clusters that got one; "contention.cluster_copy" and
// "contention.home_copy". WHERE is `cluster` or `all`. Call it after measure_contention().
void measure_copies(const Topology& topology, const Shape& shape, const Effort& effort,
                    Findings& findings);

}  // namespace faultline::calibrate
