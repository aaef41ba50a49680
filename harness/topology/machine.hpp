// What the system says about the machine, as text. `root` stands for "/" everywhere, so that tests
// can show another machine's /proc and /sys.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "harness/topology/topology.hpp"

namespace faultline {

// A value, or why there is none.
struct Known {
  std::optional<std::string> value;
  std::string why_not;

  std::string text() const { return value ? *value : "absent: " + why_not; }
};

Known governor(const std::string& root = "/");  // "performance"; several with commas
Known turbo(const std::string& root = "/");     // "on" or "off"
Known smt(const std::string& root = "/");       // "on" or "off"
Known perf_event_paranoid(const std::string& root = "/");
Known numa_balancing(const std::string& root = "/");          // "on" or "off"
Known transparent_huge_pages(const std::string& root = "/");  // "always", "madvise", "never"
Known clock_source(const std::string& root = "/");
Known virtualisation(const std::string& root = "/");  // "none", "kvm", "xen", ...
Known kernel_release(const std::string& root = "/");

// The first line of a file under `root`, without the spaces at its end.
std::optional<std::string> first_line(const std::string& root, const std::string& path);

// The result file's "machine". Numbers that are not known are left out, other values say why.
nlohmann::json machine_json(const Topology& topology, const std::string& root = "/");

}  // namespace faultline
