#include "workloads/trace.hpp"

#include <algorithm>
#include <stdexcept>

#include "workloads/trace_builder.hpp"
#include "workloads/trace_lines.hpp"

namespace faultline {
namespace {

constexpr u64 error_code_write = 2;  // x86's page-fault error code, bit 1

// Sorts events by process and pairs enters with exits by thread.
class Collector {
 public:
  explicit Collector(Trace& trace) : trace_(trace) {}

  void add_line(const std::string& line, bool terminated) {
    ++trace_.lines;
    if (!terminated) return unused("line cut off at the file's end");
    TraceEvent event;
    switch (parse_trace_line(line, event)) {
      case TraceLine::comment:
        return unused("empty line or comment");
      case TraceLine::foreign:
        return unused("line that perf script does not print");
      case TraceLine::unreadable:
        return unused("event with missing or unreadable arguments");
      case TraceLine::event:
        break;
    }
    RecordedProcess& process = processes_[event.pid];
    ++process.lines;
    add_event(process, event);
  }

  // The process with the most faults and calls. Counts its unusable lines, and all lines of the
  // other processes. Throws where there is no process.
  const RecordedProcess& choose(const std::string& path) {
    const auto busiest = std::max_element(
        processes_.begin(), processes_.end(),
        [](const auto& a, const auto& b) { return a.second.steps.size() < b.second.steps.size(); });
    if (busiest == processes_.end() || busiest->second.steps.empty())
      throw std::invalid_argument(
          "trace " + path +
          ": no page fault or address-space call in it, expected what perf script "
          "-F comm,pid,tid,cpu,time,event,trace prints of them");
    for (const auto& [pid, process] : processes_)
      if (pid != busiest->first) trace_.unused["event of another process"] += process.lines;
    trace_.pid = busiest->first;
    for (const auto& [reason, lines] : busiest->second.unused) trace_.unused[reason] += lines;
    return busiest->second;
  }

 private:
  void unused(const char* reason) { ++trace_.unused[reason]; }

  static void add_event(RecordedProcess& process, const TraceEvent& event) {
    switch (event.kind) {
      case TraceEvent::Kind::fault:
        process.steps.push_back({RecordedStep::Kind::fault, event.tid, event.arguments[0],
                                 (event.arguments[1] & error_code_write) != 0, 0});
        break;
      case TraceEvent::Kind::enter:
        enter(process, event);
        break;
      case TraceEvent::Kind::exit:
        leave(process, event);
        break;
      case TraceEvent::Kind::exec:
        start_over(process);
        break;
      case TraceEvent::Kind::other:
        ++process.unused["event that is not replayed: " + std::string(event.name)];
        break;
    }
  }

  // A call whose exit was lost stays incomplete when the thread's next call begins.
  static void enter(RecordedProcess& process, const TraceEvent& event) {
    process.pending[event.tid] = process.calls.size();
    process.steps.push_back({RecordedStep::Kind::begin, event.tid, 0, false, process.calls.size()});
    process.calls.push_back({event.call, event.arguments, 0, false});
  }

  static void leave(RecordedProcess& process, const TraceEvent& event) {
    const auto pending = process.pending.find(event.tid);
    if (pending == process.pending.end() || process.calls[pending->second].call != event.call) {
      ++process.unused["exit without enter"];
      return;
    }
    RecordedCall& call = process.calls[pending->second];
    call.result = event.arguments[0];
    call.complete = true;
    process.steps.push_back({RecordedStep::Kind::end, event.tid, 0, false, pending->second});
    process.pending.erase(pending);
  }

  // A new program image has a new address space, so the operations before it are dropped.
  static void start_over(RecordedProcess& process) {
    if (!process.steps.empty())
      process.unused["event before the process's last exec"] += process.steps.size();
    process.steps.clear();
    process.calls.clear();
    process.pending.clear();
    ++process.unused["event that is not replayed: sched:sched_process_exec"];
  }

  Trace& trace_;
  std::map<u32, RecordedProcess> processes_;
};

}  // namespace

Trace read_trace(const std::string& path) {
  Trace trace;
  Collector collector(trace);
  TraceLines lines(path);
  for (std::string line; lines.next(line);) collector.add_line(line, lines.terminated());
  build_trace(collector.choose(path), trace);
  if (trace.operations.empty()) {
    std::string reasons;
    for (const auto& [reason, count] : trace.unused)
      reasons += (reasons.empty() ? "" : ", ") + std::to_string(count) + " x " + reason;
    throw std::invalid_argument("trace " + path + ": nothing in it can be replayed (" + reasons +
                                ")");
  }
  return trace;
}

}  // namespace faultline
