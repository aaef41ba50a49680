// Traces for tests: written to a file of the test's own, or recordings of real programs.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/paths.hpp"
#include "workloads/trace.hpp"

namespace faultline {

// A file that goes with this object.
class TraceFile {
 public:
  explicit TraceFile(const std::string& content)
      : path_(testing::TempDir() + "trace-" + std::to_string(getpid())) {
    std::ofstream(path_, std::ios::binary) << content;
  }
  ~TraceFile() { std::filesystem::remove(path_); }
  TraceFile(const TraceFile&) = delete;
  TraceFile& operator=(const TraceFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

inline Trace trace_of(const std::string& text) {
  return read_trace(TraceFile(text).path());
}

// One line as perf script prints it, of process 100.
inline std::string event(u32 tid, const std::string& what, u32 pid = 100) {
  return "            prog " + std::to_string(pid) + "/" + std::to_string(tid) +
         " [001]  4214.370540:  " + what + "\n";
}
inline std::string fault(u32 tid, const std::string& address, const std::string& code = "0x6") {
  return event(tid, "exceptions:page_fault_user: address=" + address +
                        " ip=0x7f2f8bf637ad error_code=" + code);
}
inline std::string enter(u32 tid, const std::string& call, const std::string& arguments) {
  return event(tid, "syscalls:sys_enter_" + call + ": " + arguments);
}
inline std::string leave(u32 tid, const std::string& call, const std::string& result) {
  return event(tid, "syscalls:sys_exit_" + call + ": " + result);
}
inline std::string map_at(u32 tid, const std::string& address, const std::string& length,
                          const std::string& prot = "0x3", const std::string& flags = "0x22") {
  return enter(tid, "mmap",
               "addr: 0x0, len: " + length + ", prot: " + prot + ", flags: " + flags +
                   ", fd: 0xffffffff, off: 0x0") +
         leave(tid, "mmap", address);
}
inline std::string unmap_at(u32 tid, const std::string& address, const std::string& length) {
  return enter(tid, "munmap", "addr: " + address + ", len: " + length) +
         leave(tid, "munmap", "0x0");
}

// A recording of tests/workloads/data: "pack", "javac" or "zstd".
inline std::string recorded_trace(const std::string& name) {
  return std::string(FAULTLINE_SOURCE_DIR) + "/tests/workloads/data/" + name + ".txt.xz";
}

}  // namespace faultline
