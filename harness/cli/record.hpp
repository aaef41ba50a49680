// `faultline record`: records the page faults and address-space calls of a real program with perf.
#pragma once

#include <string>
#include <vector>

namespace faultline {

struct RecordRequest {
  std::string output;                // the trace; compressed if it ends in ".xz"
  std::vector<std::string> command;  // the program and its arguments
  std::string perf = "perf";         // perf's name or path
};

// Runs the command under `perf record` and writes the output of `perf script -F
// comm,pid,tid,cpu,time,event,trace`: a file for `replay:file=`. It works on x86-64 only, since
// other kernels have no tracepoint for page faults. Ctrl-C and SIGTERM end the recording and keep
// it. The trace has another name beside the output until it is complete.
//
// Returns the exit code: 0, or 1 if the command itself failed (it keeps the trace and says so on
// standard error). Throws std::invalid_argument if perf is missing or may not record here, if the
// command or the output's folder does not exist, or if the command had no page fault;
// std::runtime_error if perf fails halfway.
int record(const RecordRequest& request);

}  // namespace faultline
