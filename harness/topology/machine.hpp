// What /proc and /sys say about the machine, as text. Every function reads the files below `root`,
// so that tests can give it another machine's /proc and /sys.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "harness/topology/topology.hpp"

namespace faultline {

// A value, or the reason why there is none.
struct Known {
  std::optional<std::string> value;
  std::string why_not;

  std::string text() const { return value ? *value : "absent: " + why_not; }
};

Known governor(const std::string& root = "/");  // "performance"; commas separate different ones
Known turbo(const std::string& root = "/");     // "on" or "off"
Known smt(const std::string& root = "/");       // "on" or "off"
Known perf_event_paranoid(const std::string& root = "/");
Known numa_balancing(const std::string& root = "/");          // "on" or "off"
Known transparent_huge_pages(const std::string& root = "/");  // "always", "madvise", "never"
Known clock_source(const std::string& root = "/");
Known virtualisation(const std::string& root = "/");  // "none", "kvm", "xen", ...
Known kernel_release(const std::string& root = "/");

// The first line of a file under `root`, without trailing spaces; nothing if it cannot be read.
std::optional<std::string> first_line(const std::string& root, const std::string& path);

// The result file's "machine". A value that is not known is "absent: " and the reason.
nlohmann::json machine_json(const Topology& topology, const std::string& root = "/");

}  // namespace faultline
