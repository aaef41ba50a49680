// The simulation and the CPU that run now. This is the only global of the simulator, since an
// atomic must find its CPU without an argument.
#pragma once

#include "harness/sim/engine/cpu.hpp"

namespace faultline::sim {

class Simulation;

struct Here {
  Simulation* simulation = nullptr;
  Cpu* cpu = nullptr;  // null outside every simulated thread, where accesses cost nothing
  Simulation* outside = nullptr;  // the simulation, while one of its actions runs
  bool in_arena = false;          // an ArenaScope outside every simulated thread
};
inline constinit Here here;

}  // namespace faultline::sim
