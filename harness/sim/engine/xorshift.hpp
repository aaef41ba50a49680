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

// The time, longer or shorter by a random share of it that is at most `jitter` / 1024. A jitter of
// 0 draws no number. Equal times would keep threads in step that race again and again: a woken
// writer came too late each time for a lock that a reader releases and takes again.
inline Time jittered(Xorshift& random, Time time, u32 jitter) {
  if (jitter == 0) return time;
  const i64 deviation = static_cast<i64>(random.next() >> 53) - 1024;  // from -1024 to 1023
  const i64 part = static_cast<i64>(time) * jitter * deviation / (1024 * 1024);
  return static_cast<Time>(static_cast<i64>(time) + part);
}

}  // namespace faultline::sim
