#include "harness/calibrate/calibrate.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <stdexcept>

#include "harness/calibrate/checks.hpp"
#include "harness/calibrate/contention.hpp"
#include "harness/calibrate/costs.hpp"
#include "harness/calibrate/machine_file.hpp"
#include "harness/calibrate/shootdowns.hpp"
#include "harness/sim/machine/machine.hpp"
#include "harness/topology/machine.hpp"
#include "harness/trial/measurement.hpp"
#include "results/files.hpp"

namespace faultline::calibrate {

namespace {

namespace fs = std::filesystem;

std::vector<u32> chosen_cpus(const Topology& topology, const std::string& list) {
  if (!list.empty() && list.find_first_not_of("0123456789,-") != std::string::npos)
    throw std::invalid_argument(
        fmt::format("--cpus '{}': expected CPU numbers such as 0,2-3", list));
  const std::string placement = list.empty() ? "compact" : list;
  return topology.place(placement, topology.thread_counts(placement).back());
}

Findings measure(const Topology& topology, const Shape& shape, const Effort& effort,
                 usize private_bytes) {
  Findings findings;
  const auto tell = [](const char* step) { std::cerr << "calibrate: " << step << '\n'; };
  tell("hits, clock, RCU, system call");
  measure_hits(topology, shape, effort, findings);
  measure_cpu(topology, shape, effort, findings);
  tell("lines from memory");
  measure_memory(topology, shape, effort, findings);
  tell("lines from other CPUs");
  measure_transfers(topology, shape, effort, private_bytes, findings);
  tell("contended lines");
  measure_contention(topology, shape, effort, findings);
  measure_residency(topology, shape, effort, findings);
  measure_copies(topology, shape, effort, findings);
  tell("waking");
  measure_waking(topology, shape, effort, findings);
  tell("interrupts");
  measure_shootdowns(topology, shape, effort, findings);
  tell("clearing pages");
  measure_clearing(topology, shape, effort, findings);
  tell("checks");
  measure_checks(shape, effort, findings);
  return findings;
}

// The load average of the last minute, for the file's provenance: other programs slow the measured
// threads down.
std::string load_average() {
  double load = 0;
  return getloadavg(&load, 1) == 1 ? fmt::format("{:.2f}", load) : "unknown";
}

Provenance provenance_of(const Topology& topology, const Effort& effort,
                         const std::string& disturbed) {
  const nlohmann::json machine = machine_json(topology);
  return {machine["cpu_model"].get<std::string>(),
          fmt::format("{}, virtual: {}, load {} before{}", machine["kernel"].get<std::string>(),
                      machine["virtual"].get<std::string>(), load_average(),
                      disturbed.empty() ? "" : ", disturbed by " + disturbed),
          utc_now().substr(0, 10),  // the date
          effort.samples,
          topology.private_cache_bytes(),
          topology.last_cache_bytes(),
          machine["host"].get<std::string>()};
}

// Prints how many constants of the file were measured and how many were not.
void summarise(const std::string& out) {
  const sim::Machine machine = sim::Machine::load(out);
  usize measured = 0, taken = 0;
  for (const sim::Machine::Constant& constant : machine.constants)
    ++(constant.origin.starts_with("not measured") ? taken : measured);
  std::cout << fmt::format("{}: {}\n  {} constants measured, {} not; their origins say so\n", out,
                           machine.summary, measured, taken);
}

}  // namespace

std::string what_disturbs(const std::vector<Finding>& findings) {
  std::string text;
  for (const Finding& finding : findings)
    if ((finding.name == "steal time" || finding.name == "other load") &&
        finding.verdict == Verdict::warn)
      text += fmt::format("{}{}: {}", text.empty() ? "" : "; ", finding.name, finding.value);
  return text;
}

void calibrate(const Request& request) {
  if (!request.out.ends_with(".json"))
    throw std::invalid_argument(
        fmt::format("calibrate: -o '{}': expected a name that ends in .json", request.out));
  require_writable(request.out);
  const Topology topology = Topology::here();
  const Shape shape = make_shape(topology, chosen_cpus(topology, request.cpus));
  const std::string disturbed = what_disturbs(diagnose());
  if (!disturbed.empty())
    std::cerr << fmt::format("calibrate: warning: {}: the measured times may be too long\n",
                             disturbed);
  const Provenance provenance = provenance_of(topology, request.effort, disturbed);
  const Findings findings = measure(topology, shape, request.effort, provenance.private_bytes);
  if (shape.cpus.size() == 1)
    std::cerr
        << "calibrate: one CPU: no transfer between CPUs and no wake-up can be measured here\n";
  const fs::path xml = fs::path(request.out).replace_extension(".xml");
  if (shape.hwloc.empty()) write_atomically(xml, shape.xml);
  write_atomically(request.out,
                   machine_file(findings, shape, provenance, xml.filename()).dump(2) + '\n');
  summarise(request.out);
  std::cout << compare_checks(shape, findings, request.out);
}

}  // namespace faultline::calibrate
