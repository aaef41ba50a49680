// A trial on a modelled machine: one case, once, in simulated time.
#pragma once

#include <nlohmann/json.hpp>

#include "harness/sim/platform.hpp"
#include "harness/trial/arena.hpp"

namespace faultline {

// Does not throw for errors of the case. They give status "failed" with the reason, and after a
// deadlock or livelock the holders and waiters. The record is the native one without what a
// modelled machine does not have (the system's counts, the time of day). It also has "sim": the
// machine, the seed, simulated milliseconds, the transfers of lines and how each CPU spent its
// time, all for the window. The same spec gives the same record, byte for byte. A process runs one
// at a time. Throws std::invalid_argument for a spec that names what does not exist or what cannot
// be combined.
nlohmann::json run_sim_trial(const TrialSpec& spec);

// run_sim_trial on the arena that `make` gives, instead of the scheme and workload that the spec
// names.
nlohmann::json run_sim_trial_on(const TrialSpec& spec, const MakeArena<SimPlatform>& make);

}  // namespace faultline
