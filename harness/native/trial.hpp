// A trial: one case, once, in a process of its own. The parent writes a TrialSpec to the child's
// standard input and reads the trial's record (the journal's JSON shape) from its standard output.
#pragma once

#include <nlohmann/json.hpp>

#include "harness/native/platform.hpp"
#include "harness/trial/arena.hpp"

namespace faultline {

// Runs in the child. Never throws for what belongs to the case: that is status "failed" with its
// reason. When a thread stands still for the stall limit, or crashes, nothing can be unwound: the
// record is then written to standard output here, with who waits and who holds, and the process
// ends. Throws std::invalid_argument for a spec that names what does not exist or go together.
nlohmann::json run_trial(const TrialSpec& spec);

// run_trial on what `make` gives, instead of the scheme and workload that the spec names.
nlohmann::json run_trial_on(const TrialSpec& spec, const MakeArena<NativePlatform>& make);

}  // namespace faultline
