// The heights of a skip list's nodes: three of four have one level, three of four of the others
// two, and so on. Whoever draws excludes other draws.
#pragma once

#include <algorithm>
#include <bit>

#include "locks/random.hpp"

namespace faultline {

template <class P>
class SkipHeights {
 public:
  u32 draw(u32 most) {
    const u64 drawn = splitmix64(drawn_.load());
    drawn_.store(drawn_.load() + golden_gamma);
    return std::min(most, 1 + static_cast<u32>(std::countr_zero(drawn)) / 2);
  }

 private:
  typename P::template data<u64> drawn_;
};

}  // namespace faultline
