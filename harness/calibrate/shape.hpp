// The calibrated machine's shape: its CPUs as a machine file describes them, and which of them are
// how far apart.
#pragma once

#include <string>
#include <vector>

#include "harness/sim/machine/machine.hpp"
#include "harness/topology/topology.hpp"

namespace faultline::calibrate {

struct Shape {
  std::string hwloc;      // a synthetic text; empty: `xml` has to lie in a file
  std::string xml;        // the whole machine
  std::vector<u32> cpus;  // the kernel's numbers, in the order of the machine file's own
  // Places, nodes and hops alone; CPUs by the machine file's numbers.
  sim::Machine geometry;
  bool hops_known = false;  // the system tells distances between nodes

  sim::Distance between(usize a, usize b) const {
    return geometry.between(geometry.places[a], geometry.places[b]);
  }
  // Two CPUs by the machine file's numbers, in order.
  struct Pair {
    u32 first, second;
  };
  // Of all pairs at that distance at most `most`, evenly spread. None: it does not occur.
  std::vector<Pair> pairs(sim::Distance distance, usize most) const;
  // CPUs no farther apart than `distance` from the first, by turns from the nearer units that they
  // form: the farther ones meet early.
  std::vector<u32> within(sim::Distance distance) const;
  // The CPUs of a node, which is given by its index.
  std::vector<u32> on_node(u32 node) const;
  std::vector<u32> os_numbers(const std::vector<u32>& cpus) const;
};

// The shape of these CPUs, given by the kernel's numbers. A synthetic text where every socket has
// as many nodes, every node as many clusters, and so on; else the machine's own XML. Throws
// std::invalid_argument if they are no such tree and not all of the machine either.
Shape make_shape(const Topology& topology, const std::vector<u32>& cpus);

// Hops from distances that only rank: between nodes 1 for the least, one more for each greater one,
// at most what the model knows. The greater of both ways counts.
std::vector<sim::u8> hops_from(const std::vector<std::vector<u64>>& distances);

}  // namespace faultline::calibrate
