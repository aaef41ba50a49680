// The texts of the command line that select cases; they name suites of the program, never suite
// files. Each is one line: workloads, schemes, placements, thread counts, duration, budget, roles.
#include <sstream>

#include "harness/cli/run_arguments.hpp"
#include "harness/native/registry.hpp"
#include "harness/trial/roles.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace {

using namespace faultline;

RunArguments arguments_of(const std::string& text) {
  RunArguments arguments;
  std::istringstream lines(text);
  std::string workloads, schemes, placements;
  std::getline(lines, workloads);
  std::getline(lines, schemes);
  std::getline(lines, placements);
  std::string roles;
  for (std::string* field : {&arguments.threads, &arguments.duration, &arguments.budget, &roles})
    std::getline(lines, *field);
  if (!roles.empty()) arguments.settings["roles"] = roles;
  if (!workloads.empty()) arguments.workloads = {workloads};
  if (!schemes.empty()) arguments.schemes = {schemes};
  if (!placements.empty()) arguments.placements = {placements};
  return arguments;
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Topology machine = Topology::foreign("package:2 [numa] core:4 pu:2");
  const RunArguments arguments = arguments_of(fuzz::text_of(data, size));
  fuzz::may_refuse([&] { make_run_options(arguments); });
  fuzz::may_refuse([&] {
    const Selection selection = make_selection(arguments);
    fuzz::may_refuse([&] { assign_roles(selection.defaults.value("roles"), 4); });
    for (const SuiteEntry& entry : selection.entries) {
      // A replay would read the file that the text names, whatever it is.
      if (entry.workload.starts_with("replay") || entry.schemes.empty()) continue;
      fuzz::may_refuse(
          [&] { make_workload<NativePlatform>(entry.workload, entry.schemes.front(), 4); });
    }
  });
  fuzz::may_refuse([&] {
    for (const std::string& placement : placements_of(arguments)) machine.place(placement, 4);
  });
  return 0;
}
