// By what each lock and scheme is checked: what `faultline list` says, and what the checker takes
// its list from.
#pragma once

#include <algorithm>
#include <array>
#include <string_view>

#include "locks/registry.hpp"

namespace faultline::check {

// Locks that others wrote: their source is no template over a platform.
template <class L>
inline constexpr bool is_external = false;
template <class Q>
inline constexpr bool is_external<PthreadRwlock<Q>> = true;
template <class Q>
inline constexpr bool is_external<StdSharedMutex<Q>> = true;

inline constexpr const char* by_model =
    "faultline check: model checking, C++ memory model without load buffering";
inline constexpr const char* by_stress = "stress tests on real threads";

template <class L>
constexpr const char* checked_by() {
  return is_external<L> ? by_stress : by_model;
}

// Of locks/registry.hpp's scheme_list. The others are not tried: their trees (a radix tree of 512
// slots a node, hashed wait queues) are made too large for every execution anew.
inline constexpr std::array<std::string_view, 2> checked_schemes = {"mmap_sem", "refcount"};

constexpr const char* scheme_checked_by(std::string_view scheme) {
  if (std::find(checked_schemes.begin(), checked_schemes.end(), scheme) != checked_schemes.end())
    return by_model;
  return scheme == "linux" ? "nothing here: it is the kernel's" : by_stress;
}

}  // namespace faultline::check
