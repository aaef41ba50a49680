// The functions behind which bench/range sees a range lock of another project. A library exports
// them as `foreign_range_lock`.
#pragma once

#include <cstdint>

// Ranges are [first, last], and exclusive. `lock` returns when the range is held; `unlock` gets
// what it answered.
struct ForeignRangeLock {
  void* (*make)();
  void (*destroy)(void* lock);
  void* (*lock)(void* lock, std::uint64_t first, std::uint64_t last);
  void (*unlock)(void* lock, void* held, std::uint64_t first, std::uint64_t last);
};
