// SplitMix64: unlike random words from like seeds (Steele, Lea and Flood, "Fast Splittable
// Pseudorandom Number Generators", OOPSLA 2014).
#pragma once

#include "locks/platform.hpp"

namespace faultline {

// Its stream for a seed is splitmix64(seed), splitmix64(seed + golden_gamma), and so on.
inline constexpr u64 golden_gamma = 0x9E3779B97F4A7C15ULL;
constexpr u64 splitmix64(u64 state) {
  u64 z = state + golden_gamma;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ z >> 27) * 0x94D049BB133111EBULL;
  return z ^ z >> 31;
}

}  // namespace faultline
