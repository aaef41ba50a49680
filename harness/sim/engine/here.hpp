// Which simulation and which of its CPUs runs: the one global of the simulator, since an atomic
// must find its CPU without an argument.
#pragma once

#include "harness/sim/engine/cpu.hpp"

namespace faultline::sim {

class Simulation;

struct Here {
  Simulation* simulation = nullptr;
  Cpu* cpu = nullptr;             // null outside of every simulated thread: accesses cost nothing
  Simulation* outside = nullptr;  // the simulation, while one of its actions runs
  bool in_arena = false;          // ArenaScope outside of every simulated thread
};
inline constinit Here here;

}  // namespace faultline::sim
