// Which of its lines a CPU's own cache still holds. The model: a cache keeps the line until it has
// taken in `caches.private_lines` others since.
#pragma once

#include "harness/sim/engine/cpu.hpp"

namespace faultline::sim {

class Residency {
 public:
  explicit Residency(const Machine& machine) : capacity_(machine.private_lines) {}

  static void take_in(Cpu& cpu) { ++cpu.fills; }
  static void take_in_as_owner(Cpu& cpu, Line& line) { line.filled = ++cpu.fills; }
  // Of a line that `cpu` owns. Clean copies are taken to stay: the directory keeps them as sharers.
  bool has_dropped(const Cpu& cpu, const Line& line) const {
    return cpu.fills - line.filled > capacity_;
  }

 private:
  const u32 capacity_;
};

}  // namespace faultline::sim
