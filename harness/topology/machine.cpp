#include "harness/topology/machine.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <vector>

namespace faultline {
namespace {

namespace fs = std::filesystem;

const std::string devices = "sys/devices/system/";

Known line_or(const std::string& root, const std::string& path, const std::string& why_not) {
  return {first_line(root, path), why_not};
}

Known on_or_off(const std::optional<std::string>& line, const std::string& on,
                const std::string& why_not) {
  if (!line) return {std::nullopt, why_not};
  return {*line == on ? "on" : "off", ""};
}

// The value of the first line "key : value" of /proc/cpuinfo; nothing if there is none.
std::optional<std::string> cpuinfo(const std::string& root, const std::string& key) {
  std::ifstream file(fs::path(root) / "proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const usize colon = line.find(':');
    if (!line.starts_with(key) || colon == std::string::npos) continue;
    const usize start = line.find_first_not_of(" \t", colon + 1);
    return start == std::string::npos ? "" : line.substr(start);
  }
  return std::nullopt;
}

// The hypervisor's signature from CPUID; "" on machines that are not x86.
std::string hypervisor_signature() {
#if defined(__x86_64__)
  constexpr unsigned hypervisor_leaf = 0x40000000;
  unsigned eax = 0;
  std::array<unsigned, 3> words{};
  __cpuid(hypervisor_leaf, eax, words[0], words[1], words[2]);
  std::array<char, sizeof(words) + 1> signature{};
  std::memcpy(signature.data(), words.data(), sizeof(words));
  return signature.data();
#else
  return "";
#endif
}

std::string hypervisor_name(const std::string& signature) {
  static const std::array<std::array<const char*, 2>, 6> names = {{{"KVMKVMKVM", "kvm"},
                                                                   {"Microsoft Hv", "hyper-v"},
                                                                   {"VMwareVMware", "vmware"},
                                                                   {"XenVMMXenVMM", "xen"},
                                                                   {"TCGTCGTCGTCG", "qemu"},
                                                                   {"bhyve bhyve ", "bhyve"}}};
  for (const auto& [announced, name] : names) {
    if (signature == announced) return name;
  }
  return "unnamed hypervisor";
}

}  // namespace

std::optional<std::string> first_line(const std::string& root, const std::string& path) {
  std::ifstream file(fs::path(root) / path);
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  line.erase(line.find_last_not_of(" \t\n") + 1);
  return line;
}

Known governor(const std::string& root) {
  std::set<std::string> governors;
  std::error_code missing;
  for (const auto& entry :
       fs::directory_iterator(fs::path(root) / devices / "cpu/cpufreq", missing)) {
    if (const auto one = first_line(entry.path(), "scaling_governor")) governors.insert(*one);
  }
  if (governors.empty())
    return {std::nullopt, "no cpufreq driver; firmware or hypervisor sets the frequency"};
  return {fmt::format("{}", fmt::join(governors, ",")), ""};
}

Known turbo(const std::string& root) {
  if (const auto no_turbo = first_line(root, devices + "cpu/intel_pstate/no_turbo"))
    return on_or_off(no_turbo, "0", "");
  return on_or_off(first_line(root, devices + "cpu/cpufreq/boost"), "1", "no driver reports turbo");
}

Known smt(const std::string& root) {
  return on_or_off(first_line(root, devices + "cpu/smt/active"), "1",
                   "this kernel does not report SMT");
}

Known perf_event_paranoid(const std::string& root) {
  return line_or(root, "proc/sys/kernel/perf_event_paranoid", "this kernel has no perf events");
}

Known numa_balancing(const std::string& root) {
  const auto line = first_line(root, "proc/sys/kernel/numa_balancing");
  if (!line) return {std::nullopt, "this kernel has no NUMA balancing"};
  return {*line == "0" ? "off" : "on", ""};
}

Known transparent_huge_pages(const std::string& root) {
  const auto line = first_line(root, "sys/kernel/mm/transparent_hugepage/enabled");
  const usize open = line ? line->find('[') : std::string::npos;
  const usize close = line ? line->find(']') : std::string::npos;
  if (open == std::string::npos || close == std::string::npos || close < open)
    return {std::nullopt, "this kernel has no transparent huge pages"};
  return {line->substr(open + 1, close - open - 1), ""};
}

Known clock_source(const std::string& root) {
  return line_or(root, devices + "clocksource/clocksource0/current_clocksource",
                 "this kernel does not report its clock source");
}

Known virtualisation(const std::string& root) {
  if (const auto type = first_line(root, "sys/hypervisor/type")) return {type, ""};
  const auto flags = cpuinfo(root, "flags");
  if (!flags) return {std::nullopt, "/proc/cpuinfo has no CPU flags that would show a hypervisor"};
  if ((" " + *flags + " ").find(" hypervisor ") == std::string::npos) return {"none", ""};
  // CPUID describes this machine, so it does not apply when `root` holds another machine's files.
  return {hypervisor_name(root == "/" ? hypervisor_signature() : ""), ""};
}

Known kernel_release(const std::string& root) {
  return line_or(root, "proc/sys/kernel/osrelease", "/proc does not give it");
}

nlohmann::json machine_json(const Topology& topology, const std::string& root) {
  const Known host = line_or(root, "proc/sys/kernel/hostname", "/proc does not give it");
  std::optional<std::string> model = topology.cpu_model();
  if (!model) model = cpuinfo(root, "model name");
  const Known cpu_model = {model, "neither hwloc nor /proc/cpuinfo names the CPU"};
  nlohmann::json machine = {{"host", host.text()},
                            {"cpu_model", cpu_model.text()},
                            {"kernel", "Linux " + kernel_release(root).text()},
                            {"cpus", topology.cpus().size()},
                            {"nodes", topology.nodes().size()},
                            {"sockets", topology.sockets()},
                            {"smt", smt(root).text()},
                            {"governor", governor(root).text()},
                            {"turbo", turbo(root).text()},
                            {"numa_balancing", numa_balancing(root).text()},
                            {"thp", transparent_huge_pages(root).text()},
                            {"clock_source", clock_source(root).text()},
                            {"virtual", virtualisation(root).text()},
                            {"hwloc_xml", topology.xml()}};
  const Known paranoid = perf_event_paranoid(root);
  machine["perf_event_paranoid"] = paranoid.text();
  int level = 0;
  const std::string text = paranoid.value.value_or("");
  if (std::from_chars(text.data(), text.data() + text.size(), level).ec == std::errc())
    machine["perf_event_paranoid"] = level;
  return machine;
}

}  // namespace faultline
