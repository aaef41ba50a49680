// `faultline torture`: runs every name in a process of its own, so that a lock that hangs or
// crashes is reported by its name and the other names still run.
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
  double duration_s = 10;  // time for each name
  u32 threads = 0;         // 0: four more than there are CPUs
  u64 seed = 1;
  double patience_s = 30;  // how long the threads may take to come back after the order to stop
  double set_up_s = 60;    // time limit for the process's set-up, which touches all its memory
};

// What the parent writes to the standard input of one name's process. The process answers with a
// record on its standard output: an object with name, threads, operations, signals, migrations,
// threads_made, failure ("" for none).
struct Spec {
  std::string name;
  Options options;
};
void to_json(nlohmann::json& json, const Spec& spec);
void from_json(const nlohmann::json& json, Spec& spec);

// In the child: tortures `entry` and prints the record on standard output. If threads hang or
// crash, it does not return but ends the process with status 0.
void torture_here(const VictimEntry& entry, const Options& options);
// In the child: torture_here with the spec that it reads from `in`. Throws std::invalid_argument if
// `in` holds no spec with a known name.
void torture_by_spec(std::istream& in);

// In the parent: runs each name with `command`, which calls torture_by_spec on its standard input,
// and prints the results to `table`. Returns 0; 1 when any name failed; 128 + n when signal n ended
// the run, which skips the names that are left.
int torture_all(const std::vector<std::string>& names, const Options& options,
                const std::vector<std::string>& command, std::ostream& table);

}  // namespace faultline::torture
