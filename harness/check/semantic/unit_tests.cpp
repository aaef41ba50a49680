#include "harness/check/semantic/unit_tests.hpp"

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <stdexcept>

#include "locks/types.hpp"

namespace faultline::check {
namespace {

// Not the tests whose threads spin on FIFO locks: they take minutes where other processes use the
// CPUs. The searches explore what they do.
constexpr const char* filter =
    "-*UnderThreads*:*FaultsOfThreads*:*ForThreadsAtOnce*:*MoreThreadsThanCpus*:*ACpu*:*Stress*";
constexpr int timed_out = 128 + SIGALRM;
constexpr int not_found = 127;  // a shell's exit code; one less if it may not execute the program

std::string name_after(const std::string& text, std::string_view mark) {
  const auto at = text.rfind(mark);
  if (at == std::string::npos) return "";
  const auto start = at + mark.size();
  return text.substr(start, text.find_first_of(" ,\n", start) - start);
}

std::string output_of(const std::string& command, int& status) {
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) throw std::runtime_error("check: cannot start " + command);
  std::string text;
  std::array<char, 4096> part;
  while (const usize size = std::fread(part.data(), 1, part.size(), pipe))
    text.append(part.data(), size);
  status = pclose(pipe);
  return text;
}

std::filesystem::path program() {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path() / "faultline-tests-mutated";
}

[[noreturn]] void ask_for_build(const char* what) {
  throw std::runtime_error(fmt::format(
      "check: {}: {}, expected the unit tests over this checker's mutants: build target "
      "mutants, or give --no-unit-tests",
      program().string(), what));
}

}  // namespace

void expect_unit_tests() {
  if (access(program().c_str(), X_OK) != 0) ask_for_build(std::strerror(errno));
}

std::optional<std::string> failing_test(const std::string& mutant) {
  int status = 0;
  // A search has a limit of memory that is too low for the kernel's own address spaces.
  const std::string output =
      output_of(fmt::format("ulimit -S -v $(ulimit -H -v); exec '{}' {} "
                            "--gtest_fail_fast --gtest_color=no "
                            "--gtest_filter='{}' 2>&1",
                            program().string(),
                            mutant.empty() ? "" : fmt::format("'--mutant={}'", mutant), filter),
                status);
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  if (code == 0) return std::nullopt;
  if (code == unknown_mutant) ask_for_build("it is older or newer");
  if (code == not_found || code == not_found - 1) ask_for_build("cannot be started");
  if (const std::string failed = name_after(output, "[  FAILED  ] "); !failed.empty())
    return failed;
  const std::string running = name_after(output, "[ RUN      ] ");
  return fmt::format("{} {}", running,
                     code == timed_out ? fmt::format("does not end in {} s", most_test_seconds)
                                       : fmt::format("crashes, exit code {}", code));
}

}  // namespace faultline::check
