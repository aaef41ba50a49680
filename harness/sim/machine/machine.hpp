// A modelled machine: its shape (by hwloc) and what its caches, interconnect and kernel cost, read
// from a JSON file in which every group of constants names its origin. All constants are physical:
// none belongs to a lock, a scheme or a workload.
#pragma once

#include <array>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "harness/sim/types.hpp"
#include "harness/topology/topology.hpp"

namespace faultline::sim {

// What an access does to a line. A failed compare-and-swap is an rmw all the same.
enum class Kind : u8 { load, store, rmw };
inline constexpr usize kinds = 3;
inline constexpr std::array<const char*, kinds> kind_names = {"load", "store", "rmw"};

// The state of a line over all caches. invalid: no cache has it, it comes from memory.
enum class State : u8 { invalid, shared, exclusive, owned, modified };
inline constexpr usize states = 5;
inline constexpr std::array<const char*, states> state_names = {"memory", "shared", "exclusive",
                                                                "owned", "modified"};

// How far apart two CPUs are, or a CPU and a home node: 0 one core, 1 one cluster (L3), 2 one
// memory node, 2 + n nodes that are n hops apart.
using Distance = u8;
inline constexpr Distance same_core = 0, same_cluster = 1, same_node = 2, one_hop = 3;
inline constexpr usize distances = 8;
inline constexpr std::array<const char*, distances> distance_names = {
    "smt", "cluster", "socket", "hop1", "hop2", "hop3", "hop4", "hop5"};

// mesi: a modified line that is read goes back to its home (Intel). moesi: its owner keeps it and
// serves the readers (AMD).
enum class Protocol : u8 { mesi, moesi };

struct Machine {
  // `name`: a preset ("e7-8870", "ideal-256" for any number), or a path that ends in .json. Throws
  // std::invalid_argument, one line with file and key, for what does not exist or is not sound.
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
  bool prefetch_pairs = false;  // a miss brings the other line of the 128-byte pair along
  Time hit[kinds] = {};         // an access to a line that the own cache holds
  ByDistance latency[kinds][states] = {};
  // By distance and n: the factor by which n requests for one line lengthen a transfer, in 1/1024.
  static constexpr u32 max_requesters = 1024;
  std::array<std::array<u32, max_requesters + 1>, distances> contention = {};
  Time directory_response = 0;     // how long a read of a clean line keeps other requests off it
  Time directory_transaction = 0;  // of its home node's time that a transfer takes
  u32 nearest_share = 0;           // in 1/1024: choices of the nearest request, not the oldest
  u32 store_buffer = 0;            // posted stores under way at once
  u32 private_lines = 0;           // lines that a CPU's own cache holds
  u32 jitter = 0;                  // in 1/1024: the greatest deviation of a latency

  Time pause = 0;
  Time clock_read = 0;
  Time rcu_read = 0;  // entering, and again leaving, a read section
  Time rcu_grace = 0;

  Time syscall = 0;       // entering wait() or wake() and coming back
  Time page_fault = 0;    // the exception and its return, without what the kernel does between
  Time wake_one = 0;      // what waking one sleeper costs its waker
  Time wake_latency = 0;  // from the wake-up until the sleeper runs, without leaving an idle state
  struct Idle {
    Time asleep;  // the state is entered after so long
    Time exit;
  };
  std::vector<Idle> idle;  // ascending; the first from 0 on

  Time shootdown_base = 0;        // at the sender
  Time shootdown_per_target = 0;  // at the sender
  Time shootdown_handler = 0;     // stolen from each target
  Time shootdown_delivery = 0;    // of the interconnect's time that an interrupt takes
  ByDistance interrupt = {};      // from the sender to the handler's start

  Time clear_page_core = 0;  // clearing a page takes one CPU so long, and
  Time clear_page_node = 0;  // its node's memory so long

  // The distance between CPUs, by their places, and from a CPU to a home node.
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
  std::string shape;  // what Topology::foreign takes

  // The host that `faultline calibrate` measured; empty texts for a machine from another source.
  struct Calibrated {
    std::string host, cpu_model;
  };
  Calibrated calibrated;

  // Free constants: "latency.load.modified", their values in the file's text, their origin.
  struct Constant {
    std::string key, value, origin;
  };
  std::vector<Constant> constants;
};

}  // namespace faultline::sim
