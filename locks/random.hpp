// The pseudo-random numbers behind every seed. Where a seed determines a result (simulations, the
// checker), a change of one of these sequences changes the result.
#pragma once

#include "locks/platform.hpp"

namespace faultline {

// SplitMix64 makes unlike random words from like seeds (Steele, Lea and Flood, "Fast Splittable
// Pseudorandom Number Generators", OOPSLA 2014). Its stream for a seed is splitmix64(seed),
// splitmix64(seed + golden_gamma), and so on.
inline constexpr u64 golden_gamma = 0x9E3779B97F4A7C15ULL;
constexpr u64 splitmix64(u64 state) {
  u64 z = state + golden_gamma;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ z >> 27) * 0x94D049BB133111EBULL;
  return z ^ z >> 31;
}

// One step of a xorshift generator with these shifts. `state` must not be 0, since a xorshift
// generator never leaves 0.
template <int first, int second, int third>
constexpr u64 xorshift_step(u64& state) {
  const auto shift = [&](int by) { state ^= by > 0 ? state << by : state >> -by; };
  shift(first);
  shift(second);
  shift(third);
  return state;
}

// The next number of xorshift64 (Marsaglia, "Xorshift RNGs", 2003). It is cheap and serves the
// model's jitter.
constexpr u64 xorshift64(u64& state) {
  return xorshift_step<13, -7, 17>(state);
}

// The next number of xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift
// generators, scrambled", 2016), whose low bits are random too. It serves Platform::random().
constexpr u64 xorshift64_star(u64& state) {
  return xorshift_step<-12, 25, -27>(state) * 0x2545F4914F6CDD1DULL;
}

}  // namespace faultline
