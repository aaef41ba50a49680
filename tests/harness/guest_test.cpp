// faultline in a guest of 8 CPUs and 4 memory nodes (guest/run-guest.sh), since this machine may
// have only one node.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "locks/platform.hpp"
#include "tests/paths.hpp"

namespace faultline {
namespace {

struct Outcome {
  int status = -1;
  std::string output;
};

Outcome run_shell(const std::string& command) {
  Outcome outcome;
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return outcome;
  char buffer[4096];
  for (usize got; (got = fread(buffer, 1, sizeof(buffer), pipe)) > 0;)
    outcome.output.append(buffer, got);
  const int status = pclose(pipe);
  outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return outcome;
}

// The guest's output for each command.
std::map<std::string, std::string> sections(const std::string& output) {
  std::map<std::string, std::string> result;
  std::string command;
  std::istringstream lines(output);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("=== ") && !line.starts_with("=== exit "))
      command = line.substr(4);
    else
      result[command] += line + "\n";
  }
  return result;
}

// The guest has 2 sockets of 2 cores of 2 threads. CPUs 2n and 2n + 1 are on node n.
struct Expected {
  std::string placement;
  std::vector<u32> cpus;
};

const std::vector<Expected> placements = {{"compact", {0, 2, 4, 6, 1, 3, 5, 7}},
                                          {"scatter", {0, 4, 2, 6, 1, 5, 3, 7}},
                                          {"per-node", {0, 1, 2, 3, 4, 5, 6, 7}},
                                          {"smt-first", {0, 1, 2, 3, 4, 5, 6, 7}},
                                          {"6,1,3-5", {6, 1, 3, 4, 5, 6, 1, 3}}};

TEST(Guest, PutsEveryThreadOnItsCpuAndEveryPageOnItsNode) {
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "an instrumented program takes too long in software emulation";
#endif
  const std::filesystem::path program = FAULTLINE_BINARY;
  std::string command =
      fmt::format("'{}/tests/harness/guest/run-guest.sh' '{}' '{}/guest'", FAULTLINE_SOURCE_DIR,
                  program.string(), program.parent_path().string());
  for (const Expected& one : placements)
    command += fmt::format(" 'check-placement {} 8'", one.placement);
  // A trial fails where a thread or a page is not where it should be.
  const std::string run =
      "run --workload local --scheme mmap_sem,refcount,lock_in_tree --threads 8 --placement "
      "scatter "
      "--duration 0.1s --repetitions 1 --latency-repetitions 0 --out /tmp/results.json";
  command += fmt::format(" '{}'", run);
  const Outcome outcome = run_shell(command);
  const bool required = std::getenv("FAULTLINE_REQUIRE_GUEST") != nullptr;
  if (outcome.status == 77 && !required) GTEST_SKIP() << outcome.output;
  ASSERT_EQ(outcome.status, 0) << outcome.output;
  auto printed = sections(outcome.output);
  for (const auto& [placement, cpus] : placements) {
    // "No page is on a wrong node" means something only if the check would find such a page.
    std::vector<std::string> wanted = {"8 pages planted on wrong nodes were found there\n",
                                       fmt::format("PASS {}\n=== exit 0\n", placement)};
    for (usize thread = 0; thread < cpus.size(); ++thread) {
      wanted.push_back(
          fmt::format("thread {} on cpu {} (node {},", thread, cpus[thread], cpus[thread] / 2));
    }
    const std::string& text = printed[fmt::format("check-placement {} 8", placement)];
    std::erase_if(wanted, [&](const std::string& line) { return text.find(line) != text.npos; });
    EXPECT_TRUE(wanted.empty()) << "not found: " << wanted.front() << "\nin: " << text;
  }
  EXPECT_TRUE(printed[run].ends_with("results: /tmp/results.json\n=== exit 0\n")) << printed[run];
}

}  // namespace
}  // namespace faultline
