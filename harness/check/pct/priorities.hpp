// Programs of calls on an address space, explored by random priorities:
// harness/check/pct/engine.hpp.
#pragma once

#include <functional>

#include "harness/check/common/search.hpp"

namespace faultline::check {

// The schemes of the catalogue that more than one thread can use, and those that are broken
// on purpose, on the engine's platform.
struct ExploredScheme {
  const char* name;
  std::function<std::unique_ptr<AddressSpace>(const AddressSpaceOptions&)> make;
  bool is_small = false;  // see Checked
};
std::vector<ExploredScheme> explored_schemes();
std::vector<ExploredScheme> explored_broken();

// As explore(), for what has a make_space: so many executions, all of which follow from
// options.seed. `weakening` may be a dropped wake-up; `sites` collects wake-ups alone.
Outcome explore_by_priorities(const Checked& checked, const Program& program,
                              const SearchOptions& options, const SearchLimits& limits,
                              const Weakening* weakening, std::vector<Site>* sites);

}  // namespace faultline::check
