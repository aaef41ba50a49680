// What checks each lock and scheme, for `faultline list`.
#pragma once

#include "locks/catalogue.hpp"

namespace faultline::check {

inline constexpr const char* by_model =
    "faultline check: model checking, C++ memory model without load buffering";
inline constexpr const char* by_priorities =
    "faultline check: random priorities (PCT), sequentially consistent";
inline constexpr const char* by_model_and_priorities =
    "faultline check: model checking, C++ memory model without load buffering; and random "
    "priorities (PCT), sequentially consistent";
// Nobody has run GenMC on an exported lock of this version.
inline constexpr const char* by_genmc =
    "GenMC, on what `faultline check --export-genmc NAME` writes: not judged here";
inline constexpr const char* by_stress = "stress tests on real threads";

constexpr const char* lock_checked_by(const Entry& lock) {
  return lock.native_only ? by_stress : by_model;
}

constexpr const char* scheme_checked_by(const Entry& scheme) {
  if (scheme.max_threads == 1) return "nothing here: it is for one thread";
  if (scheme.kernel) return "nothing here: it is the kernel's";
  if (scheme.native_only) return by_stress;
  return scheme.is_modelled ? by_model_and_priorities : by_priorities;
}

}  // namespace faultline::check
