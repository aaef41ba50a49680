// Explores programs of calls on an address space by random priorities (engine.hpp).
#pragma once

#include <functional>

#include "harness/check/common/search.hpp"

namespace faultline::check {

// An address space on the engine's platform. It runs the schemes of the catalogue that more than
// one thread can use, and the schemes that are broken by hand.
struct ExploredScheme {
  const char* name;
  std::function<std::unique_ptr<AddressSpace>(const AddressSpaceOptions&)> make;
  bool is_small = false;  // this and the others: see Checked
  std::function<std::unique_ptr<AddressSpace>(const AddressSpaceOptions&)> make_tall = nullptr;
  std::function<std::unique_ptr<AddressSpace>(const AddressSpaceOptions&, u64)> make_split =
      nullptr;
};
std::vector<ExploredScheme> explored_schemes();
std::vector<ExploredScheme> explored_broken();
std::vector<ExploredScheme> explored_controls();

// The same as explore(), for a subject with a make_space. All executions follow from options.seed.
// The only weakening with an effect is a dropped wake-up, and `sites` collects wake-ups alone.
Outcome explore_by_priorities(const Checked& checked, const Program& program,
                              const SearchOptions& options, const SearchLimits& limits,
                              const Weakening* weakening, std::vector<Site>* sites);

}  // namespace faultline::check
