// `faultline record`: page faults and address-space calls of a real program, through perf.
#pragma once

#include <string>
#include <vector>

namespace faultline {

struct RecordRequest {
  std::string output;                // the trace; compressed if it ends in ".xz"
  std::vector<std::string> command;  // the program and its arguments
  std::string perf = "perf";         // the program that records
};

// Runs the command under `perf record` and writes what `perf script -F
// comm,pid,tid,cpu,time,event,trace` says of it: a file for `replay:file=`. x86-64 only: other kernels
// have no tracepoint for page faults. Ctrl-C and SIGTERM end the recording and keep it. Until the
// trace is whole it lies under another name beside the output.
//
// Answers the exit code: 0, or 1 when the command itself failed (the trace is kept, a line on
// standard error says so). Throws std::invalid_argument where perf is missing or may not record
// here, where the command or the output's folder does not exist, and where the command had no page
// fault; std::runtime_error when perf fails halfway.
int record(const RecordRequest& request);

}  // namespace faultline
