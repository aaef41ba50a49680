#include "harness/calibrate/shape.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <stdexcept>
#include <tuple>

namespace faultline::calibrate {

namespace {

// The path from the root of the tree to a CPU: socket, node, cluster, core, hardware thread.
constexpr usize levels = 5;
using Path = std::array<u32, levels>;

Path path_of(const Cpu& cpu) {
  return {cpu.socket, cpu.node, cpu.cluster, cpu.core, cpu.os};
}

// For each level, how many objects of it each object of the level above contains. Nothing if two
// objects of a level contain different numbers, or if an object lies in two parents.
std::optional<std::array<usize, levels>> regular_counts(const std::vector<Cpu>& cpus) {
  std::array<usize, levels> counts{};
  for (usize level = 0; level < levels; ++level) {
    std::map<std::vector<u32>, std::set<u32>> children;
    std::map<u32, std::vector<u32>> parent;
    for (const Cpu& cpu : cpus) {
      const Path path = path_of(cpu);
      const std::vector<u32> above(path.begin(), path.begin() + static_cast<std::ptrdiff_t>(level));
      children[above].insert(path[level]);
      if (parent.emplace(path[level], above).first->second != above) return std::nullopt;
    }
    counts[level] = children.begin()->second.size();
    for (const auto& [above, set] : children)
      if (set.size() != counts[level]) return std::nullopt;
  }
  return counts;
}

std::string synthetic(const std::array<usize, levels>& counts) {
  const std::string group = counts[1] > 1 ? fmt::format(" group:{}", counts[1]) : "";
  return fmt::format("package:{}{} [numa] l3:{} core:{} pu:{}", counts[0], group, counts[2],
                     counts[3], counts[4]);
}

// The index of `value` in `known`; appends it if it is new.
sim::u16 index_in(std::vector<u32>& known, u32 value) {
  const auto at = std::find(known.begin(), known.end(), value);
  const usize index = static_cast<usize>(at - known.begin());
  if (at == known.end()) known.push_back(value);
  return static_cast<sim::u16>(index);
}

std::vector<sim::u8> hops_of(const Topology& topology, const std::vector<u32>& nodes) {
  const std::vector<std::vector<u64>> all = topology.node_distances();
  std::vector<std::vector<u64>> distances(nodes.size(), std::vector<u64>(nodes.size(), 1));
  const auto at = [&](u32 node) {
    return static_cast<usize>(std::find(topology.nodes().begin(), topology.nodes().end(), node) -
                              topology.nodes().begin());
  };
  for (usize a = 0; a < nodes.size() && !all.empty(); ++a)
    for (usize b = 0; b < nodes.size(); ++b) distances[a][b] = all[at(nodes[a])][at(nodes[b])];
  return hops_from(distances);
}

// Fills in the shape's CPUs, places, nodes and hops. `nodes` are the nodes in the order of the
// machine file, as far as that is fixed already; the nodes of CPUs that it lacks follow.
void place(Shape& shape, const std::vector<Cpu>& cpus, std::vector<u32> nodes,
           const Topology& topology) {
  std::vector<u32> clusters, cores;
  for (const Cpu& cpu : cpus) {
    shape.cpus.push_back(cpu.os);
    const sim::u16 node = index_in(nodes, cpu.node);
    shape.geometry.places.push_back(
        {index_in(cores, cpu.core), index_in(clusters, cpu.cluster), node});
  }
  shape.geometry.nodes = static_cast<u32>(nodes.size());
  shape.geometry.clusters = static_cast<u32>(clusters.size());
  shape.geometry.hops = hops_of(topology, nodes);
  shape.hops_known = !topology.node_distances().empty();
}

// Whether the machine's XML describes exactly these CPUs: they are all CPUs, their numbers count
// from 0, and every node has one of them.
bool is_all(const Topology& topology, const std::vector<Cpu>& by_number) {
  std::set<u32> nodes;
  for (usize i = 0; i < by_number.size(); ++i) {
    nodes.insert(by_number[i].node);
    if (by_number[i].os != i) return false;
  }
  return by_number.size() == topology.cpus().size() && nodes.size() == topology.nodes().size();
}

}  // namespace

std::vector<sim::u8> hops_from(const std::vector<std::vector<u64>>& distances) {
  constexpr usize most = sim::distances - sim::one_hop;
  const usize nodes = distances.size();
  const auto between = [&](usize a, usize b) { return std::max(distances[a][b], distances[b][a]); };
  std::set<u64> values;
  for (usize a = 0; a < nodes; ++a)
    for (usize b = 0; b < a; ++b) values.insert(between(a, b));
  std::vector<sim::u8> hops(nodes * nodes, 0);
  for (usize a = 0; a < nodes; ++a)
    for (usize b = 0; b < nodes; ++b) {
      const auto rank = std::distance(values.begin(), values.find(between(a, b))) + 1;
      if (a != b) hops[a * nodes + b] = static_cast<sim::u8>(std::min<usize>(most, rank));
    }
  return hops;
}

Shape make_shape(const Topology& topology, const std::vector<u32>& numbers) {
  std::vector<Cpu> cpus;
  for (u32 os : numbers) cpus.push_back(topology.cpu(os));
  std::sort(cpus.begin(), cpus.end(),
            [](const Cpu& a, const Cpu& b) { return path_of(a) < path_of(b); });
  Shape shape;
  if (const auto counts = regular_counts(cpus)) {
    shape.hwloc = synthetic(*counts);
    place(shape, cpus, {}, topology);
    return shape;
  }
  std::sort(cpus.begin(), cpus.end(), [](const Cpu& a, const Cpu& b) { return a.os < b.os; });
  if (!is_all(topology, cpus))
    throw std::invalid_argument(fmt::format(
        "CPUs {}: they do not form a tree in which all sockets have equally many nodes, all nodes "
        "equally many clusters, and so on; expected such CPUs with --cpus, or the whole machine",
        cpu_list(numbers)));
  shape.xml = topology.xml();
  place(shape, cpus, topology.nodes(), topology);
  return shape;
}

std::vector<Shape::Pair> Shape::pairs(sim::Distance distance, usize most) const {
  std::vector<Pair> all;
  for (u32 a = 0; a < cpus.size(); ++a)
    for (u32 b = 0; b < cpus.size(); ++b)
      if (a != b && between(a, b) == distance) all.push_back({a, b});
  if (all.size() <= most) return all;
  std::vector<Pair> chosen;
  for (usize i = 0; i < most; ++i) chosen.push_back(all[i * (all.size() - 1) / (most - 1)]);
  return chosen;
}

std::vector<u32> Shape::within(sim::Distance distance) const {
  // A unit is a group of CPUs that are nearer to each other than `distance`. The result takes the
  // first CPU of each unit, then the second of each, and so on.
  std::vector<std::tuple<usize, usize, u32>> ranked;
  std::vector<u32> units;  // the first CPU of each unit
  std::vector<usize> sizes;
  for (u32 cpu = 0; cpu < cpus.size(); ++cpu) {
    if (cpu != 0 && between(0, cpu) > distance) continue;
    const auto own = std::find_if(units.begin(), units.end(),
                                  [&](u32 first) { return between(first, cpu) < distance; });
    const usize unit = static_cast<usize>(own - units.begin());
    if (own == units.end()) units.push_back(cpu), sizes.push_back(0);
    ranked.emplace_back(sizes[unit]++, unit, cpu);
  }
  std::sort(ranked.begin(), ranked.end());
  std::vector<u32> result;
  for (const auto& [rank, unit, cpu] : ranked) result.push_back(cpu);
  return result;
}

std::vector<u32> Shape::one_per_core(const std::vector<u32>& from) const {
  std::vector<u32> chosen;
  for (const u32 cpu : from)
    if (std::none_of(chosen.begin(), chosen.end(),
                     [&](u32 other) { return between(cpu, other) == sim::same_core; }))
      chosen.push_back(cpu);
  return chosen;
}

std::vector<u32> Shape::on_node(u32 node) const {
  std::vector<u32> result;
  for (u32 cpu = 0; cpu < cpus.size(); ++cpu)
    if (geometry.places[cpu].node == node) result.push_back(cpu);
  return result;
}

std::vector<u32> Shape::os_numbers(const std::vector<u32>& numbers) const {
  std::vector<u32> result;
  for (u32 cpu : numbers) result.push_back(cpus[cpu]);
  return result;
}

}  // namespace faultline::calibrate
