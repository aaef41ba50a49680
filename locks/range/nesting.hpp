// Nesting: a thread holds several disjoint ranges of one lock at once.
#pragma once

#include "locks/range/concept.hpp"

namespace faultline {

// The caller may nest once this has returned. A range lock that forbids nesting at first has a
// function of this name. All others allow nesting always.
template <RangeLock L>
void allow_nesting(L& lock) {
  if constexpr (requires { lock.allow_nesting(); }) lock.allow_nesting();
}

}  // namespace faultline
