// The arithmetic of brk, which all schemes share.
#pragma once

#include "locks/types.hpp"

namespace faultline {

// The addresses that the break may have.
inline constexpr Range break_limits{break_start, address_space_end};

// Moves the break from `old` by `delta` bytes and answers where it is afterwards. It stays at `old`
// where `delta` is not a multiple of the page or leads out of `limits` (EINVAL), or where `extend`
// or `lower`, called with the pages to map or unmap, answers an error. The caller stores the break.
template <class Extend, class Lower>
MapResult move_break(u64 old, i64 delta, Range limits, const Extend& extend, const Lower& lower) {
  if (delta % static_cast<i64>(page_size) != 0) return {old, Error::inval};
  const u64 fresh = old + static_cast<u64>(delta);
  if (!limits.contains(fresh)) return {old, Error::inval};
  Error error = Error::none;
  if (delta > 0) error = extend(Range{old, fresh});
  if (delta < 0) error = lower(Range{fresh, old});
  return {error == Error::none ? fresh : old, error};
}

}  // namespace faultline
