// For a thread that holds several disjoint ranges of one lock at once.
#pragma once

#include "locks/range/concept.hpp"

namespace faultline {

// Call it before. A range lock that has a function of this name allows nesting only from that call
// on. All others always allow it.
template <RangeLock L>
void allow_nesting(L& lock) {
  if constexpr (requires { lock.allow_nesting(); }) lock.allow_nesting();
}

}  // namespace faultline
