// Tests fork a process for code that ends its process, or leaves threads behind in it.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <functional>
#include <string>

#include "locks/platform.hpp"

// The threads are left behind on purpose.
extern "C" const char* __tsan_default_options();
extern "C" inline __attribute__((used)) const char* __tsan_default_options() {
  return "report_thread_leaks=0:die_after_fork=0";
}

namespace faultline {

// The output of `run` in a process of its own. The process must end with exit code `exit_code`,
// which it also does when `run` returns.
inline std::string printed_in_process(const std::function<void()>& run, int exit_code) {
  int out[2];
  EXPECT_EQ(pipe(out), 0);
  std::fflush(stdout);  // otherwise the child prints it too, into the pipe
  const pid_t pid = fork();
  if (pid == 0) {
    dup2(out[1], STDOUT_FILENO);
    run();
    std::fflush(stdout);
    _exit(exit_code);
  }
  close(out[1]);
  std::string text;
  char buffer[4096];
  for (ssize_t got; (got = read(out[0], buffer, sizeof(buffer))) > 0;)
    text.append(buffer, static_cast<usize>(got));
  close(out[0]);
  int status = 0;
  EXPECT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  return text;
}

}  // namespace faultline
