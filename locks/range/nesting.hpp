// For a thread that holds several disjoint ranges of one lock at once.
#pragma once

#include "locks/range/concept.hpp"

namespace faultline {

// Call it before. All range locks allow it but those that have a function of that name.
template <RangeLock L>
void allow_nesting(L& lock) {
  if constexpr (requires { lock.allow_nesting(); }) lock.allow_nesting();
}

}  // namespace faultline
