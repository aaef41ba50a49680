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
inline constexpr const char* by_priorities =
    "faultline check: random priorities (PCT), sequentially consistent";
inline constexpr const char* by_model_and_priorities =
    "faultline check: model checking, C++ memory model without load buffering; and random "
    "priorities (PCT), sequentially consistent";
inline constexpr const char* by_stress = "stress tests on real threads";

template <class L>
constexpr const char* checked_by() {
  return is_external<L> ? by_stress : by_model;
}

// Of locks/registry.hpp's scheme_list, the main ones: checked_list.cpp makes them over Relacy.
inline constexpr std::array<std::string_view, 4> modelled_schemes = {"mmap_sem", "range_lock",
                                                                     "lock_in_tree", "refcount"};

constexpr bool is_modelled(std::string_view scheme) {
  return std::find(modelled_schemes.begin(), modelled_schemes.end(), scheme) !=
         modelled_schemes.end();
}

// `portable`: it is not for the native platform alone.
template <class P>
constexpr const char* scheme_checked_by(const Scheme<P>& scheme, bool portable) {
  if (scheme.max_threads == 1) return "nothing here: it is for one thread";
  if (std::string_view(scheme.name) == "linux") return "nothing here: it is the kernel's";
  if (!portable) return by_stress;
  return is_modelled(scheme.name) ? by_model_and_priorities : by_priorities;
}

}  // namespace faultline::check
