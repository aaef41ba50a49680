// From what was measured to a machine file: what was not is taken from a preset, and says so.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "harness/calibrate/findings.hpp"
#include "harness/calibrate/shape.hpp"

namespace faultline::calibrate {

// What the file says of itself, beside the constants.
struct Provenance {
  std::string cpu_model;
  std::string system;       // "Linux 6.1, kvm"
  std::string date;         // "2026-11-24"
  u32 samples;              // of each quantity, on each pair
  usize private_bytes = 0;  // of a core's own cache; 0: unknown
  std::string host = {};
};

// The machine file. "calibrated" tells the host, so that its own measurements can be held against
// what is simulated. Its groups' origins tell how the group was measured; "origins" in a group name
// those constants that were not. "measured" beside the groups has number and quartiles of all
// samples. `shape_file` is what shape.xml is called, if there is one.
nlohmann::json machine_file(const Findings& findings, const Shape& shape,
                            const Provenance& provenance, const std::string& shape_file);

}  // namespace faultline::calibrate
