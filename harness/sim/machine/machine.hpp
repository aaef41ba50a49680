// A modelled machine: its shape (by hwloc) and the costs of its caches, interconnect and kernel.
// They are read from a JSON file in which every group of constants names its origin. All constants
// are physical: none belongs to a lock, a scheme or a workload.
#pragma once

#include <array>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "harness/sim/types.hpp"
#include "harness/topology/topology.hpp"

namespace faultline::sim {

// What an access does to a line. A failed compare-and-swap is also an rmw.
enum class Kind : u8 { load, store, rmw };
inline constexpr usize kinds = 3;
inline constexpr std::array<const char*, kinds> kind_names = {"load", "store", "rmw"};

// The state of a line over all caches. invalid: no cache has the line, and it comes from memory.
enum class State : u8 { invalid, shared, exclusive, owned, modified };
inline constexpr usize states = 5;
inline constexpr std::array<const char*, states> state_names = {"memory", "shared", "exclusive",
                                                                "owned", "modified"};

// How far apart two CPUs are, or a CPU and a home node: 0 is one core, 1 is one cluster (L3), 2 is
// one memory node, and 2 + n are nodes that are n hops apart.
using Distance = u8;
inline constexpr Distance same_core = 0, same_cluster = 1, same_node = 2, one_hop = 3;
inline constexpr usize distances = 8;
inline constexpr std::array<const char*, distances> distance_names = {
    "smt", "cluster", "socket", "hop1", "hop2", "hop3", "hop4", "hop5"};

// mesi: a modified line that is read goes back to its home (Intel). moesi: the owner keeps the line
// and serves the readers (AMD).
enum class Protocol : u8 { mesi, moesi };

// The lines that a handler moves for each call. In sv6 it reads the call, the range to flush and
// the link to the next call, and counts its answer on the call's line, which other targets write
// too. In Linux it reads the call, the flush's arguments and the mm's generation of the TLB, and
// writes the call's flags (kernel/smp.c, arch/x86/mm/tlb.c).
inline constexpr u32 lines_of_call = 4;

struct Machine {
  // `name` is a preset ("e7-8870", "ideal-256" for any number), or a path that ends in .json.
  // Throws std::invalid_argument, in one line with file and key, for a file that does not exist or
  // is not sound.
  static Machine load(const std::string& name);
  // The names of the presets that load() knows.
  static std::vector<std::string> presets();
  // Every key that a machine file may have: "caches.hit.load".
  static std::set<std::string> keys();

  struct Place {
    u16 core, cluster, node;
  };
  using ByDistance = std::array<Time, distances>;

  std::string name;
  std::string summary;
  std::string file;
  std::vector<Place> places;  // by the kernel's number of the CPU
  u32 nodes = 0;
  u32 clusters = 0;
  std::vector<u8> hops;  // nodes x nodes

  Protocol protocol = Protocol::mesi;
  bool prefetch_pairs = false;  // a miss also brings the other line of the 128-byte pair
  Time hit[kinds] = {};         // an access to a line that the CPU's own cache holds
  ByDistance latency[kinds][states] = {};
  Time directory_transaction = 0;  // how long a transfer occupies the line's home node
  u32 store_buffer = 0;            // how many posted stores can be under way at once
  u32 private_lines = 0;           // how many lines a CPU's own cache holds
  u32 cluster_pages = 0;           // how many pages a cluster's cache holds
  u32 jitter = 0;                  // in 1/1024: the greatest deviation of a latency

  // How several CPUs share a line. Shares are in 1/1024.
  // By distance: how long a queued transfer keeps the line, as a share of its latency.
  std::array<u32, distances> service = {};
  u32 nearest_share = 0;  // how often the nearest writer is chosen instead of any
  // How long an owner keeps a line for which no other CPU queues, as a share of the latency of the
  // request that takes the line away.
  u32 residency = 0;
  // The same for a line for which other CPUs queue, from the moment at which its transfer begins.
  u32 queued_residency = 0;
  Time cluster_copy = 0;  // between the copies that a cluster with the line sends to its CPUs
  Time home_copy = 0;     // between the copies that the home sends to one cluster and the next

  Time pause = 0;
  // In 1/1024: the time of a thread's work while the other thread of its core backs off, as a share
  // of the time that it takes while both work.
  u32 core_alone = 1024;
  Time clock_read = 0;
  Time rcu_read = 0;  // entering a read section, and again leaving it
  Time rcu_grace = 0;

  Time syscall = 0;     // entering wait() or wake() and coming back
  Time page_fault = 0;  // the exception and its return, without the kernel's work between
  Time kernel_work[kernel_works] = {};  // by KernelWork
  u32 kernel_jitter = 0;                // in 1/1024: the greatest deviation of a time in the kernel
  Time wake_one = 0;                    // the waker's cost for waking one sleeper
  Time wake_latency = 0;  // from the wake-up until the sleeper runs, without leaving an idle state
  struct Idle {
    Time asleep;  // the CPU enters the state after this time
    Time exit;
  };
  std::vector<Idle> idle;  // ascending; the first begins at 0

  bool sv6_calls = false;         // how calls are passed: as by sv6, or as by Linux
  Time shootdown_base = 0;        // at the sender
  Time shootdown_per_target = 0;  // at the sender
  Time shootdown_send = 0;        // at the sender, for each interrupt
  Time shootdown_handler = 0;     // taken from each target that is interrupted
  Time shootdown_call = 0;        // taken from the target for each call, without transfers of lines
  Time shootdown_delivery = 0;    // how long a call occupies the interconnect
  ByDistance interrupt = {};      // from the sender to the handler's start

  // How long clearing a page takes one CPU, if its cluster's cache holds the page, and otherwise.
  Time clear_page_hot = 0, clear_page_core = 0;
  // How long clearing a page that the cache does not hold occupies the node's memory.
  Time clear_page_node = 0;

  // The distance between two CPUs, by their places, and from a CPU to a home node.
  Distance between(const Place& a, const Place& b) const {
    if (a.node != b.node) return to_node(a, b.node);
    if (a.cluster != b.cluster) return same_node;
    return a.core != b.core ? same_cluster : same_core;
  }
  Distance to_node(const Place& a, u32 node) const {
    return static_cast<Distance>(same_node + hops[a.node * nodes + node]);
  }

  // The machine as hwloc sees it, for placements.
  Topology topology() const { return Topology::foreign(shape); }
  std::string shape;  // the argument of Topology::foreign

  // The host that `faultline calibrate` measured. The texts are empty for a machine from another
  // source.
  struct Calibrated {
    std::string host, cpu_model;
  };
  Calibrated calibrated;

  // A free constant: its key such as "latency.load.modified", its value as the file writes it, its
  // origin.
  struct Constant {
    std::string key, value, origin;
  };
  std::vector<Constant> constants;
};

}  // namespace faultline::sim
