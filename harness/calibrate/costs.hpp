// Measures the costs other than line transfers: the clock, PAUSE, RCU, futexes and sleeping, and
// clearing pages.
#pragma once

#include <array>

#include "harness/calibrate/findings.hpp"
#include "harness/calibrate/transfers.hpp"

namespace faultline::calibrate {

// Measures on the first CPU, in ns: "cpu.pause", "cpu.clock_read", "cpu.rcu_read" (entering or
// leaving a read section), "kernel.rcu_grace", and "kernel.syscall" (a futex wake without a
// waiter).
void measure_cpu(const Topology& topology, const Shape& shape, const Effort& effort,
                 Findings& findings);

// How long a sleeper is asleep before the wake-up, ns.
inline constexpr std::array<u64, 4> sleeps_ns = {20'000, 100'000, 1'000'000, 10'000'000};
// The name of a handoff's finding, such as "handoff.20us".
std::string handoff_name(u64 asleep_ns);

// Measures, in ns, "woken.SLEEP", the time that a futex wake of one sleeper takes its caller, and
// "handoff.SLEEP", the time from the start of that call until the sleeper goes on, on another CPU.
// The two CPUs are the first and the one nearest to it, but its sibling only if there is no other.
// Measures nothing on a machine of one CPU.
void measure_waking(const Topology& topology, const Shape& shape, const Effort& effort,
                    Findings& findings);

// Measures "memory.clear_hot_gbps" and "memory.clear_core_gbps", with the first CPU alone, in
// memory that its caches hold and in more memory; and "memory.clear_node_gbps", with all CPUs of
// its node at once.
void measure_clearing(const Topology& topology, const Shape& shape, const Effort& effort,
                      Findings& findings);

}  // namespace faultline::calibrate
