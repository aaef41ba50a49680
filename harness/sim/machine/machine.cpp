#include "harness/sim/machine/machine.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>

#include "harness/sim/machine/machine_field.hpp"
#include "results/data_files.hpp"

namespace faultline::sim {
namespace {

using nlohmann::json;

std::filesystem::path preset_folder() {
  return data_file("machines");
}

// Splits "ideal-256" into the number and the preset "ideal". "ideal-N", the preset's name in lists,
// has no number.
std::string split_number(const std::string& name, std::string& number) {
  if (!name.starts_with("ideal-")) return name;
  number = name.substr(6);
  if (number == "N") number.clear();
  const bool digits = number.find_first_not_of("0123456789") == std::string::npos;
  if (!digits || number.size() > 4 || (!number.empty() && std::stoul(number) - 1 >= max_cpus))
    throw std::invalid_argument(
        fmt::format("machine '{}': expected ideal-N with N from 1 to {}", name, max_cpus));
  return "ideal";
}

json read_file(const std::filesystem::path& path) {
  std::ifstream in(path);
  if (!in || std::filesystem::is_directory(path))
    throw std::invalid_argument(
        fmt::format("{}: cannot be read, expected a machine's JSON file", path.string()));
  try {
    return json::parse(in);
  } catch (const json::parse_error& error) {
    throw std::invalid_argument(
        fmt::format("{}: byte {}: expected JSON", path.string(), error.byte));
  } catch (const json::out_of_range&) {
    throw std::invalid_argument(fmt::format(
        "{}: a number that is out of range, expected numbers of at most 1e308", path.string()));
  }
}

class Reader {
 public:
  Reader(Machine& machine, const Field& root) : machine_(machine), root_(root) {}

  void read(const std::string& cpus) {
    machine_.summary = root_.at("summary").text();
    read_shape(cpus);
    read_hops();
    find_distances();
    read_caches();
    read_latencies();
    read_contention();
    read_kernel();
    read_calibrated();
    // The quartiles of `faultline calibrate`; the model does not read them.
    root_.known("measured");
    root_.refuse_unknown({"measured"});
  }

 private:
  // A group of constants, with its origin.
  Field group(const std::string& name) {
    const Field field = root_.at(name);
    if (!field.value().is_object()) field.refuse("an object of constants");
    const std::string origin = field.at("origin").text();
    const Field origins = field.at("origins");
    if (!origins.value().is_null() && !origins.value().is_object())
      origins.refuse("an object of texts");
    add_constants(name, field.value(), origin);
    for (const auto& [key, unused] : origins.value().items())
      set_origin(name + "." + key, origins.at(key));
    return field;
  }
  void add_constants(const std::string& key, const json& value, const std::string& origin) {
    for (const auto& [name, inner] : value.items()) {
      if (name == "origin" || name == "origins") continue;
      if (inner.is_object())
        add_constants(key + "." + name, inner, origin);
      else
        machine_.constants.push_back({key + "." + name, inner.dump(), origin});
    }
  }

  // The origin of a single constant, where it differs from its group's.
  void set_origin(const std::string& key, const Field& origin) {
    const auto found =
        std::find_if(machine_.constants.begin(), machine_.constants.end(),
                     [&](const Machine::Constant& constant) { return constant.key == key; });
    if (found == machine_.constants.end()) origin.refuse("the name of a constant in its group");
    found->origin = origin.text();
  }

  void read_shape(const std::string& cpus) {
    const Field shape = root_.at("shape");
    shape.at("origin").text();
    std::string text = shape.at("hwloc").text();
    if (const usize hole = text.find("{cpus}"); hole != std::string::npos)
      text.replace(hole, 6, cpus.empty() ? "64" : cpus);
    if (text.ends_with(".xml"))
      text = (std::filesystem::path(machine_.file).parent_path() / text).string();
    machine_.shape = text;
    try {
      place_cpus(machine_.topology());
    } catch (const std::invalid_argument&) {
      shape.at("hwloc").refuse(fmt::format(
          "hwloc's synthetic text or XML file of 1 to {} CPUs, numbered from 0", max_cpus));
    }
  }

  void place_cpus(const Topology& topology) {
    const std::vector<u32>& nodes = topology.nodes();
    machine_.nodes = static_cast<u32>(nodes.size());
    const usize count = topology.cpus().size();
    if (count > max_cpus || nodes.size() > 64) throw std::invalid_argument("too many");
    machine_.places.resize(count);
    for (const Cpu& cpu : topology.cpus()) {
      if (cpu.os >= count || cpu.cluster >= max_cpus) throw std::invalid_argument("numbers");
      machine_.clusters = std::max(machine_.clusters, cpu.cluster + 1);
      const auto node = std::find(nodes.begin(), nodes.end(), cpu.node) - nodes.begin();
      machine_.places[cpu.os] = {static_cast<u16>(cpu.core), static_cast<u16>(cpu.cluster),
                                 static_cast<u16>(node)};
    }
  }

  // The hops between nodes. They are 1 wherever the file has no matrix.
  void read_hops() {
    const u32 nodes = machine_.nodes;
    machine_.hops.assign(usize{nodes} * nodes, 1);
    for (u32 node = 0; node < nodes; ++node) machine_.hops[node * nodes + node] = 0;
    const Field matrix = root_.at("shape").at("hops");
    if (!root_.at("shape").has("hops")) return;
    matrix.list(nodes, fmt::format("{} rows, one a memory node", nodes));
    for (u32 a = 0; a < nodes; ++a) {
      matrix.element(a).list(nodes, fmt::format("{} numbers, one a memory node", nodes));
      for (u32 b = 0; b < nodes; ++b) read_hop(matrix, a, b);
    }
  }
  void read_hop(const Field& matrix, u32 a, u32 b) {
    const Field hop = matrix.element(a).element(b);
    if (a == b) {
      if (hop.value() != 0) hop.refuse("0 hops from a node to itself");
      return;
    }
    constexpr u32 most = distances - one_hop;
    const u32 hops = hop.count(most);
    if (a > b && hops != machine_.hops[b * machine_.nodes + a])
      hop.refuse(
          fmt::format("{} hops, as the way back has", machine_.hops[b * machine_.nodes + a]));
    machine_.hops[a * machine_.nodes + b] = static_cast<u8>(hops);
  }

  // Finds the distances that occur on this machine. Each of them needs a latency.
  void find_distances() {
    for (const Machine::Place& a : machine_.places) {
      for (u32 node = 0; node < machine_.nodes; ++node)
        to_memory_.insert(machine_.to_node(a, node));
      for (const Machine::Place& b : machine_.places)
        if (&a != &b) to_cpu_.insert(machine_.between(a, b));
    }
    if (to_cpu_.empty()) to_cpu_.insert(same_cluster);  // one CPU
  }

  void read_by_distance(const Field& field, const std::set<Distance>& which,
                        Machine::ByDistance& times) {
    know_distances(field);
    for (const Distance d : which) times[d] = field.at(distance_names[d]).time();
  }
  // A file may have values for distances that do not occur in its shape.
  static void know_distances(const Field& field) {
    for (const char* name : distance_names) field.known(name);
  }

  void read_caches() {
    const Field caches = group("caches");
    const std::string protocol = caches.at("protocol").text();
    if (protocol != "mesi" && protocol != "moesi") caches.at("protocol").refuse("mesi or moesi");
    machine_.protocol = protocol == "mesi" ? Protocol::mesi : Protocol::moesi;
    machine_.prefetch_pairs = caches.at("prefetch_pairs").flag();
    machine_.cluster_pages = static_cast<u32>(
        caches.at("cluster_mib").number(0.01, 1e6, "MiB from 0.01 on") * (1 << 20) / page_size);
    machine_.private_lines = caches.at("private_lines").count(1U << 30);
    machine_.store_buffer = caches.at("store_buffer").count(256);
    machine_.jitter = static_cast<u32>(caches.at("jitter").share() * 1024);
    machine_.directory_transaction = caches.at("directory_transaction").time();
    for (usize kind = 0; kind < kinds; ++kind)
      machine_.hit[kind] = caches.at("hit").at(kind_names[kind]).time();
  }

  void read_latencies() {
    const Field latency = group("latency");
    for (usize kind = 0; kind < kinds; ++kind)
      for (usize state = 0; state < states; ++state) {
        latency.at(kind_names[kind]).known(state_names[state]);
        know_distances(latency.at(kind_names[kind]).at(state_names[state]));
        const bool occurs =
            static_cast<State>(state) != State::owned || machine_.protocol == Protocol::moesi;
        if (!occurs) continue;
        const bool memory = static_cast<State>(state) == State::invalid;
        read_by_distance(latency.at(kind_names[kind]).at(state_names[state]),
                         memory ? to_memory_ : to_cpu_, machine_.latency[kind][state]);
      }
    complete_shared();
  }
  // A clean copy can come from the node's own cache even where no two CPUs are at that distance.
  // The latency of the other distance within the node then replaces the missing one.
  void complete_shared() {
    for (auto& by_state : machine_.latency)
      for (Machine::ByDistance& times : by_state)
        for (Distance d = same_cluster; d <= same_node; ++d)
          if (times[d] == 0) times[d] = times[d == same_node ? same_cluster : same_node];
  }

  void read_contention() {
    const Field contention = group("contention");
    const Field service = contention.at("service");
    know_distances(service);
    for (const Distance d : to_cpu_)
      machine_.service[d] = static_cast<u32>(
          service.at(distance_names[d]).number(0.01, 10, "a factor from 0.01 to 10") * 1024 + 0.5);
    // The home node may be at a distance at which there is no other CPU.
    for (u32& share : machine_.service)
      if (share == 0) share = machine_.service[*to_cpu_.rbegin()];
    machine_.nearest_share = static_cast<u32>(contention.at("nearest_share").share() * 1024);
    machine_.residency = static_cast<u32>(contention.at("residency").share() * 1024);
    machine_.queued_residency = static_cast<u32>(contention.at("queued_residency").share() * 1024);
    machine_.cluster_copy = contention.at("cluster_copy").time();
    machine_.home_copy = contention.at("home_copy").time();
  }

  // 0 where the file leaves the member out.
  static Time time_or_none(const Field& group, const std::string& name) {
    const Field time = group.at(name);
    return time.value().is_null() ? 0 : time.time();
  }

  void read_kernel() {
    const Field cpu = group("cpu");
    machine_.pause = cpu.at("pause").time();
    machine_.clock_read = cpu.at("clock_read").time();
    if (const Field alone = cpu.at("core_alone"); !alone.value().is_null())
      machine_.core_alone = static_cast<u32>(alone.share() * 1024);
    machine_.rcu_read = cpu.at("rcu_read").time();
    const Field kernel = group("kernel");
    machine_.rcu_grace = kernel.at("rcu_grace").time();
    machine_.syscall = kernel.at("syscall").time();
    machine_.page_fault = kernel.at("page_fault").time();
    const auto work_of = [&](KernelWork which) -> Time& {
      return machine_.kernel_work[static_cast<usize>(which)];
    };
    work_of(KernelWork::fault) = kernel.at("fault_work").time();
    work_of(KernelWork::edit) = kernel.at("edit_work").time();
    machine_.kernel_jitter = static_cast<u32>(kernel.at("jitter").share() * 1024);
    machine_.wake_one = kernel.at("wake_one").time();
    machine_.wake_latency = kernel.at("wake_latency").time();
    read_idle(kernel.at("idle"));
    const Field shootdown = group("shootdown");
    if (const Field whose = shootdown.at("kernel"); !whose.value().is_null()) {
      if (whose.text() != "linux" && whose.text() != "sv6") whose.refuse("linux or sv6");
      machine_.sv6_calls = whose.text() == "sv6";
    }
    machine_.shootdown_base = shootdown.at("base").time();
    machine_.shootdown_per_target = shootdown.at("per_target").time();
    machine_.shootdown_send = time_or_none(shootdown, "send");
    machine_.shootdown_handler = shootdown.at("handler").time();
    machine_.shootdown_call = time_or_none(shootdown, "call");
    machine_.shootdown_delivery = shootdown.at("delivery").time();
    read_by_distance(shootdown.at("interrupt"), to_cpu_, machine_.interrupt);
    const Field memory = group("memory");
    const std::string bandwidth = "GB/s above 0";
    const double core = memory.at("clear_core_gbps").number(1e-3, 1e6, bandwidth);
    const double hot = memory.at("clear_hot_gbps").number(1e-3, 1e6, bandwidth);
    const double node = memory.at("clear_node_gbps").number(1e-3, 1e6, bandwidth);
    machine_.clear_page_hot = static_cast<Time>(page_size / hot * ps_per_ns);
    machine_.clear_page_core = static_cast<Time>(page_size / core * ps_per_ns);
    machine_.clear_page_node = static_cast<Time>(page_size / node * ps_per_ns);
  }
  void read_idle(const Field& idle) {
    const usize levels = idle.value().size();
    idle.list(levels, "a list of idle states");
    for (usize i = 0; i < levels; ++i) {
      const Field level = idle.element(i);
      const Time asleep =
          static_cast<Time>(level.at("asleep").number(0, 1e9, "nanoseconds from 0 on") * ps_per_ns);
      if (i == 0 ? asleep != 0 : asleep <= machine_.idle.back().asleep)
        level.at("asleep").refuse(i == 0 ? "0 for the first" : "more than the one before");
      machine_.idle.push_back({asleep, level.at("exit").time()});
    }
    if (levels == 0) idle.refuse("at least one idle state");
  }

  void read_calibrated() {
    const Field calibrated = root_.at("calibrated");
    calibrated.known("host");
    calibrated.known("cpu_model");
    if (!root_.has("calibrated")) return;
    machine_.calibrated = {calibrated.at("host").text(), calibrated.at("cpu_model").text()};
  }

  Machine& machine_;
  const Field& root_;
  std::set<Distance> to_cpu_, to_memory_;
};

}  // namespace

Machine Machine::load(const std::string& name) {
  std::string number;
  const bool path = name.ends_with(".json");
  const std::filesystem::path file =
      path ? std::filesystem::path(name) : preset_folder() / (split_number(name, number) + ".json");
  if (!path && (name.find('/') != std::string::npos || !std::filesystem::exists(file)))
    throw std::invalid_argument(
        fmt::format("machine '{}': expected {}, or a file that ends in .json", name,
                    fmt::join(presets(), ", ")));
  Machine machine;
  machine.name = path ? file.stem().string() : name;
  machine.file = path ? name : file.filename().string();
  const json text = read_file(file);
  const Field root(text, machine.file);
  Reader(machine, root).read(number);
  return machine;
}

std::vector<std::string> Machine::presets() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(preset_folder())) {
    const std::string stem = entry.path().stem().string();
    if (entry.path().extension() == ".json") names.push_back(stem == "ideal" ? "ideal-N" : stem);
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::set<std::string> Machine::keys() {
  Machine machine;
  machine.file = "ideal.json";
  const json text = read_file(preset_folder() / machine.file);
  const Field root(text, machine.file);
  Reader(machine, root).read("");
  return root.known_keys();
}

}  // namespace faultline::sim
