// The machine as hwloc sees it: its CPUs and nodes, and which of them this process may use. Binds
// threads and memory to them and checks that the binding took effect.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/topology/placement.hpp"
#include "locks/platform.hpp"

struct hwloc_topology;

namespace faultline {

class Topology {
 public:
  // This machine. Its usable CPUs are those that the cpuset, the cgroup and the calling thread's
  // affinity mask allow, so call it before that thread is pinned. If the environment points hwloc
  // at another machine (HWLOC_XMLFILE, HWLOC_SYNTHETIC), the result is foreign. Throws
  // std::runtime_error if hwloc cannot read the machine.
  static Topology here();

  // Another machine. `text` is the name of an XML file that lstopo wrote, or hwloc's synthetic
  // description ("package:2 [numa] core:4 pu:2"). The result can be queried, but its binding
  // functions throw. Throws std::invalid_argument if `text` is neither.
  static Topology foreign(const std::string& text);

  bool is_foreign() const { return foreign_; }

  // The usable CPUs, in the machine's order.
  const std::vector<Cpu>& cpus() const { return cpus_; }
  // The usable CPU with the kernel's number `os`. Throws std::invalid_argument if there is none.
  const Cpu& cpu(u32 os) const;
  u32 node_of(u32 os) const { return cpu(os).node; }
  // The nodes that have memory and that this process may use, by the kernel's numbers, ascending.
  // Never empty.
  const std::vector<u32>& nodes() const { return nodes_; }
  std::vector<u32> node_cpus(u32 node) const;
  u32 sockets() const;
  bool smt() const;  // whether two usable CPUs share a core

  // The CPUs of threads 0 to `threads` - 1, in the order of placement_order(). If there are more
  // threads than CPUs, the order starts again. Throws std::invalid_argument for a placement that
  // placement_order() refuses, and for 0 threads.
  std::vector<u32> place(std::string_view placement, u32 threads) const;
  // Whether `place` would put two threads on one CPU.
  bool oversubscribed(std::string_view placement, u32 threads) const;

  // The thread counts worth measuring, ascending: 1, the powers of two, all CPUs, and the edges of
  // `placement`. An edge is the most threads that it keeps in the first cluster, in the first
  // socket, or each on a core of its own.
  std::vector<u32> thread_counts(std::string_view placement = "compact") const;

  // The CPU's name; nothing if hwloc or the XML file does not give it.
  std::optional<std::string> cpu_model() const;
  // The firmware's distances between the nodes (SLIT), in the order of nodes(). They only rank the
  // pairs of nodes. Empty if the firmware gives none.
  std::vector<std::vector<u64>> node_distances() const;
  // The size of the largest cache that a core has to itself; 0 if hwloc knows of none.
  usize private_cache_bytes() const;
  // The size of the largest cache that the first CPU has, alone or with others; 0 if hwloc knows of
  // none.
  usize last_cache_bytes() const;
  // The whole machine in hwloc's XML, which foreign() reads.
  std::string xml() const;

  // Pins the calling thread to the CPU, exempts it from NUMA balancing (pages.hpp), and checks that
  // it runs there. Throws std::runtime_error, with a text of one line, if it does not or if the
  // topology is foreign.
  void bind_self(u32 cpu) const;
  // Binds memory, which is aligned to a page, strictly to the node: pages not yet touched will come
  // from it, other pages move to it. Throws std::runtime_error if the kernel refuses or the
  // topology is foreign.
  void bind_memory(void* memory, usize bytes, u32 node) const;
  // misplaced_pages() of pages.hpp. Throws std::runtime_error if the topology is foreign.
  std::optional<std::string> verify_pages(const void* memory, usize bytes, u32 node) const;

 private:
  struct Destroy {
    void operator()(hwloc_topology* topology) const;
  };
  using Handle = std::unique_ptr<hwloc_topology, Destroy>;

  Topology(Handle handle, bool foreign);
  void read_nodes();
  void read_cpus();
  void refuse_foreign(std::string_view action) const;
  usize largest_cache_bytes(int cores) const;

  Handle handle_;
  bool foreign_;
  std::vector<Cpu> cpus_;
  std::vector<u32> known_;  // all CPUs of the machine, by the kernel's numbers
  std::vector<u32> nodes_;
};

// Nothing if the calling thread runs on the CPU; otherwise a line that says where it runs.
std::optional<std::string> verify_cpu(u32 cpu);

// Where `placement` would pin each thread, in lines such as
// "thread 0 -> cpu 0 (node 0, socket 0, core 0)".
std::string describe(const Topology& topology, std::string_view placement, u32 threads);

}  // namespace faultline
