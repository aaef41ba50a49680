// The program as users run it, for tests: started by a shell, in a folder of the test.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "locks/platform.hpp"
#include "tests/paths.hpp"
#include "tests/results/sample.hpp"

namespace faultline {

struct Outcome {
  int exit_code = -1;
  std::string out;
  std::string errors;
};

class CommandLine : public testing::Test {
 protected:
  // Expects one line that says what was expected, exit code 2, and no file left.
  void expect_refused(const Outcome& outcome) const {
    EXPECT_EQ(outcome.exit_code, 2);
    EXPECT_TRUE(outcome.errors.starts_with("faultline: ")) << outcome.errors;
    EXPECT_EQ(std::count(outcome.errors.begin(), outcome.errors.end(), '\n'), 1) << outcome.errors;
    EXPECT_NE(outcome.errors.find("expected"), std::string::npos) << outcome.errors;
    EXPECT_TRUE(folder_.names().empty());
  }

  // Runs the program by a shell in the test's folder. `before` is a command for the shell.
  Outcome run(const std::string& arguments, const std::string& before = "") const {
    return run_program(FAULTLINE_BINARY, arguments, before);
  }
  Outcome run_program(const std::string& program, const std::string& arguments,
                      const std::string& before = "") const {
    const std::string command =
        fmt::format("cd '{}' && {} '{}' {} >'{}' 2>'{}' </dev/null", folder_.file(""), before,
                    program, arguments, out_.file("out"), out_.file("errors"));
    const int status = std::system(command.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, sample::text_of(out_.file("out")),
            sample::text_of(out_.file("errors"))};
  }

  // Starts the program. Its result goes to results.json.
  pid_t start(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), "faultline");
    arguments.insert(arguments.end(), {"--out", folder_.file("results.json")});
    std::vector<char*> pointers;
    for (std::string& argument : arguments) pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    const pid_t pid = fork();
    if (pid == 0) {
      freopen(out_.file("errors").c_str(), "w", stderr);
      freopen(out_.file("out").c_str(), "w", stdout);
      execv(FAULTLINE_BINARY, pointers.data());
      _exit(127);
    }
    return pid;
  }

  // Starts a run that would take minutes and waits until its first trials are in the journal.
  pid_t start_long_run(const std::vector<std::string>& arguments) const {
    const pid_t pid = start(arguments);
    for (int i = 0; i < 1000 && lines(folder_.file("results.json.journal")) < 3; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    return pid;
  }

  static std::ptrdiff_t lines(const std::string& path) {
    const std::string text = sample::text_of(path);
    return std::count(text.begin(), text.end(), '\n');
  }

  static usize trials_in(const nlohmann::json& results) {
    usize trials = 0;
    for (const nlohmann::json& one : results["faultline"]["cases"]) trials += one["trials"].size();
    return trials;
  }

  static int end_of(pid_t pid) {
    int status = 0;
    waitpid(pid, &status, 0);
    return status;
  }

  sample::TemporaryDirectory folder_;
  sample::TemporaryDirectory out_;
};

}  // namespace faultline
