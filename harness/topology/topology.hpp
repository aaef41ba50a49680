// The machine as hwloc sees it: which CPUs and nodes there are, which of them this process may use,
// and binding to them with a check that it took effect.
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
  // This machine; usable are the CPUs that the cpuset, the cgroup and the caller's affinity mask
  // leave, so call it before the calling thread is pinned. If the environment points hwloc at
  // another machine (HWLOC_XMLFILE, HWLOC_SYNTHETIC) the result is foreign. Throws
  // std::runtime_error if the machine cannot be read.
  static Topology here();

  // Another machine: the name of an XML file that lstopo wrote, or hwloc's synthetic description
  // ("package:2 [numa] core:4 pu:2"). It can be looked at, never bound to. Throws
  // std::invalid_argument if it is neither.
  static Topology foreign(const std::string& text);

  bool is_foreign() const { return foreign_; }

  // The usable CPUs, in the machine's order.
  const std::vector<Cpu>& cpus() const { return cpus_; }
  // A usable CPU by the kernel's number. Throws std::invalid_argument if it is none.
  const Cpu& cpu(u32 os) const;
  u32 node_of(u32 os) const { return cpu(os).node; }
  // The nodes that have memory and may be used, by the kernel's numbers, ascending. Never empty.
  const std::vector<u32>& nodes() const { return nodes_; }
  std::vector<u32> node_cpus(u32 node) const;
  u32 sockets() const;
  bool smt() const;  // whether two usable CPUs share a core

  // The CPUs of threads 0 to `threads` - 1 (placement.hpp says in which order); where there are
  // more threads than CPUs the order starts again. Throws std::invalid_argument for a placement
  // that cannot be, or no thread at all.
  std::vector<u32> place(std::string_view placement, u32 threads) const;
  // Whether `place` would put two threads on one CPU.
  bool oversubscribed(std::string_view placement, u32 threads) const;

  // The thread counts worth measuring, ascending: 1, 2, the powers of two, all CPUs, and the edges
  // that `placement` meets: the most threads it keeps in the first cluster, in the first socket,
  // and on cores of their own.
  std::vector<u32> thread_counts(std::string_view placement = "compact") const;

  // The CPU's name; nothing where neither hwloc nor the file knows it.
  std::optional<std::string> cpu_model() const;
  // The system's distances between the nodes of nodes(), in that order; they rank, no more. Empty
  // where it tells none.
  std::vector<std::vector<u64>> node_distances() const;
  // The size of the largest cache that a core has to itself; 0 where hwloc knows none.
  usize private_cache_bytes() const;
  // The whole machine in hwloc's XML, which foreign() reads.
  std::string xml() const;

  // Pins the calling thread to the CPU, exempts it from NUMA balancing (pages.hpp), and checks that
  // it runs there. Throws std::runtime_error,
  // with one line to show, if it does not or the topology is foreign.
  void bind_self(u32 cpu) const;
  // Binds memory to the node, strictly: pages not yet touched will come from there, others are
  // moved. `memory` is aligned to a page. Throws std::runtime_error as above.
  void bind_memory(void* memory, usize bytes, u32 node) const;
  // Where the memory's pages are: misplaced_pages() of pages.hpp. Throws std::runtime_error if the
  // topology is foreign.
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

  Handle handle_;
  bool foreign_;
  std::vector<Cpu> cpus_;
  std::vector<u32> known_;  // all CPUs of the machine, by the kernel's numbers
  std::vector<u32> nodes_;
};

// A line if the calling thread does not run on the CPU, nothing if it does.
std::optional<std::string> verify_cpu(u32 cpu);

// What would be pinned, a line a thread: "thread 0 -> cpu 0 (node 0, socket 0, core 0)".
std::string describe(const Topology& topology, std::string_view placement, u32 threads);

}  // namespace faultline
