// Threads, each pinned to a CPU, that measure something together.
#pragma once

#include <atomic>
#include <functional>
#include <vector>

#include "harness/topology/topology.hpp"
#include "locks/platform.hpp"

namespace faultline::calibrate {

// A barrier that can be used again and again. Its threads spin, so that all of them go on within
// one line transfer and no CPU falls idle. They yield now and then, in case another program takes
// one of their CPUs.
class Meeting {
 public:
  explicit Meeting(u32 size) : size_(size) {}
  void meet();
  u32 size() const { return size_; }

 private:
  const u32 size_;
  alignas(cache_line) std::atomic<u32> arrived_{0};
  alignas(cache_line) std::atomic<u32> round_{0};
};

// Counts the rounds of a measurement that a crew repeats. It ends after `most` rounds or after
// `budget_ns`, whichever comes first.
class Rounds {
 public:
  Rounds(u32 most, u64 budget_ns) : left_(most), budget_ns_(budget_ns) {}
  // Whether another round begins. All roles call it, and all get the same answer.
  bool next(Meeting& meeting, u32 role);

 private:
  u32 left_;
  const u64 budget_ns_;
  u64 end_ns_ = 0;  // 0: no round has begun
  bool goes_on_ = false;
};

// For each i at once, runs `role(meeting, i)` on a thread that is pinned to `cpus[i]` and
// registered as NativeThread i. Returns when all roles have ended. Throws std::runtime_error, and
// runs no role, if a thread cannot be pinned. A role must not throw, since the other roles would
// wait for it.
void run_pinned(const Topology& topology, const std::vector<u32>& cpus,
                const std::function<void(Meeting&, u32)>& role);

}  // namespace faultline::calibrate
