#include "harness/cli/record.hpp"

#include <fmt/format.h>
#include <lzma.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "harness/cli/work_folder.hpp"
#include "results/process.hpp"
#include "workloads/trace.hpp"
#include "workloads/trace_lines.hpp"

namespace faultline {
namespace {

namespace fs = std::filesystem;

constexpr const char* recorded_events =
    "exceptions:page_fault_user,exceptions:page_fault_kernel,sched:sched_process_exec,"
    "syscalls:sys_enter_mmap,syscalls:sys_exit_mmap,"
    "syscalls:sys_enter_munmap,syscalls:sys_exit_munmap,"
    "syscalls:sys_enter_mprotect,syscalls:sys_exit_mprotect,"
    "syscalls:sys_enter_madvise,syscalls:sys_exit_madvise,"
    "syscalls:sys_enter_brk,syscalls:sys_exit_brk,"
    "syscalls:sys_enter_mremap,syscalls:sys_exit_mremap";
// The size of a CPU's buffer. With perf's default of 512 KiB a burst of faults loses events.
constexpr const char* buffer_per_cpu = "4M";

// A folder beside the output, so that the finished trace can be renamed into place.
WorkFolder folder_beside(const std::string& output) {
  try {
    return WorkFolder(output + ".recording");
  } catch (const std::runtime_error&) {
    throw std::invalid_argument("record: -o " + output +
                                ": cannot write to its folder, expected a writable one");
  }
}

// The reason that perf gives: the text of its "Error:" line, or else its last line that has text.
std::string reason_in(const std::string& file) {
  std::ifstream stream(file);
  std::string reason = "it gives no reason";
  for (std::string line; std::getline(stream, line);) {
    if (line.starts_with("Error:") && line.size() > 7) return line.substr(7);
    if (line.find_first_not_of(" \t\\_") != std::string::npos) reason = line;
  }
  return reason;
}

std::vector<std::string> record_command(const RecordRequest& request, const std::string& data) {
  return {request.perf, "record",        "-q", "-m", buffer_per_cpu,
          "-e",         recorded_events, "-o", data, "--"};
}

// Runs perf, which gets this process's signals, as does the program that it records. A stream
// without a file name is this process's own.
ChildOutput run_perf(const std::vector<std::string>& arguments, const std::string& stdout_file,
                     const std::string& stderr_file) {
  const auto output = [](const std::string& file) {
    return Output{file.empty() ? Output::To::inherited : Output::To::file, file};
  };
  Interrupts interrupts;
  return run_process(arguments,
                     {.out = output(stdout_file),
                      .error = output(stderr_file),
                      .on_interrupt = OnInterrupt::passes_on},
                     interrupts);
}

// Records `true`, to learn whether perf may record. If the recording itself failed, perf's error
// would be mixed with the output of the command.
void check_perf(const RecordRequest& request, const WorkFolder& folder) {
  std::vector<std::string> arguments = record_command(request, folder.file("probe.data"));
  arguments.push_back("true");
  const std::string complaint = folder.file("probe.txt");
  const ChildOutput result = run_perf(arguments, complaint + ".out", complaint);
  if (result.interrupted) throw std::runtime_error("record: interrupted");
  if (result.exit_code() != 0)
    throw std::invalid_argument(
        "record: perf cannot record page faults and system calls here (" + reason_in(complaint) +
        "); run as root, or make /sys/kernel/tracing readable and set "
        "kernel.perf_event_paranoid to -1; needs an x86-64 kernel with system-call tracepoints");
}

void check_request(const RecordRequest& request) {
  if (request.command.empty())
    throw std::invalid_argument("record: no command, expected one after --");
  if (request.output.empty() || fs::is_directory(request.output))
    throw std::invalid_argument("record: -o '" + request.output + "': expected a file to write");
  if (find_program(request.command[0]).empty())
    throw std::invalid_argument("record: " + request.command[0] +
                                ": no such program, expected one in PATH or a path to one");
  if (find_program(request.perf).empty())
    throw std::invalid_argument(
        "record: perf is not installed, expected it in PATH (Debian: apt-get install linux-perf)");
}

void check_written(bool good, const std::string& file) {
  if (!good) throw std::runtime_error("record: cannot write " + file + ": is the disk full?");
}

void compress(const std::string& from, const std::string& to) {
  std::ifstream input(from, std::ios::binary);
  std::ofstream output(to, std::ios::binary);
  lzma_stream stream = LZMA_STREAM_INIT;
  if (lzma_easy_encoder(&stream, 6, LZMA_CHECK_CRC64) != LZMA_OK)
    throw std::runtime_error("record: liblzma cannot start an encoder");
  std::vector<char> text(1 << 16);
  std::vector<char> packed(1 << 16);
  for (lzma_ret result = LZMA_OK; result == LZMA_OK;) {
    if (stream.avail_in == 0 && input) {
      input.read(text.data(), static_cast<std::streamsize>(text.size()));
      stream.next_in = reinterpret_cast<const std::uint8_t*>(text.data());
      stream.avail_in = static_cast<usize>(input.gcount());
    }
    stream.next_out = reinterpret_cast<std::uint8_t*>(packed.data());
    stream.avail_out = packed.size();
    result = lzma_code(&stream, input ? LZMA_RUN : LZMA_FINISH);
    output.write(packed.data(), static_cast<std::streamsize>(packed.size() - stream.avail_out));
  }
  lzma_end(&stream);
  output.flush();
  check_written(output.good(), to);
}

// Copies the trace without perf's remarks on lost events, and returns the number of those remarks.
u64 copy_events(const std::string& from, const std::string& to) {
  TraceLines lines(from);
  std::ofstream output(to, std::ios::binary);
  u64 lost = 0;
  for (std::string line; lines.next(line);) {
    if (line.find("PERF_RECORD_LOST") == std::string::npos)
      output << line << '\n';
    else
      ++lost;
  }
  output.flush();
  check_written(output.good(), to);
  return lost;
}

// Writes the trace that `data` holds to `to`.
void write_text(const RecordRequest& request, const WorkFolder& folder, const std::string& data,
                const std::string& to) {
  const std::string raw = folder.file("raw.txt");
  const std::string complaint = folder.file("script.txt");
  const ChildOutput result = run_perf({request.perf, "script", "--show-lost-events", "-F",
                                       "comm,pid,tid,cpu,time,event,trace", "-i", data},
                                      raw, complaint);
  if (result.interrupted) throw std::runtime_error("record: interrupted");
  if (result.exit_code() != 0)
    throw std::runtime_error("record: perf script failed: " + reason_in(complaint));
  const bool packs = request.output.ends_with(".xz");
  const std::string plain = packs ? folder.file("plain.txt") : to;
  if (const u64 lost = copy_events(raw, plain); lost != 0)
    fmt::print(stderr, "faultline: record: perf lost events {} times: the trace has gaps\n", lost);
  if (packs) compress(plain, to);
}

void summarise(const Trace& trace, const std::string& output) {
  fmt::print("{}: {} threads, {} operations from {} lines\n", output, trace.threads.size(),
             trace.operations.size(), trace.lines);
  for (const auto& [reason, lines] : trace.unused) fmt::print("  {} lines: {}\n", lines, reason);
}

}  // namespace

int record(const RecordRequest& request) {
  check_request(request);
  const WorkFolder folder = folder_beside(request.output);
  check_perf(request, folder);

  const std::string data = folder.file("perf.data");
  std::vector<std::string> arguments = record_command(request, data);
  arguments.insert(arguments.end(), request.command.begin(), request.command.end());
  const ChildOutput recorded = run_perf(arguments, "", "");
  if (!fs::exists(data)) throw std::runtime_error("record: perf left no recording");

  const std::string text = folder.file("trace");
  write_text(request, folder, data, text);
  const Trace trace = read_trace(text);
  std::error_code error;
  fs::rename(text, request.output, error);
  if (error) throw std::invalid_argument("record: -o " + request.output + ": " + error.message());
  summarise(trace, request.output);
  if (recorded.exit_code() == 0 || recorded.interrupted) return 0;
  fmt::print(stderr, "faultline: record: {} ended with exit code {}; the trace is kept\n",
             request.command[0], recorded.exit_code());
  return 1;
}

}  // namespace faultline
