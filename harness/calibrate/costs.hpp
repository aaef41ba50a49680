// What costs something beside transfers: the clock, PAUSE, RCU, futexes and sleeping, clearing
// pages.
#pragma once

#include <array>

#include "harness/calibrate/findings.hpp"
#include "harness/calibrate/transfers.hpp"

namespace faultline::calibrate {

// "cpu.pause", "cpu.clock_read", "cpu.rcu_read" (one end of a read section), "kernel.rcu_grace",
// and "kernel.syscall", a futex wake with nobody waiting; of the first CPU, in ns.
void measure_cpu(const Topology& topology, const Shape& shape, const Effort& effort,
                 Findings& findings);

// For so long has a sleeper been asleep, ns.
inline constexpr std::array<u64, 4> sleeps_ns = {20'000, 100'000, 1'000'000, 10'000'000};
// "handoff.20us"
std::string handoff_name(u64 asleep_ns);

// "woken.SLEEP" is what a futex wake of one sleeper takes its caller, "handoff.SLEEP" the time from
// its beginning until the sleeper goes on, on another CPU; ns. The two CPUs are the first and the
// one nearest to it, not its sibling where there is a choice. Nothing on a machine of one CPU.
void measure_waking(const Topology& topology, const Shape& shape, const Effort& effort,
                    Findings& findings);

// "memory.clear_core_gbps", by one CPU alone, and "memory.clear_node_gbps", by all of its node.
void measure_clearing(const Topology& topology, const Shape& shape, const Effort& effort,
                      Findings& findings);

}  // namespace faultline::calibrate
