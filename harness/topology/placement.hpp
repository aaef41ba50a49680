// Placements: the order in which threads get the CPUs of a machine. These are pure functions over a
// list of CPUs, so that tests can use other machines than the one they run on.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "locks/platform.hpp"

namespace faultline {

// One CPU (a hardware thread) and its place in the machine. `os` and `node` are the kernel's
// numbers. The other numbers count from 0 in hwloc's logical order and are unique over the whole
// machine, except for `sibling`.
struct Cpu {
  u32 os = 0;
  u32 node = 0;     // the NUMA node whose memory is local
  u32 socket = 0;   // the package
  u32 cluster = 0;  // the CPUs that share a last-level cache; the socket if there is no such cache
  u32 core = 0;
  u32 sibling = 0;  // 0 for the first usable hardware thread of its core, 1 for the second
};

// The order in which `placement` gives the CPUs `cpus` to threads, by the kernel's numbers, each
// once:
//   compact    one thread a core before any second hardware thread. The cores go socket by socket,
//              node by node in a socket, cluster by cluster in a node: threads are close together,
//              yet each has a core to itself as long as there are cores.
//   scatter    one thread a core before any second hardware thread. The cores go round robin over
//              the sockets, in a socket over its nodes, in a node over its clusters, in a cluster
//              over its cores: threads are as far apart as the machine allows.
//   per-node   all CPUs of a node, second hardware threads included, before the next node; one
//              thread a core comes first, cluster by cluster.
//   smt-first  all hardware threads of a core before the next core; the cores in compact's order.
//   0,2,4-7    these CPUs in this order.
// `known` are the CPUs that the machine has, allowed or not. Throws std::invalid_argument for an
// unknown name, a malformed list, a CPU that does not exist or is not among `cpus`, or a CPU that
// occurs twice.
std::vector<u32> placement_order(std::string_view placement, const std::vector<Cpu>& cpus,
                                 const std::vector<u32>& known);

// The names of the placements, for messages and `faultline list`.
const std::vector<std::string>& placement_names();

// CPU numbers in the kernel's list format: "0,2,4-7".
std::string cpu_list(std::vector<u32> cpus);

}  // namespace faultline
