// Where a thread places mappings without a hint, in schemes in which the placement would be the
// only thing that all threads contend for: in a region of its own.
#pragma once

#include "locks/address_space/interface.hpp"
#include "locks/address_space/page_table.hpp"
#include "locks/types.hpp"

namespace faultline {

// The calling thread's region, of 32 GiB. The thread searches it from the lowest place that it
// knows to be free. Other threads map there only where they ask for that address. What does not fit
// into the region goes to the space beyond all regions, which threads share.
template <class P>
class OwnRegion {
 public:
  // The thread has unmapped `range`.
  void freed(Range range) {
    if (region_.contains(range.start) && range.start < next_) next_ = range.start;
  }

  // First fit. find_hole(range) answers where the first hole of `length` bytes in the range begins,
  // or 0, and may be wrong by the time that take(start) is called. False from `take`: the place is
  // no hole any more, and the search goes on. Answers the place where `take` has answered true, or
  // 0 if there is none.
  template <class Find, class Take>
  u64 place(u64 length, const Find& find_hole, const Take& take) {
    for (const Range in : {Range{next_, region_.end}, region_, beyond})
      while (const u64 start = find_hole(in)) {
        if (!take(start)) continue;
        if (region_.contains(start)) next_ = start + length;
        return start;
      }
    return 0;
  }

 private:
  // The small page tables of the checkers' platforms tell addresses apart by their low bits alone.
  static constexpr u64 skew = table_level_bits<P>() == 9 ? 0 : 32 * page_size;
  static constexpr u64 region_start = (u64{1} << 45) + skew;
  static constexpr u64 region_size = (u64{1} << 35) + skew;
  static constexpr Range beyond{region_start + P::max_threads * region_size, address_space_end};
  static_assert(beyond.start < beyond.end);

  const Range region_{region_start + P::self() * region_size,
                      region_start + (P::self() + 1) * region_size};
  u64 next_ = region_.start;
};

}  // namespace faultline
