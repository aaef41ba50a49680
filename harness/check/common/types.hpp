#pragma once

#include "locks/platform.hpp"

namespace faultline::check {

using u8 = std::uint8_t;

inline constexpr u32 most_threads = 4;

}  // namespace faultline::check
