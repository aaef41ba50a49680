// Decides which lines a CPU's own cache still holds. The model: a cache keeps a line until it has
// taken in `caches.private_lines` others.
#pragma once

#include "harness/sim/engine/cpu.hpp"

namespace faultline::sim {

class Residency {
 public:
  explicit Residency(const Machine& machine) : capacity_(machine.private_lines) {}

  static void take_in(Cpu& cpu) { ++cpu.fills; }
  static void take_in_as_owner(Cpu& cpu, Line& line) { line.filled = ++cpu.fills; }
  // Whether `cpu`, which owns the line, has dropped it. Clean copies are assumed to stay, since the
  // directory keeps them as sharers.
  bool has_dropped(const Cpu& cpu, const Line& line) const {
    return cpu.fills - line.filled > capacity_;
  }

 private:
  const u32 capacity_;
};

}  // namespace faultline::sim
