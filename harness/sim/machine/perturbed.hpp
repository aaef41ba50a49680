// Machines that differ from a given one in a single constant: they show what the constant does.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace faultline::sim {

struct PerturbedMachine {
  std::string key;      // "latency.rmw.modified.hop1", "kernel.idle[1].exit"
  double value = 0;     // in the given machine
  nlohmann::json file;  // the machine file with the constant changed; null for a constant of 0,
                        // which no factor changes
};

// One for each number of the groups of constants of the machine file `machine` (docs/simulator.md):
// the number times `factor`, above 0. A whole number stays one, and a share stays at most 1.
std::vector<PerturbedMachine> perturbed(const nlohmann::json& machine, double factor);

}  // namespace faultline::sim
