// The shape of the calibrated machine: its CPUs as a machine file describes them, and the distances
// between them.
#pragma once

#include <string>
#include <vector>

#include "harness/sim/machine/machine.hpp"
#include "harness/topology/topology.hpp"

namespace faultline::calibrate {

struct Shape {
  std::string hwloc;      // hwloc's synthetic text; if empty, `xml` describes the machine
  std::string xml;        // the whole machine in hwloc's XML
  std::vector<u32> cpus;  // the kernel's number of each CPU of the machine file
  // Only places, nodes and hops are filled in. CPUs have the machine file's numbers.
  sim::Machine geometry;
  bool hops_known = false;  // the firmware gives distances between nodes

  sim::Distance between(usize a, usize b) const {
    return geometry.between(geometry.places[a], geometry.places[b]);
  }
  // An ordered pair of CPUs, by the machine file's numbers.
  struct Pair {
    u32 first, second;
  };
  // At most `most` of the pairs at that distance, spread evenly over all of them. Empty if no pair
  // has that distance.
  std::vector<Pair> pairs(sim::Distance distance, usize most) const;
  // The CPUs that are no farther than `distance` from the first. They alternate between the units
  // of CPUs that are nearer to each other, so that CPUs at the full distance stand early in the
  // list.
  std::vector<u32> within(sim::Distance distance) const;
  // Of these CPUs, the first of each core.
  std::vector<u32> one_per_core(const std::vector<u32>& from) const;
  // The CPUs of the node with the machine file's number `node`.
  std::vector<u32> on_node(u32 node) const;
  // The kernel's numbers of these CPUs.
  std::vector<u32> os_numbers(const std::vector<u32>& cpus) const;
};

// The shape of these CPUs, which are the kernel's numbers. It has a synthetic text if all sockets
// have equally many nodes, all nodes equally many clusters, and so on; otherwise it has the
// machine's XML. Throws std::invalid_argument if the CPUs form no such tree and are not the whole
// machine.
Shape make_shape(const Topology& topology, const std::vector<u32>& cpus);

// Hops between nodes, from distances that only rank the pairs: 1 for the least distance, one more
// for each greater one, at most as many as the model has. Of the two directions of a pair the
// greater distance counts.
std::vector<sim::u8> hops_from(const std::vector<std::vector<u64>>& distances);

}  // namespace faultline::calibrate
