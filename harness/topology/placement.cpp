#include "harness/topology/placement.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <stdexcept>
#include <tuple>

namespace faultline {
namespace {

using Cpus = std::vector<Cpu>;

std::vector<u32> numbers(const Cpus& cpus) {
  std::vector<u32> result;
  for (const Cpu& cpu : cpus) result.push_back(cpu.os);
  return result;
}

template <class Key>
std::vector<u32> sorted_by(Cpus cpus, Key key) {
  std::stable_sort(cpus.begin(), cpus.end(),
                   [&](const Cpu& a, const Cpu& b) { return key(a) < key(b); });
  return numbers(cpus);
}

std::vector<u32> compact(const Cpus& cpus) {
  return sorted_by(cpus, [](const Cpu& cpu) {
    return std::tuple(cpu.sibling, cpu.socket, cpu.node, cpu.cluster, cpu.core);
  });
}

std::vector<u32> per_node(const Cpus& cpus) {
  return sorted_by(cpus, [](const Cpu& cpu) {
    return std::tuple(cpu.node, cpu.sibling, cpu.cluster, cpu.core);
  });
}

std::vector<u32> smt_first(const Cpus& cpus) {
  return sorted_by(cpus, [](const Cpu& cpu) {
    return std::tuple(cpu.socket, cpu.node, cpu.cluster, cpu.core, cpu.sibling);
  });
}

// Groups the CPUs by the unit at this level, orders each group by the next level in the same way,
// and then takes one CPU from each group in turn.
Cpus interleave(const Cpus& cpus, const std::vector<u32 Cpu::*>& levels, usize level) {
  if (level == levels.size()) return cpus;
  std::vector<Cpus> groups;
  for (const Cpu& cpu : cpus) {
    const u32 group = cpu.*levels[level];
    auto found = std::find_if(groups.begin(), groups.end(),
                              [&](const Cpus& one) { return one.front().*levels[level] == group; });
    if (found == groups.end()) found = groups.insert(groups.end(), Cpus());
    found->push_back(cpu);
  }
  for (Cpus& group : groups) group = interleave(group, levels, level + 1);
  Cpus result;
  for (usize turn = 0; result.size() < cpus.size(); ++turn) {
    for (const Cpus& group : groups) {
      if (turn < group.size()) result.push_back(group[turn]);
    }
  }
  return result;
}

std::vector<u32> scatter(const Cpus& cpus) {
  static const std::vector<u32 Cpu::*> levels = {&Cpu::socket, &Cpu::node, &Cpu::cluster,
                                                 &Cpu::core};
  std::vector<u32> result;
  for (u32 sibling = 0; result.size() < cpus.size(); ++sibling) {
    Cpus rank;
    std::copy_if(cpus.begin(), cpus.end(), std::back_inserter(rank),
                 [&](const Cpu& cpu) { return cpu.sibling == sibling; });
    const std::vector<u32> dealt = numbers(interleave(rank, levels, 0));
    result.insert(result.end(), dealt.begin(), dealt.end());
  }
  return result;
}

struct Named {
  std::string name;
  std::function<std::vector<u32>(const Cpus&)> order;
};

const std::vector<Named>& named_placements() {
  static const std::vector<Named> list = {
      {"compact", compact}, {"scatter", scatter}, {"per-node", per_node}, {"smt-first", smt_first}};
  return list;
}

[[noreturn]] void bad_placement(std::string_view placement) {
  throw std::invalid_argument(
      fmt::format("placement '{}': expected {}, or a list of CPUs such as 0,2,4-7", placement,
                  fmt::join(placement_names(), ", ")));
}

u32 parse_cpu(std::string_view text, std::string_view placement) {
  u32 value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) bad_placement(placement);
  return value;
}

// Throws unless the machine has this CPU. parse_list calls it for both ends of a range before it
// expands the range, so that 0-4294967295 costs nothing.
void check_known(u32 cpu, std::string_view placement, const std::vector<u32>& known) {
  if (std::find(known.begin(), known.end(), cpu) != known.end()) return;
  throw std::invalid_argument(
      fmt::format("CPU {} in placement '{}': no such CPU on this machine, expected one of {}", cpu,
                  placement, cpu_list(known)));
}

std::vector<u32> parse_list(std::string_view placement, const std::vector<u32>& known) {
  std::vector<u32> result;
  for (std::string_view rest = placement;;) {
    const usize comma = rest.find(',');
    const std::string_view item = rest.substr(0, comma);
    const usize dash = item.find('-');
    const u32 first = parse_cpu(item.substr(0, dash), placement);
    const u32 last =
        dash == std::string_view::npos ? first : parse_cpu(item.substr(dash + 1), placement);
    if (last < first) bad_placement(placement);
    check_known(first, placement, known);
    check_known(last, placement, known);
    for (u32 cpu = first; cpu <= last; ++cpu) result.push_back(cpu);
    if (comma == std::string_view::npos) return result;
    rest.remove_prefix(comma + 1);
  }
}

std::vector<u32> explicit_list(std::string_view placement, const Cpus& cpus,
                               const std::vector<u32>& known) {
  const std::vector<u32> list = parse_list(placement, known);
  const std::vector<u32> allowed = numbers(cpus);
  for (usize i = 0; i < list.size(); ++i) {
    check_known(list[i], placement, known);
    if (std::find(allowed.begin(), allowed.end(), list[i]) == allowed.end())
      throw std::invalid_argument(
          fmt::format("CPU {} in placement '{}': not allowed to this process, expected one of {}",
                      list[i], placement, cpu_list(allowed)));
    if (std::find(list.begin(), list.begin() + static_cast<std::ptrdiff_t>(i), list[i]) !=
        list.begin() + static_cast<std::ptrdiff_t>(i))
      throw std::invalid_argument(fmt::format(
          "CPU {} in placement '{}': named twice, expected each CPU once", list[i], placement));
  }
  return list;
}

}  // namespace

std::string cpu_list(std::vector<u32> cpus) {
  std::sort(cpus.begin(), cpus.end());
  std::string text;
  for (usize first = 0, last = 0; first < cpus.size(); first = last + 1) {
    for (last = first; last + 1 < cpus.size() && cpus[last + 1] == cpus[last] + 1;) ++last;
    text += fmt::format("{}{}", text.empty() ? "" : ",", cpus[first]);
    if (last > first) text += fmt::format("-{}", cpus[last]);
  }
  return text;
}

const std::vector<std::string>& placement_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> result;
    for (const Named& one : named_placements()) result.push_back(one.name);
    return result;
  }();
  return names;
}

std::vector<u32> placement_order(std::string_view placement, const std::vector<Cpu>& cpus,
                                 const std::vector<u32>& known) {
  for (const Named& one : named_placements()) {
    if (one.name == placement) return one.order(cpus);
  }
  if (placement.empty() || placement.front() < '0' || placement.front() > '9')
    bad_placement(placement);
  return explicit_list(placement, cpus, known);
}

}  // namespace faultline
