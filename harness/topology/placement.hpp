// Placements: in which order the CPUs of a machine are given to threads. Pure functions over a list
// of CPUs, so that they can be tested on machines that are not here.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "locks/platform.hpp"

namespace faultline {

// One CPU (a hardware thread) and where it lies. `os` and `node` are the kernel's numbers, the
// others count from 0 in the machine's own order and are unique over the whole machine.
struct Cpu {
  u32 os = 0;
  u32 node = 0;     // the NUMA node whose memory is local
  u32 socket = 0;   // the package
  u32 cluster = 0;  // the CPUs behind one last-level cache; the socket where there is none
  u32 core = 0;
  u32 sibling = 0;  // 0 for the first usable hardware thread of its core, 1 for the second
};

// The order in which `placement` gives out `cpus`, as the kernel's CPU numbers, each once:
//   compact    one thread a core before any second hardware thread; within that socket by socket,
//              in a socket node by node, in a node cluster by cluster: neighbours first, and full
//              speed for each as long as there are cores.
//   scatter    one thread a core before any second hardware thread; within that round robin over
//              the sockets, in a socket over its nodes, in a node over its clusters, in a cluster
//              over its cores: as far apart as the machine allows.
//   per-node   node by node, all of a node before the next one starts, its second hardware threads
//              included; in a node one thread a core first, cluster by cluster.
//   smt-first  core by core, all hardware threads of a core before the next core; the cores as in
//              compact.
//   0,2,4-7    these CPUs in this order.
// `known` are the CPUs that the machine has, allowed or not. Throws std::invalid_argument for an
// unknown name, a malformed list, a CPU that does not exist or is not among `cpus`, or one named
// twice.
std::vector<u32> placement_order(std::string_view placement, const std::vector<Cpu>& cpus,
                                 const std::vector<u32>& known);

// The placements that have a name, for messages and `list`.
const std::vector<std::string>& placement_names();

// CPU numbers as the kernel writes lists: "0,2,4-7".
std::string cpu_list(std::vector<u32> cpus);

}  // namespace faultline
