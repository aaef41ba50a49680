// Builds a Trace from the recorded events of one process: what is mapped when, and what must have
// been mapped before the recording began. Only workloads/trace.cpp uses it.
#pragma once

#include <array>
#include <map>
#include <string>
#include <vector>

#include "workloads/trace.hpp"
#include "workloads/trace_lines.hpp"

namespace faultline {

struct RecordedCall {
  TraceCall call = TraceCall::mmap;
  std::array<u64, 5> arguments{};
  u64 result = 0;
  bool complete = false;  // its exit was seen
};

// One meaningful line of the recording: a fault, or the begin or end of calls[call].
struct RecordedStep {
  enum class Kind : int { fault, begin, end };
  Kind kind = Kind::fault;
  u32 tid = 0;
  u64 address = 0;  // only for a fault
  bool write = false;
  usize call = 0;
};

struct RecordedProcess {
  std::vector<RecordedStep> steps;
  std::vector<RecordedCall> calls;
  std::map<u32, usize> pending;  // by thread: the call that the thread is in
  u64 lines = 0;                 // all lines of the process that are events
  std::map<std::string, u64> unused;
};

// Fills in all members of `trace` that the process's steps determine. Adds to used_lines and
// unused.
void build_trace(const RecordedProcess& process, Trace& trace);

}  // namespace faultline
