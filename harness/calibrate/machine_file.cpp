#include "harness/calibrate/machine_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <stdexcept>

#include "harness/calibrate/costs.hpp"
#include "harness/calibrate/lines.hpp"

namespace faultline::calibrate {

using nlohmann::json;
using sim::Distance;
using sim::Kind;
using sim::Machine;
using sim::State;
using sim::Time;

namespace {

double to_ns(Time time) {
  return static_cast<double>(time) / sim::ps_per_ns;
}

// Rounds to three digits, which is finer than the spread of the samples.
double rounded(double value) {
  if (value == 0) return 0;
  const double unit = std::pow(10, std::floor(std::log10(value)) - 2);
  const double result = std::round(value / unit) * unit;
  return std::round(result * 1e6) / 1e6;
}

// The preset that is most like such a CPU. It supplies the constants that cannot be measured.
std::string preset_for(const std::string& cpu_model) {
  const auto names = [&](const char* maker) { return cpu_model.find(maker) != std::string::npos; };
  if (names("AMD") || names("Hygon")) return "epyc-7742x2";
  if (names("Intel")) return "xeon-6242x2";
#if defined(__aarch64__)
  return "graviton3";
#else
  return "ideal-64";
#endif
}

// A preset's value at `distance`. If the preset lacks that distance, the value at the greatest
// distance below it, or else at the least one.
template <class T>
T at_distance(const std::array<T, sim::distances>& times, Distance distance) {
  T value = 0;
  for (Distance d = 0; d < sim::distances; ++d)
    if (times[d] != 0 && (d <= distance || value == 0)) value = times[d];
  return value;
}

class Writer {
 public:
  Writer(const Findings& findings, const Shape& shape, const Provenance& provenance)
      : findings_(findings),
        shape_(shape),
        provenance_(provenance),
        preset_(Machine::load(preset_for(provenance.cpu_model))) {}

  json write(const std::string& shape_file) {
    file_["summary"] = fmt::format("{}, {} CPU(s), measured {}", provenance_.cpu_model,
                                   shape_.cpus.size(), provenance_.date);
    file_["calibrated"] = {{"host", provenance_.host}, {"cpu_model", provenance_.cpu_model}};
    write_shape(shape_file);
    write_caches();
    write_latencies();
    write_contention();
    write_cpu_and_kernel();
    write_shootdown_and_memory();
    file_["measured"] = findings_.json();
    return file_;
  }

 private:
  json& at(const std::string& key) {
    std::string path = "/" + key;
    std::replace(path.begin(), path.end(), '.', '/');
    return file_[json::json_pointer(path)];
  }
  // Writes a constant that was not measured, with the origin of its value.
  void put_taken(const std::string& key, const json& value, const std::string& origin) {
    at(key) = value;
    const usize dot = key.find('.');
    file_[key.substr(0, dot)]["origins"][key.substr(dot + 1)] = "not measured: " + origin;
  }
  void put_preset(const std::string& key, const json& value) {
    const std::string why = findings_.excuse_of(key);
    put_taken(key, value,
              fmt::format("{}taken from {}", why.empty() ? "" : why + "; ", preset_.name));
  }
  // Writes the median of the samples of that name; the preset's value if there are none.
  void put(const std::string& key, double preset) {
    if (findings_.has(key))
      at(key) = rounded(findings_.median(key));
    else
      put_preset(key, preset);
  }
  // Writes the median within the bounds that the machine file demands, and how it was measured.
  void put_within(const std::string& key, double preset, double low, double high,
                  const std::string& how) {
    if (!findings_.has(key)) return put_preset(key, preset);
    const auto [lower, middle, upper] = findings_.quartiles(key);
    at(key) = rounded(std::clamp(middle, low, high));
    const usize dot = key.find('.');
    file_[key.substr(0, dot)]["origins"][key.substr(dot + 1)] =
        fmt::format("measured {}: {}; {} samples, quartiles {:.3g} and {:.3g}{}", provenance_.date,
                    how, findings_.samples(key), lower, upper,
                    middle < low || middle > high
                        ? fmt::format("; the median, {:.3g}, is out of bounds", middle)
                        : "");
  }
  void put_by_distance(const std::string& key, const Machine::ByDistance& preset,
                       const std::set<Distance>& which) {
    for (const Distance d : which)
      put(key + "." + sim::distance_names[d], to_ns(at_distance(preset, d)));
  }
  // Writes how a group of constants was measured.
  void put_origin(const std::string& group, const std::string& how) {
    file_[group]["origin"] =
        fmt::format("measured {} on {}, {}: {}; median of {} samples", provenance_.date,
                    provenance_.cpu_model, provenance_.system, how, provenance_.samples);
  }

  std::set<Distance> between_cpus() const {
    std::set<Distance> which;
    for (u32 a = 0; a < shape_.cpus.size(); ++a)
      for (u32 b = 0; b < a; ++b) which.insert(shape_.between(a, b));
    if (which.empty()) which.insert(sim::same_cluster);  // the loader demands it even for one CPU
    return which;
  }
  std::set<Distance> to_nodes() const {
    std::set<Distance> which;
    for (const Machine::Place& place : shape_.geometry.places)
      for (u32 node = 0; node < shape_.geometry.nodes; ++node)
        which.insert(shape_.geometry.to_node(place, node));
    return which;
  }

  void write_shape(const std::string& shape_file);
  void write_caches();
  void write_latencies();
  void write_contention();
  void write_cpu_and_kernel();
  void write_sleeping();
  void write_shootdown_and_memory();
  std::string two_alone() const;
  void write_shootdown();
  std::string widest_spread(const std::string& prefix) const;

  const Findings& findings_;
  const Shape& shape_;
  const Provenance& provenance_;
  const Machine preset_;
  json file_;
};

void Writer::write_shape(const std::string& shape_file) {
  json& shape = file_["shape"];
  const u32 nodes = shape_.geometry.nodes;
  shape["hwloc"] = shape_.hwloc.empty() ? shape_file : shape_.hwloc;
  shape["origin"] = fmt::format("hwloc, {}: CPUs {} of {}", provenance_.date, cpu_list(shape_.cpus),
                                provenance_.cpu_model);
  if (nodes == 1) return;
  for (u32 a = 0; a < nodes; ++a) {
    const auto row = shape_.geometry.hops.begin() + a * nodes;
    shape["hops"].push_back(std::vector<u32>(row, row + nodes));
  }
  shape["origin"] = fmt::format("{}; hops {}", shape["origin"].get<std::string>(),
                                shape_.hops_known ? "ranked by the firmware's distances of nodes"
                                                  : "not measured: all taken as 1");
}

void Writer::write_caches() {
  put_taken("caches.protocol", preset_.protocol == sim::Protocol::moesi ? "moesi" : "mesi",
            "chosen by the CPU's vendor");
  put_preset("caches.prefetch_pairs", preset_.prefetch_pairs);
  if (provenance_.private_bytes != 0)
    put_taken("caches.private_lines", provenance_.private_bytes / line_bytes,
              "hwloc's size of a core's own cache");
  else
    put_preset("caches.private_lines", preset_.private_lines);
  if (provenance_.cluster_bytes != 0)
    put_taken("caches.cluster_mib", static_cast<double>(provenance_.cluster_bytes) / (1 << 20),
              "hwloc's size of the first CPU's last cache");
  else
    put_preset("caches.cluster_mib", preset_.cluster_pages * page_size / double{1 << 20});
  put_preset("caches.store_buffer", preset_.store_buffer);
  put_preset("caches.jitter", rounded(preset_.jitter / 1024.0));
  put_preset("caches.directory_transaction", to_ns(preset_.directory_transaction));
  for (usize kind = 0; kind < sim::kinds; ++kind)
    put(fmt::format("caches.hit.{}", sim::kind_names[kind]), to_ns(preset_.hit[kind]));
  put_origin("caches", "hits on lines that the CPU owns, stores without a fence" +
                           widest_spread("caches.hit"));
}

void Writer::write_latencies() {
  for (usize kind = 0; kind < sim::kinds; ++kind)
    for (usize state = 0; state < sim::states; ++state) {
      const bool memory = static_cast<State>(state) == State::invalid;
      const bool occurs =
          static_cast<State>(state) != State::owned || preset_.protocol == sim::Protocol::moesi;
      if (occurs)
        put_by_distance(
            fmt::format("latency.{}.{}", sim::kind_names[kind], sim::state_names[state]),
            preset_.latency[kind][state], memory ? to_nodes() : between_cpus());
    }
  put_origin("latency",
             "chains of dependent accesses to 128 lines in random order, at most four ordered "
             "pairs of CPUs a distance, with the lines on the node of either CPU; the CPU that "
             "stores or RMWs a shared line has a copy; from a fenced store, a fenced store's hit "
             "is subtracted, from all others a load's hit, which the model adds" +
                 widest_spread("latency"));
}

// How long an addition takes while two CPUs do nothing else.
std::string Writer::two_alone() const {
  std::string text;
  for (const Distance d : between_cpus()) {
    const std::string two = fmt::format("contended.{}.2", sim::distance_names[d]);
    if (findings_.has(two))
      text += fmt::format("; two CPUs alone ({}): {} ns an addition", sim::distance_names[d],
                          rounded(findings_.median(two)));
  }
  return text;
}

void Writer::write_contention() {
  for (const Distance d : between_cpus())
    put_within(
        fmt::format("contention.service.{}", sim::distance_names[d]),
        at_distance(preset_.service, d) / 1024.0, 0.01, 10,
        "the time of a change of owner at this distance, among as many cores as possible that "
        "add to one word, over the latency of a modified line");
  put_within("contention.nearest_share", preset_.nearest_share / 1024.0, 0, 1,
             "how often the word goes to a nearest core, beyond chance, while all cores add to it");
  put_within(
      "contention.residency", preset_.residency / 1024.0, 0, 1,
      "a core that adds all the time beside one that adds with gaps: from the clock before the "
      "latter's addition to the former's last addition before it, plus half of its period, over "
      "the latency; the clocks' order is known to some nanoseconds");
  put_within(
      "contention.queued_residency", preset_.queued_residency / 1024.0, 0, 1,
      "additions that a core makes in a row while as many cores as possible add to one word, "
      "less one, in hits of an RMW, over the latency");
  put_within("contention.cluster_copy", to_ns(preset_.cluster_copy), 0.1, 1e6,
             "one writer and readers on all other cores of the first cluster: the time between two "
             "values, less the first copy, over the further copies");
  put_within("contention.home_copy", to_ns(preset_.home_copy), 0.1, 1e6,
             "one writer and readers on all other cores: the time between two values, less the "
             "transfer back to the writer, over the clusters that got a copy");
  file_["contention"]["origin"] =
      fmt::format("fetch-and-adds, writes and reads whose values each core logs{}", two_alone());
}

void Writer::write_cpu_and_kernel() {
  put("cpu.pause", to_ns(preset_.pause));
  put("cpu.clock_read", to_ns(preset_.clock_read));
  put("cpu.rcu_read", to_ns(preset_.rcu_read));
  put_origin("cpu", "256 of them in a row" + widest_spread("cpu"));
  put("kernel.syscall", to_ns(preset_.syscall));
  put("kernel.rcu_grace", to_ns(preset_.rcu_grace));
  put_preset("kernel.page_fault", to_ns(preset_.page_fault));
  const auto work = [&](KernelWork which) {
    return to_ns(preset_.kernel_work[static_cast<usize>(which)]);
  };
  put_preset("kernel.fault_work", work(KernelWork::fault));
  put_preset("kernel.edit_work", work(KernelWork::edit));
  put_preset("kernel.jitter", rounded(preset_.kernel_jitter / 1024.0));
  write_sleeping();
}

// A handoff to a sleeper consists of the system call, the waking, the delivery of the wake-up to
// the other CPU, and that CPU's idle exit. After the shortest sleep the idle exit counts as 0.
void Writer::write_sleeping() {
  const std::string shortest = handoff_name(sleeps_ns.front());
  if (!findings_.has(shortest)) {
    put_preset("kernel.wake_one", to_ns(preset_.wake_one));
    put_preset("kernel.wake_latency", to_ns(preset_.wake_latency));
    json idle = json::array();
    for (const Machine::Idle& level : preset_.idle)
      idle.push_back({{"asleep", to_ns(level.asleep)}, {"exit", to_ns(level.exit)}});
    put_preset("kernel.idle", idle);
    put_origin("kernel", "a futex wake without a waiter, liburcu's grace period alone" +
                             widest_spread("kernel"));
    return;
  }
  constexpr double least = 1;
  const std::string sleep = shortest.substr(shortest.find('.'));
  const double syscall = findings_.median("kernel.syscall");
  const double waking = std::max(least, findings_.median("woken" + sleep) - syscall);
  const double handoff = findings_.median(shortest);
  at("kernel.wake_one") = rounded(waking);
  at("kernel.wake_latency") = rounded(std::max(least, handoff - syscall - waking));
  json idle = json::array({{{"asleep", 0}, {"exit", least}}});
  double before = handoff;
  for (const u64 asleep : sleeps_ns) {
    const double longer = findings_.median(handoff_name(asleep));
    constexpr double deeper = 1.2;  // a smaller increase does not show another idle state
    if (longer < deeper * before) continue;
    idle.push_back({{"asleep", asleep}, {"exit", rounded(longer - handoff)}});
    before = longer;
  }
  at("kernel.idle") = idle;
  put_origin("kernel",
             fmt::format("a futex wake without a waiter, liburcu's grace period alone, and "
                         "handoffs to a sleeper on another CPU after 20 us to 10 ms asleep; the "
                         "shortest handoff, {} ns, is the waker's call, {} ns, plus the delivery, "
                         "at least {} ns; the time that longer sleeps add is the idle exit",
                         rounded(handoff), rounded(findings_.median("woken" + sleep)), least) +
                 widest_spread("handoff"));
}

void Writer::write_shootdown() {
  constexpr double least = 0.001, most = 1e9;
  const std::string no_flush = ", by membarrier, whose interrupt flushes no TLB";
  put_preset("shootdown.base", to_ns(preset_.shootdown_base));
  put_within("shootdown.per_target", to_ns(preset_.shootdown_per_target), least, most,
             "the slope of a call's time over its targets, less the transfer of a line" + no_flush);
  put_within(
      "shootdown.handler", to_ns(preset_.shootdown_handler), least, most,
      "the time taken from a target that reads the clock, less the transfers of a call's lines" +
          no_flush + ", so a shootdown takes longer");
  put_within("shootdown.delivery", to_ns(preset_.shootdown_delivery), least, most,
             "the time of a call of several pairs of CPUs at once over their number" + no_flush);
  for (const Distance d : between_cpus())
    put_within(fmt::format("shootdown.interrupt.{}", sim::distance_names[d]),
               to_ns(at_distance(preset_.interrupt, d)), least, most,
               "from the call, less half a system call, to the interruption" + no_flush +
                   "; it includes the sender's own work on the call");
  file_["shootdown"]["origin"] =
      fmt::format("not measured: taken from {}, where it lacks a distance from the next lower one",
                  preset_.name);
}

void Writer::write_shootdown_and_memory() {
  write_shootdown();
  const auto gbps = [](Time page) { return page_size / to_ns(page); };
  put("memory.clear_hot_gbps", gbps(preset_.clear_page_hot));
  put("memory.clear_core_gbps", gbps(preset_.clear_page_core));
  put("memory.clear_node_gbps", gbps(preset_.clear_page_node));
  put_origin("memory",
             "the first CPU clears 4 MiB again and again (hot), and more memory than its caches "
             "hold; all CPUs of its node do the latter at once" +
                 widest_spread("memory"));
}

// The widest spread among the findings whose names begin with `prefix`, such as
// ", quartiles apart by up to 12 % (latency.load.shared.cluster)"; empty if there are none.
std::string Writer::widest_spread(const std::string& prefix) const {
  std::string widest;
  for (const std::string& name : findings_.names())
    if (name.starts_with(prefix) &&
        (widest.empty() || findings_.spread(name) > findings_.spread(widest)))
      widest = name;
  if (widest.empty()) return "";
  return fmt::format(", quartiles apart by up to {:.0f} % ({})", 100 * findings_.spread(widest),
                     widest);
}

}  // namespace

json machine_file(const Findings& findings, const Shape& shape, const Provenance& provenance,
                  const std::string& shape_file) {
  return Writer(findings, shape, provenance).write(shape_file);
}

}  // namespace faultline::calibrate
