// `faultline torture`: every name in a process of its own, so that a lock that hangs or crashes is
// told by its name and the others go on.
#pragma once

#include <istream>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <vector>

#include "harness/torture/victims.hpp"
#include "results/process.hpp"

namespace faultline::torture {

struct Options {
  double duration_s = 10;  // of each name
  u32 threads = 0;         // 0: four more than there are CPUs
  u64 seed = 1;
  double patience_s = 30;  // how long threads that were told to stop may take to come back
  double set_up_s = 60;    // how long a process may take beyond that: memory is touched
};

// What one name's process is told, and tells: an object with name, threads, operations, signals,
// migrations, threads_made, failure ("" for none).
struct Spec {
  std::string name;
  Options options;
};
void to_json(nlohmann::json& json, const Spec& spec);
void from_json(const nlohmann::json& json, Spec& spec);

// In the process: tortures `entry` and prints the record on standard output. Where threads hang or
// have crashed it does not return, but ends the process with status 0.
void torture_here(const VictimEntry& entry, const Options& options);
// The same, as the spec on `in` says; throws std::invalid_argument where there is none.
void torture_by_spec(std::istream& in);

// In the parent: each name by `command`, which runs torture_by_spec on its standard input.
// The table goes to `table`. 0; 1 when any failed; 128 + n when signal n ended it, which leaves the
// others out.
int torture_all(const std::vector<std::string>& names, const Options& options,
                const std::vector<std::string>& command, std::ostream& table);

}  // namespace faultline::torture
