#include "harness/sim/machine/perturbed.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include "locks/types.hpp"

namespace faultline::sim {
namespace {

using nlohmann::json;

const std::set<std::string> groups = {"caches", "latency",   "contention", "cpu",
                                      "kernel", "shootdown", "memory"};
const std::set<std::string> shares = {"caches.jitter",
                                      "kernel.jitter",
                                      "contention.nearest_share",
                                      "contention.residency",
                                      "contention.queued_residency",
                                      "cpu.core_alone"};

json times(const json& value, double factor, const std::string& key) {
  const double product = value.get<double>() * factor;
  if (key == "caches.private_lines" || key == "caches.store_buffer") return std::llround(product);
  return shares.contains(key) ? std::min(product, 1.0) : product;
}

void collect(const json& machine, const json::json_pointer& place, const std::string& key,
             double factor, std::vector<PerturbedMachine>& found) {
  const json& value = machine.at(place);
  if (value.is_array())
    for (usize i = 0; i < value.size(); ++i)
      collect(machine, place / i, key + '[' + std::to_string(i) + ']', factor, found);
  if (value.is_object())
    for (const auto& [name, unused] : value.items())
      collect(machine, place / name, key + '.' + name, factor, found);
  if (!value.is_number()) return;
  PerturbedMachine one{key, value.get<double>(), {}};
  if (one.value != 0) {
    one.file = machine;
    one.file[place] = times(value, factor, key);
  }
  found.push_back(std::move(one));
}

}  // namespace

std::vector<PerturbedMachine> perturbed(const json& machine, double factor) {
  std::vector<PerturbedMachine> found;
  for (const auto& [name, unused] : machine.items())
    if (groups.contains(name)) collect(machine, json::json_pointer() / name, name, factor, found);
  return found;
}

}  // namespace faultline::sim
