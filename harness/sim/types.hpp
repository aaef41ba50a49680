// Small integers, and simulated time.
#pragma once

#include <cstdint>

#include "locks/platform.hpp"

namespace faultline::sim {

using u8 = std::uint8_t;
using u16 = std::uint16_t;

// Picoseconds since the simulation's start.
using Time = u64;
inline constexpr Time ps_per_ns = 1000;

}  // namespace faultline::sim
