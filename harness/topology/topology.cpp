#include "harness/topology/topology.hpp"

#include <fmt/format.h>
#include <hwloc.h>
#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <limits>
#include <map>
#include <set>
#include <stdexcept>

#include "harness/topology/pages.hpp"

namespace faultline {
namespace {

struct FreeBitmap {
  void operator()(hwloc_bitmap_s* bitmap) const { hwloc_bitmap_free(bitmap); }
};
using Bitmap = std::unique_ptr<hwloc_bitmap_s, FreeBitmap>;

// The ancestor of `object` that has that type; the whole machine if there is none.
hwloc_obj_t above(hwloc_topology_t topology, hwloc_obj_t object, hwloc_obj_type_t type) {
  hwloc_obj_t found = hwloc_get_ancestor_obj_by_type(topology, type, object);
  return found != nullptr ? found : hwloc_get_root_obj(topology);
}

hwloc_obj_t cluster_above(hwloc_topology_t topology, hwloc_obj_t cpu) {
  hwloc_obj_t cache = hwloc_get_ancestor_obj_by_type(topology, HWLOC_OBJ_L3CACHE, cpu);
  return cache != nullptr ? cache : above(topology, cpu, HWLOC_OBJ_PACKAGE);
}

hwloc_topology_t prepared(unsigned long flags) {
  hwloc_topology_t topology = nullptr;
  if (hwloc_topology_init(&topology) != 0)
    throw std::runtime_error("topology: hwloc has no memory to start with");
  hwloc_topology_set_flags(topology, flags);
  return topology;
}

bool loads(hwloc_topology_t topology, const std::string& text) {
  std::error_code ignored;
  const bool file = std::filesystem::is_regular_file(text, ignored);
  const int set = file ? hwloc_topology_set_xml(topology, text.c_str())
                       : hwloc_topology_set_synthetic(topology, text.c_str());
  return set == 0 && hwloc_topology_load(topology) == 0;
}

// The CPUs that the topology allows and that the calling thread may run on. For a foreign topology
// only the first condition counts.
Bitmap usable_cpus(hwloc_topology_t topology, bool foreign) {
  Bitmap usable(hwloc_bitmap_dup(hwloc_topology_get_allowed_cpuset(topology)));
  if (foreign) return usable;
  const Bitmap bound(hwloc_bitmap_alloc());
  if (hwloc_get_cpubind(topology, bound.get(), HWLOC_CPUBIND_THREAD) == 0)
    hwloc_bitmap_and(usable.get(), usable.get(), bound.get());
  return usable;
}

}  // namespace

void Topology::Destroy::operator()(hwloc_topology* topology) const {
  hwloc_topology_destroy(topology);
}

Topology Topology::here() {
  // hwloc includes disallowed CPUs, so that the recorded XML describes the whole machine and a
  // message can tell a CPU that does not exist from one that is not allowed.
  Handle handle(prepared(HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED));
  if (hwloc_topology_load(handle.get()) != 0)
    throw std::runtime_error("topology: hwloc cannot read this machine");
  const bool foreign = hwloc_topology_is_thissystem(handle.get()) == 0;
  return Topology(std::move(handle), foreign);
}

Topology Topology::foreign(const std::string& text) {
  Handle handle(prepared(0));
  if (text.empty() || !loads(handle.get(), text))
    throw std::invalid_argument(fmt::format(
        "topology '{}': expected an XML file that lstopo wrote, or hwloc's synthetic description "
        "such as 'package:2 [numa] core:4 pu:2'",
        text));
  return Topology(std::move(handle), true);
}

Topology::Topology(Handle handle, bool foreign) : handle_(std::move(handle)), foreign_(foreign) {
  read_nodes();
  read_cpus();
}

void Topology::read_nodes() {
  hwloc_topology_t topology = handle_.get();
  hwloc_const_bitmap_t allowed = hwloc_topology_get_allowed_nodeset(topology);
  hwloc_obj_t node = nullptr;
  std::vector<u32> without_memory;
  while ((node = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_NUMANODE, node)) != nullptr) {
    if (hwloc_bitmap_isset(allowed, node->os_index) == 0) continue;
    const bool memory = node->attr->numanode.local_memory > 0;
    (memory ? nodes_ : without_memory).push_back(node->os_index);
  }
  // A description may leave out the sizes of memory; then all its nodes count as having some.
  if (nodes_.empty()) nodes_ = without_memory;
  if (nodes_.empty()) throw std::runtime_error("topology: this process may use no memory node");
  std::sort(nodes_.begin(), nodes_.end());
}

void Topology::read_cpus() {
  hwloc_topology_t topology = handle_.get();
  const Bitmap usable = usable_cpus(topology, foreign_);
  std::map<hwloc_obj_t, u32> used_of_core;
  hwloc_obj_t pu = nullptr;
  while ((pu = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_PU, pu)) != nullptr) {
    known_.push_back(pu->os_index);
    if (hwloc_bitmap_isset(usable.get(), pu->os_index) == 0) continue;
    const auto local = std::find_if(nodes_.begin(), nodes_.end(), [&](u32 node) {
      return hwloc_bitmap_isset(pu->nodeset, node) != 0;
    });
    hwloc_obj_t core = hwloc_get_ancestor_obj_by_type(topology, HWLOC_OBJ_CORE, pu);
    if (core == nullptr) core = pu;
    hwloc_obj_t cluster = cluster_above(topology, pu);
    cpus_.push_back({.os = pu->os_index,
                     .node = local != nodes_.end() ? *local : nodes_.front(),
                     .socket = above(topology, pu, HWLOC_OBJ_PACKAGE)->logical_index,
                     .cluster = cluster->logical_index,
                     .core = core->logical_index,
                     .sibling = used_of_core[core]++});
  }
  std::sort(known_.begin(), known_.end());
  if (cpus_.empty()) throw std::runtime_error("topology: this process may use no CPU");
}

const Cpu& Topology::cpu(u32 os) const {
  const auto found =
      std::find_if(cpus_.begin(), cpus_.end(), [&](const Cpu& one) { return one.os == os; });
  if (found != cpus_.end()) return *found;
  std::vector<u32> usable;
  for (const Cpu& one : cpus_) usable.push_back(one.os);
  throw std::invalid_argument(
      fmt::format("CPU {}: not among the CPUs of this process, expected {}", os, cpu_list(usable)));
}

std::vector<u32> Topology::node_cpus(u32 node) const {
  std::vector<u32> result;
  for (const Cpu& one : cpus_) {
    if (one.node == node) result.push_back(one.os);
  }
  return result;
}

u32 Topology::sockets() const {
  std::set<u32> seen;
  for (const Cpu& one : cpus_) seen.insert(one.socket);
  return static_cast<u32>(seen.size());
}

bool Topology::smt() const {
  return std::any_of(cpus_.begin(), cpus_.end(), [](const Cpu& one) { return one.sibling > 0; });
}

std::vector<u32> Topology::place(std::string_view placement, u32 threads) const {
  const std::vector<u32> order = placement_order(placement, cpus_, known_);
  if (threads == 0) throw std::invalid_argument("threads 0: expected 1 or more");
  std::vector<u32> result;
  for (u32 thread = 0; thread < threads; ++thread) result.push_back(order[thread % order.size()]);
  return result;
}

bool Topology::oversubscribed(std::string_view placement, u32 threads) const {
  return threads > placement_order(placement, cpus_, known_).size();
}

std::vector<u32> Topology::thread_counts(std::string_view placement) const {
  const std::vector<u32> order = placement_order(placement, cpus_, known_);
  const u32 all = static_cast<u32>(order.size());
  std::set<u32> counts = {1, all};
  for (u64 power = 2; power < all; power *= 2) counts.insert(static_cast<u32>(power));
  const Cpu& first = cpu(order.front());
  // An edge is the number of threads before the first one that leaves the first thread's unit.
  // When even the second thread leaves it (scatter), the edge is 1, which is in the set already.
  auto edge = [&](auto leaves) {
    const auto left =
        std::find_if(order.begin(), order.end(), [&](u32 os) { return leaves(cpu(os)); });
    if (left != order.begin()) counts.insert(static_cast<u32>(left - order.begin()));
  };
  edge([&](const Cpu& one) { return one.cluster != first.cluster || one.socket != first.socket; });
  edge([&](const Cpu& one) { return one.socket != first.socket; });
  edge([&](const Cpu& one) { return one.sibling > 0; });
  return {counts.begin(), counts.end()};
}

std::optional<std::string> Topology::cpu_model() const {
  hwloc_obj_t package = hwloc_get_obj_by_type(handle_.get(), HWLOC_OBJ_PACKAGE, 0);
  for (hwloc_obj_t object : {package, hwloc_get_root_obj(handle_.get())}) {
    const char* model =
        object != nullptr ? hwloc_obj_get_info_by_name(object, "CPUModel") : nullptr;
    std::string name = model != nullptr ? model : "";
    name.erase(name.find_last_not_of(' ') + 1);  // some CPUs pad their name with spaces
    if (!name.empty()) return name;
  }
  return std::nullopt;
}

std::vector<std::vector<u64>> Topology::node_distances() const {
  hwloc_distances_s* matrix = nullptr;
  unsigned count = 1;
  const int error = hwloc_distances_get_by_type(handle_.get(), HWLOC_OBJ_NUMANODE, &count, &matrix,
                                                HWLOC_DISTANCES_KIND_MEANS_LATENCY, 0);
  if (error != 0 || count == 0) return {};
  const auto index = [&](u32 node) {
    unsigned i = 0;
    while (i < matrix->nbobjs && matrix->objs[i]->os_index != node) ++i;
    return i;
  };
  std::vector<std::vector<u64>> distances;
  for (const u32 a : nodes_) {
    distances.emplace_back();
    for (const u32 b : nodes_)
      if (std::max(index(a), index(b)) < matrix->nbobjs)
        distances.back().push_back(matrix->values[index(a) * matrix->nbobjs + index(b)]);
  }
  hwloc_distances_release(handle_.get(), matrix);
  if (std::any_of(distances.begin(), distances.end(),
                  [&](const auto& row) { return row.size() != nodes_.size(); }))
    return {};
  return distances;
}

// The size of the largest data cache of the first CPU that at most `cores` cores share.
usize Topology::largest_cache_bytes(int cores) const {
  usize bytes = 0;
  hwloc_obj_t pu = hwloc_get_obj_by_type(handle_.get(), HWLOC_OBJ_PU, 0);
  for (hwloc_obj_t object = pu; object != nullptr; object = object->parent)
    if (hwloc_obj_type_is_dcache(object->type) != 0 &&
        hwloc_get_nbobjs_inside_cpuset_by_type(handle_.get(), object->cpuset, HWLOC_OBJ_CORE) <=
            cores)
      bytes = std::max(bytes, static_cast<usize>(object->attr->cache.size));
  return bytes;
}

usize Topology::private_cache_bytes() const {
  return largest_cache_bytes(1);
}

usize Topology::last_cache_bytes() const {
  return largest_cache_bytes(std::numeric_limits<int>::max());
}

std::string Topology::xml() const {
  char* buffer = nullptr;
  int length = 0;
  if (hwloc_topology_export_xmlbuffer(handle_.get(), &buffer, &length, 0) != 0)
    throw std::runtime_error("topology: hwloc cannot write its XML");
  std::string result(buffer);
  hwloc_free_xmlbuffer(handle_.get(), buffer);
  return result;
}

void Topology::refuse_foreign(std::string_view action) const {
  if (!foreign_) return;
  throw std::runtime_error(
      fmt::format("{}: the topology describes another machine, expected this machine", action));
}

void Topology::bind_self(u32 os) const {
  refuse_foreign("pinning a thread");
  const Bitmap set(hwloc_bitmap_alloc());
  hwloc_bitmap_only(set.get(), os);
  if (hwloc_set_cpubind(handle_.get(), set.get(), HWLOC_CPUBIND_THREAD | HWLOC_CPUBIND_STRICT) != 0)
    throw std::runtime_error(
        fmt::format("pinning a thread to CPU {}: {}", os, std::strerror(errno)));
  exempt_from_numa_balancing();
  if (const std::optional<std::string> error = verify_cpu(os)) throw std::runtime_error(*error);
}

std::optional<std::string> verify_cpu(u32 os) {
  const int now = sched_getcpu();
  if (now >= 0 && static_cast<u32>(now) == os) return std::nullopt;
  return fmt::format("a thread pinned to CPU {} runs on CPU {}", os, now);
}

void Topology::bind_memory(void* memory, usize bytes, u32 node) const {
  refuse_foreign("binding memory");
  // Sandboxes forbid the call and small kernels lack it. With one node all memory is on it anyway.
  if (nodes_.size() == 1 && node == nodes_.front()) return;
  const Bitmap set(hwloc_bitmap_alloc());
  hwloc_bitmap_only(set.get(), node);
  constexpr int flags = HWLOC_MEMBIND_BYNODESET | HWLOC_MEMBIND_STRICT | HWLOC_MEMBIND_MIGRATE;
  if (hwloc_set_area_membind(handle_.get(), memory, bytes, set.get(), HWLOC_MEMBIND_BIND, flags) !=
      0)
    throw std::runtime_error(
        fmt::format("binding {} bytes to node {}: {}", bytes, node, std::strerror(errno)));
}

std::optional<std::string> Topology::verify_pages(const void* memory, usize bytes, u32 node) const {
  refuse_foreign("asking where pages are");
  return misplaced_pages(memory, bytes, node);
}

std::string describe(const Topology& topology, std::string_view placement, u32 threads) {
  std::string lines;
  const std::vector<u32> cpus = topology.place(placement, threads);
  for (u32 thread = 0; thread < threads; ++thread) {
    const Cpu& cpu = topology.cpu(cpus[thread]);
    lines += fmt::format("thread {} -> cpu {} (node {}, socket {}, core {})\n", thread, cpu.os,
                         cpu.node, cpu.socket, cpu.core);
  }
  return lines;
}

}  // namespace faultline
