// The text that `perf script -F comm,pid,tid,cpu,time,event,trace` prints, line by line.
#pragma once

#include <lzma.h>

#include <array>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "locks/platform.hpp"

namespace faultline {

// The lines of a file, plain or xz (recognised by xz's magic number). Throws std::invalid_argument
// for a file that cannot be read and for a broken or truncated xz stream.
class TraceLines {
 public:
  // Longer lines are cut to this many bytes. No event is nearly as long.
  static constexpr usize max_line = 4096;

  explicit TraceLines(const std::string& path);
  ~TraceLines();
  TraceLines(const TraceLines&) = delete;
  TraceLines& operator=(const TraceLines&) = delete;

  // False at the end of the file. Otherwise `line` is the next line, without its newline.
  bool next(std::string& line);
  // Whether the line that next() gave last ended in a newline, as every line of perf does.
  bool terminated() const { return terminated_; }

 private:
  bool refill();
  void decompress();

  std::string path_;
  std::ifstream file_;
  bool xz_ = false;
  lzma_stream stream_ = LZMA_STREAM_INIT;
  bool ended_ = false;
  bool terminated_ = true;
  std::vector<char> input_;
  std::vector<char> text_;
  usize text_length_ = 0;
  usize at_ = 0;
};

enum class TraceCall : int { mmap, munmap, mprotect, madvise, brk, mremap };

struct TraceEvent {
  enum class Kind : int { fault, enter, exit, exec, other };
  Kind kind = Kind::other;
  u32 pid = 0;
  u32 tid = 0;
  TraceCall call = TraceCall::mmap;  // only for enter and exit
  // enter: the call's arguments in their order; exit: the result; fault: address and error code.
  std::array<u64, 5> arguments{};
  std::string_view name;  // "sched:sched_process_exit": points into the line
};

// event: `event` is set. comment: an empty line, or a header of perf. foreign: a line that perf
// script does not print. unreadable: a relevant event whose arguments are missing, cut off, or not
// numbers.
enum class TraceLine : int { event, comment, foreign, unreadable };
TraceLine parse_trace_line(std::string_view line, TraceEvent& event);

}  // namespace faultline
