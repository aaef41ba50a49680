// Threads pinned to CPUs that take part in a measurement together.
#pragma once

#include <atomic>
#include <functional>
#include <vector>

#include "harness/topology/topology.hpp"
#include "locks/platform.hpp"

namespace faultline::calibrate {

// Where a crew's threads wait for each other, again and again: by spinning, so that they go on
// within a transfer of each other and no CPU falls idle. Where something else has a CPU they let
// each other in now and then.
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

// Runs `role(meeting, i)` on a thread pinned to `cpus[i]`, registered as NativeThread i, for each i
// at once, and waits for all. Throws std::runtime_error, and runs no role, if a thread cannot be
// made or pinned. A role must not throw: the others would wait for it.
void run_pinned(const Topology& topology, const std::vector<u32>& cpus,
                const std::function<void(Meeting&, u32)>& role);

}  // namespace faultline::calibrate
