// A trial on a modelled machine: one case, once, in simulated time.
#pragma once

#include <nlohmann/json.hpp>

#include "harness/sim/platform.hpp"
#include "harness/trial/arena.hpp"

namespace faultline {

// Never throws for what belongs to the case: that is status "failed" with its reason, and after a
// deadlock or livelock with who holds and who waits. The record is the native one without what a
// modelled machine does not have (the system's counts, the time of day), and has "sim": the
// machine, the seed, simulated milliseconds, the transfers of lines and where each CPU's time went,
// all of the window. The same spec gives the same record, byte for byte. One at a time in a
// process. Throws std::invalid_argument for a spec that names what does not exist or go together.
nlohmann::json run_sim_trial(const TrialSpec& spec);

// run_sim_trial on what `make` gives, instead of the scheme and workload that the spec names.
nlohmann::json run_sim_trial_on(const TrialSpec& spec, const MakeArena<SimPlatform>& make);

}  // namespace faultline
