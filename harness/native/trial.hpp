// A trial runs one case once, in a process of its own. The parent writes a TrialSpec to the child's
// standard input and reads the trial's record (the journal's JSON shape) from its standard output.
#pragma once

#include <nlohmann/json.hpp>

#include "harness/native/platform.hpp"
#include "harness/trial/arena.hpp"

namespace faultline {

// Runs the trial in the child and returns its record. A case that fails gets the status "failed"
// with a reason. When a thread crashes, or stands still for the stall limit, nothing can be
// unwound: the function then writes the record to standard output itself, with the threads that
// wait and the locks that are held, and ends the process. Throws std::invalid_argument for a spec
// whose names do not exist or do not go together.
nlohmann::json run_trial(const TrialSpec& spec);

// Like run_trial, but `make` gives the arena instead of the scheme and workload that the spec
// names.
nlohmann::json run_trial_on(const TrialSpec& spec, const MakeArena<NativePlatform>& make);

}  // namespace faultline
