// A program run to its end, its output kept in files or passed through.
#pragma once

#include <string>
#include <vector>

namespace faultline {

struct ChildResult {
  int exit_code = 0;         // 128 + n if signal n ended it
  bool interrupted = false;  // SIGINT or SIGTERM came meanwhile, and was passed on
};

// Finds `program` as execvp would; empty if there is none.
std::string find_program(const std::string& program);

// Runs `arguments[0]` (found in PATH) and waits for it. An empty file name leaves that stream as it
// is. SIGINT and SIGTERM are passed on to the child instead of ending this process. Throws
// std::runtime_error if it cannot be started.
ChildResult run_child(const std::vector<std::string>& arguments, const std::string& stdout_file,
                      const std::string& stderr_file);

}  // namespace faultline
