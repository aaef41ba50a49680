// The simulator's random numbers: xorshift64 (Marsaglia, "Xorshift RNGs", 2003).
#pragma once

#include "harness/sim/types.hpp"
#include "locks/random.hpp"

namespace faultline::sim {

// A seed for each stream of random numbers. It is never zero, since xorshift cannot leave zero.
inline u64 stream_seed(u64 seed, u64 stream) {
  return splitmix64((seed - 1) * golden_gamma + stream * 0xD1B54A32D192ED03ULL + 1) | 1;
}

class Xorshift {
 public:
  explicit Xorshift(u64 seed = 1) : state_(seed) {}

  u64 next() { return xorshift64(state_); }

 private:
  u64 state_;
};

}  // namespace faultline::sim
