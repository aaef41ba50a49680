// What a trial's threads work on: an address space, or a bare lock, and the workload over it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "harness/native/platform.hpp"
#include "harness/native/trial.hpp"
#include "workloads/workload.hpp"

namespace faultline {

// One for all threads, or one each in a `private` case.
struct Arena {
  std::unique_ptr<AddressSpace> space;  // null for a bare lock
  std::unique_ptr<Workload<NativePlatform>> workload;
};

using Arenas = std::vector<std::unique_ptr<Arena>>;

// Makes the arena for so many threads; called by the first of them.
using MakeArena = std::function<Arena(u32 threads)>;

// Throws std::invalid_argument for a case that names what does not exist or does not go together.
void validate(const CaseSpec& spec);

// Throws std::invalid_argument as above, std::bad_alloc where memory does not suffice.
Arena make_arena(const CaseSpec& spec, u32 threads);

// By name, over all arenas. May run while threads work.
nlohmann::json sum_events(const Arenas& arenas);

// Who holds what, as far as racy reads can tell.
std::vector<std::string> holders(const Arenas& arenas);

// What the oracle found wrong, with all threads at rest; empty if nothing.
std::string check(const Arenas& arenas);

// run_trial on what `make` gives, instead of the scheme and workload that the spec names.
nlohmann::json run_trial_on(const TrialSpec& spec, const MakeArena& make);

}  // namespace faultline
