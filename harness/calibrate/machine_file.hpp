// Makes a machine file from the findings. Constants that were not measured come from a preset, and
// their origins say so.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "harness/calibrate/findings.hpp"
#include "harness/calibrate/shape.hpp"

namespace faultline::calibrate {

// What the file says about its origin, beside the constants.
struct Provenance {
  std::string cpu_model;
  std::string system;       // "Linux 6.1, kvm"
  std::string date;         // "2026-11-24"
  u32 samples;              // of each quantity, on each pair of CPUs
  usize private_bytes = 0;  // size of a core's own cache; 0: unknown
  usize cluster_bytes = 0;  // size of the last cache of a cluster; 0: unknown
  std::string host = {};
};

// The machine file. "calibrated" names the host, so that the report can show native results of that
// host beside simulated ones. The origin of a group says how the group was measured, and its
// "origins" name the constants that were not. "measured", beside the groups, holds the number and
// the quartiles of all samples. `shape_file` is the name of the file for shape.xml; it is used only
// if shape.hwloc is empty.
nlohmann::json machine_file(const Findings& findings, const Shape& shape,
                            const Provenance& provenance, const std::string& shape_file);

}  // namespace faultline::calibrate
