// Reports a simulated thread's stack overflow. While an OverflowWatch lives, a fault on a guard
// page of the arena ends the process with one line that names the thread, and exit status 1.
#pragma once

#include <csignal>
#include <memory>

#include "harness/sim/engine/arena.hpp"

namespace faultline::sim {

class OverflowWatch {
 public:
  OverflowWatch(const Arena& arena, u32 threads);
  ~OverflowWatch();
  OverflowWatch(const OverflowWatch&) = delete;
  OverflowWatch& operator=(const OverflowWatch&) = delete;

 private:
  static constexpr usize stack_bytes = 64 << 10;
  std::unique_ptr<std::byte[]> stack_;  // the handler's: the thread's own stack has no room left
  stack_t stack_before_ = {};
  struct sigaction action_before_ = {};
};

}  // namespace faultline::sim
