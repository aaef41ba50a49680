// The CPUs' caches of translations (TLBs), by which the checker judges shootdowns. A thread that
// touches a page fills its CPU's cache. A shootdown empties the caches of the CPUs that it reaches.
// A call that takes pages or rights away must not return while a cache still has what an access
// filled before the call. Accesses through a cached translation are not modelled.
#pragma once

#include <array>

#include "harness/check/common/types.hpp"
#include "locks/types.hpp"

namespace faultline::check {

class Translations {
 public:
  static constexpr u32 most_pages = 8;

  void reset() { *this = {}; }

  // How often the CPU's cache was emptied.
  u64 flushes(u32 cpu) const { return flushes_[cpu]; }

  // `rights`: prot_read, and prot_write where a write succeeded. `flushes`: as they were before the
  // access. A CPU that is interrupted within an access fills nothing.
  void fill(u32 cpu, u32 page, u32 rights, u64 flushes) {
    if (flushes_[cpu] == flushes) cached_[cpu][page] = {rights, ++moment_};
  }

  void flush(const CpuSet& cpus) {
    for (u32 cpu = 0; cpu < most_threads; ++cpu) {
      if (!cpus.has(cpu)) continue;
      cached_[cpu] = {};
      ++flushes_[cpu];
    }
  }

  u64 now() const { return moment_; }

  // A call that leaves at most `rights` to the pages [first, end) returns. It began at `began`.
  void check(u32 first, u32 end, u32 rights, u64 began) {
    for (const auto& cpu : cached_)
      for (u32 page = first; page < end; ++page)
        if (cpu[page].since <= began && (cpu[page].rights & ~rights) != 0) is_stale_ = true;
  }
  // Whether a check has failed since the last reset.
  bool is_stale() const { return is_stale_; }

 private:
  struct Entry {
    u32 rights = 0;
    u64 since = 0;
  };
  std::array<std::array<Entry, most_pages>, most_threads> cached_{};
  std::array<u64, most_threads> flushes_{};
  u64 moment_ = 0;
  bool is_stale_ = false;
};

// Of the execution that runs.
inline Translations translations;

}  // namespace faultline::check
