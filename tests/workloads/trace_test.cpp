#include "workloads/trace.hpp"

#include <lzma.h>

#include <stdexcept>
#include <vector>

#include "tests/workloads/trace_files.hpp"

namespace faultline {
namespace {

std::string compressed(const std::string& text) {
  std::vector<std::uint8_t> packed(text.size() + 1024);
  usize length = 0;
  EXPECT_EQ(lzma_easy_buffer_encode(6, LZMA_CHECK_CRC64, nullptr,
                                    reinterpret_cast<const std::uint8_t*>(text.data()), text.size(),
                                    packed.data(), &length, packed.size()),
            LZMA_OK);
  return {reinterpret_cast<char*>(packed.data()), length};
}

u64 sum_of_lines(const Trace& trace) {
  u64 lines = trace.used_lines;
  for (const auto& [reason, count] : trace.unused) lines += count;
  return lines;
}

// The one line that reading `text` is refused with.
std::string refusal(const std::string& path) {
  try {
    read_trace(path);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "not refused";
}
std::string refusal_of(const std::string& text) {
  return refusal(TraceFile(text).path());
}

TEST(Trace, TakesAMapsAddressFromItsResult) {
  const Trace trace = trace_of(map_at(7, "0x7f0000000000", "0x1800", "0x1", "0x2") +
                               fault(7, "0x7f0000001010", "0x4"));
  ASSERT_EQ(trace.operations.size(), 2U);
  const TraceOperation& map = trace.operations[0];
  EXPECT_EQ(map.kind, TraceKind::map);
  EXPECT_EQ(map.address, 0x7f0000000000U);
  EXPECT_EQ(map.length, 0x2000U);
  EXPECT_EQ(map.prot, prot_read);
  EXPECT_EQ(map.flags, map_file);
  EXPECT_EQ(trace.operations[1].kind, TraceKind::read_fault);
  EXPECT_EQ(trace.operations[1].address, 0x7f0000001010U);
  EXPECT_EQ(trace.threads, std::vector<u32>{7});
  EXPECT_EQ(trace.used_lines, 3U);
  EXPECT_TRUE(trace.preamble.empty());
}

TEST(Trace, TranslatesProtectionAndFlags) {
  const Trace trace = trace_of(map_at(1, "0x7f0000000000", "0x1000", "0x0", "0x4022") +
                               map_at(1, "0x7f0000010000", "0x1000", "0x5", "0x812") +
                               map_at(1, "0x7f0000020000", "0x1000", "0x2", "0x121") +
                               map_at(1, "0x7f0000030000", "0x1000", "0x7", "0x1"));
  ASSERT_EQ(trace.operations.size(), 4U);
  EXPECT_EQ(trace.operations[0].prot, prot_none);
  EXPECT_EQ(trace.operations[0].flags, 0U);
  EXPECT_EQ(trace.operations[1].prot, prot_read);
  EXPECT_EQ(trace.operations[1].flags, map_fixed | map_file);
  EXPECT_EQ(trace.operations[2].prot, prot_read | prot_write);
  EXPECT_EQ(trace.operations[2].flags, map_shared | map_growsdown);
  EXPECT_EQ(trace.operations[3].flags, map_shared | map_file);
}

TEST(Trace, PairsEntersWithExitsByThread) {
  const std::string arguments = "addr: 0x0, len: 0x1000, prot: 0x3, flags: 0x22, fd: 0x0, off: 0x0";
  const Trace trace =
      trace_of(enter(1, "mmap", arguments) + enter(2, "mmap", arguments) +
               leave(1, "mmap", "0x7f0000010000") + leave(2, "mmap", "0x7f0000020000"));
  ASSERT_EQ(trace.operations.size(), 2U);
  EXPECT_EQ(trace.operations[0].thread, 0U);
  EXPECT_EQ(trace.operations[0].address, 0x7f0000010000U);
  EXPECT_EQ(trace.operations[1].thread, 1U);
  EXPECT_EQ(trace.operations[1].address, 0x7f0000020000U);
}

TEST(Trace, PutsAnUnmapAtItsEnterSinceAnotherThreadMayGetTheAddressesBeforeItsExit) {
  const Trace trace = trace_of(map_at(1, "0x7f0000000000", "0x1000") +
                               enter(1, "munmap", "addr: 0x7f0000000000, len: 0x1000") +
                               map_at(2, "0x7f0000000000", "0x1000") + fault(2, "0x7f0000000000") +
                               leave(1, "munmap", "0x0"));
  ASSERT_EQ(trace.operations.size(), 4U);
  EXPECT_EQ(trace.operations[1].kind, TraceKind::unmap);
  EXPECT_EQ(trace.operations[2].kind, TraceKind::map);
  EXPECT_EQ(trace.operations[3].kind, TraceKind::write_fault);
  EXPECT_TRUE(trace.unused.empty());
}

TEST(Trace, FollowsTheBreak) {
  auto brk = [](const std::string& to, const std::string& result) {
    return enter(1, "brk", "brk: " + to) + leave(1, "brk", result);
  };
  const Trace trace = trace_of(brk("0x0", "0x5600000000") + brk("0x5600003000", "0x5600003000") +
                               fault(1, "0x5600002008") + brk("0x5600001000", "0x5600001000") +
                               brk("0x5600009000", "0x5600001000"));
  ASSERT_EQ(trace.operations.size(), 3U);
  EXPECT_EQ(trace.operations[0].kind, TraceKind::grow);
  EXPECT_EQ(trace.operations[0].address, 0x5600000000U);
  EXPECT_EQ(trace.operations[0].length, 0x3000U);
  EXPECT_EQ(trace.operations[2].kind, TraceKind::shrink);
  EXPECT_EQ(trace.operations[2].address, 0x5600001000U);
  EXPECT_EQ(trace.operations[2].length, 0x2000U);
  EXPECT_EQ(trace.heap.start, 0x5600000000U);
  EXPECT_EQ(trace.heap.end, 0x5600003000U);
  EXPECT_EQ(trace.unused.at("call that changed nothing"), 2U);
  EXPECT_EQ(trace.unused.at("failed call"), 2U);
}

TEST(Trace, GivesTheBreakAsMapsWhereTheProgramMapsWithinIt) {
  const Trace trace =
      trace_of(enter(1, "brk", "brk: 0x0") + leave(1, "brk", "0x5600000000") +
               enter(1, "brk", "brk: 0x5600003000") + leave(1, "brk", "0x5600003000") +
               unmap_at(1, "0x5600001000", "0x1000"));
  ASSERT_EQ(trace.operations.size(), 2U);
  EXPECT_EQ(trace.operations[0].kind, TraceKind::map);
  EXPECT_EQ(trace.operations[0].flags, map_fixed);
  EXPECT_EQ(trace.heap.length(), 0U);
}

TEST(Trace, SplitsAMovingMremapIntoUnmapAndMap) {
  const Trace trace =
      trace_of(map_at(1, "0x7f0000000000", "0x2000", "0x3", "0x21") +
               enter(1, "mremap",
                     "addr: 0x7f0000000000, old_len: 0x2000, new_len: 0x4000, flags: 0x1, "
                     "new_addr: 0x0") +
               leave(1, "mremap", "0x7f0000100000"));
  ASSERT_EQ(trace.operations.size(), 3U);
  EXPECT_EQ(trace.operations[1].kind, TraceKind::unmap);
  EXPECT_EQ(trace.operations[1].address, 0x7f0000000000U);
  EXPECT_EQ(trace.operations[1].length, 0x2000U);
  EXPECT_EQ(trace.operations[2].kind, TraceKind::map);
  EXPECT_EQ(trace.operations[2].address, 0x7f0000100000U);
  EXPECT_EQ(trace.operations[2].length, 0x4000U);
  EXPECT_EQ(trace.operations[2].flags, map_shared);
  EXPECT_EQ(trace.used_lines, 4U);
}

TEST(Trace, GrowsAndShrinksAnMremapInPlace) {
  auto remap = [](const std::string& from, const std::string& to) {
    return enter(1, "mremap",
                 "addr: 0x7f0000000000, old_len: " + from + ", new_len: " + to +
                     ", flags: 0x1, new_addr: 0x0") +
           leave(1, "mremap", "0x7f0000000000");
  };
  const Trace trace = trace_of(map_at(1, "0x7f0000000000", "0x2000") + remap("0x2000", "0x5000") +
                               remap("0x5000", "0x1000"));
  ASSERT_EQ(trace.operations.size(), 3U);
  EXPECT_EQ(trace.operations[1].kind, TraceKind::map);
  EXPECT_EQ(trace.operations[1].address, 0x7f0000002000U);
  EXPECT_EQ(trace.operations[1].length, 0x3000U);
  EXPECT_EQ(trace.operations[2].kind, TraceKind::unmap);
  EXPECT_EQ(trace.operations[2].address, 0x7f0000001000U);
  EXPECT_EQ(trace.operations[2].length, 0x4000U);
}

TEST(Trace, TakesWhatIsUsedButNeverMappedForMappedBefore) {
  const Trace trace =
      trace_of(fault(1, "0x560000000123", "0x14") + fault(1, "0x560000005fff") +
               map_at(1, "0x560000010000", "0x1000") + fault(1, "0x560000020000") +
               enter(1, "mprotect", "start: 0x7f0000000000, len: 0x2000, prot: 0x1") +
               leave(1, "mprotect", "0x0") + fault(1, "0x7f0000000000", "0x7"));
  // One for the executable's two pages, another beyond the recorded map, a third for mprotect's.
  ASSERT_EQ(trace.preamble.size(), 3U);
  EXPECT_EQ(trace.preamble[0].range.start, 0x560000000000U);
  EXPECT_EQ(trace.preamble[0].range.end, 0x560000006000U);
  EXPECT_EQ(trace.preamble[1].range.start, 0x560000020000U);
  EXPECT_EQ(trace.preamble[2].range.length(), 0x2000U);
  EXPECT_EQ(trace.unused.at("fault against the protection"), 1U);
}

TEST(Trace, CountsEveryLineOnceByReason) {
  const std::string text =
      "# captured on some day\n\n"
      "this is not perf's\n" +
      map_at(1, "0x7f0000000000", "0x2000") + fault(1, "0x7f0000001000") +
      event(1, "exceptions:page_fault_user: address=0x7f00") +
      event(1, "exceptions:page_fault_user: address=symbol ip=0x1 error_code=0x6") +
      enter(1, "mmap", "addr: 0x0, len: 0x20") + leave(1, "mmap", "0x7f0000090000") +
      enter(2, "munmap", "addr: 0x7f0000000000, len: 0x1000") + leave(2, "mmap", "0x7f0000090000") +
      leave(2, "munmap", "0xffffffffffffffea") +
      enter(2, "munmap", "addr: 0x7f0000000000, len: 0x1000") +
      enter(2, "madvise", "start: 0x7f0000000000, len_in: 0x1000, behavior: 0xe") +
      leave(2, "madvise", "0x0") + leave(3, "clone3", "0x0") +
      event(3, "sched:sched_process_exit: comm=prog pid=3 prio=120") + fault(3, "0x8") +
      unmap_at(3, "0x7f0000001000", "0x1000") + fault(3, "0x7f0000001000") +
      event(3, "exceptions:page_fault_user: address=0x7f0 ip=0x1 error_code=0x6", 999) +
      "            prog 100/3 [001]  4214.370540:  exceptions:page_fault_user: address=0x7f";
  const Trace trace = trace_of(text);
  const std::map<std::string, u64> expected = {
      {"empty line or comment", 2},
      {"line that perf script does not print", 1},
      {"event with missing or unreadable arguments", 3},
      {"exit without enter", 2},
      {"failed call", 2},
      {"enter without exit", 1},
      {"madvise other than MADV_DONTNEED", 2},
      {"event that is not replayed: syscalls:sys_exit_clone3", 1},
      {"event that is not replayed: sched:sched_process_exit", 1},
      {"fault outside the addresses of user space", 1},
      {"fault where nothing is mapped", 1},
      {"event of another process", 1},
      {"line cut off at the file's end", 1}};
  EXPECT_EQ(trace.unused, expected);
  EXPECT_EQ(trace.used_lines, 5U);
  EXPECT_EQ(sum_of_lines(trace), trace.lines);
}

TEST(Trace, StartsOverAtAnExec) {
  const Trace trace = trace_of(map_at(1, "0x7f0000000000", "0x1000") +
                               event(1, "sched:sched_process_exec: filename=/bin/x pid=1") +
                               fault(1, "0x7f0000000000"));
  ASSERT_EQ(trace.operations.size(), 1U);
  EXPECT_EQ(trace.preamble.size(), 1U);
  EXPECT_EQ(trace.unused.at("event before the process's last exec"), 2U);
}

TEST(Trace, ReadsCommandNamesThatHoldBlanksDigitsAndBrackets) {
  const Trace trace = trace_of(
      " C2 1/2 [003] 4: 100/33 [001]  4214.370540:  exceptions:page_fault_user: "
      "address=0x7f0000000000 ip=0x1 error_code=0x6\n");
  EXPECT_EQ(trace.threads, std::vector<u32>{33});
  EXPECT_EQ(trace.pid, 100U);
}

TEST(Trace, ReadsXzAsItReadsPlainText) {
  const std::string text = map_at(1, "0x7f0000000000", "0x2000") + fault(1, "0x7f0000001000");
  const Trace trace = trace_of(compressed(text));
  EXPECT_EQ(trace.operations.size(), 2U);
  EXPECT_EQ(trace.lines, 3U);
}

TEST(Trace, RefusesACutOffOrDamagedXzFile) {
  const std::string whole = compressed(map_at(1, "0x7f0000000000", "0x2000"));
  EXPECT_NE(refusal_of(whole.substr(0, whole.size() / 2)).find("cut off"), std::string::npos);
  EXPECT_NE(refusal_of(whole.substr(0, 6)).find("cut off"), std::string::npos);
  std::string damaged = whole;
  damaged[damaged.size() / 2] ^= 1;
  EXPECT_NE(refusal_of(damaged).find("damaged"), std::string::npos);
}

TEST(Trace, RefusesWhatHoldsNothingToReplayInOneLine) {
  for (const std::string& text :
       {std::string(), std::string("\0\1\2\3", 4), std::string("{\"benchmarks\": []}\n"),
        leave(1, "mmap", "0x7f0000000000"), fault(1, "0x10"), std::string(100'000, 'x')}) {
    const std::string line = refusal_of(text);
    EXPECT_EQ(line.find('\n'), std::string::npos);
    EXPECT_NE(line.find("expected"), line.find("nothing in it can be replayed")) << line;
  }
  EXPECT_NE(refusal("/nonexistent/trace").find("cannot be read"), std::string::npos);
  EXPECT_NE(refusal(testing::TempDir()).find("cannot be read"), std::string::npos);
}

TEST(Trace, ReadsTheProjectsOwnRecordingWhole) {
  const Trace trace = read_trace(recorded_trace("pack"));
  EXPECT_EQ(trace.lines, 5082U);
  EXPECT_EQ(trace.used_lines, 5075U);
  EXPECT_EQ(trace.threads.size(), 9U);
  EXPECT_EQ(sum_of_lines(trace), trace.lines);
  EXPECT_EQ(trace.unused.count("fault where nothing is mapped"), 0U);
  EXPECT_EQ(trace.unused.count("fault against the protection"), 0U);
}

TEST(Trace, ReadsTheJvmsRecording) {
  const Trace trace = read_trace(recorded_trace("javac"));
  EXPECT_EQ(trace.lines, 109'239U);
  EXPECT_EQ(trace.used_lines, 109'159U);
  EXPECT_EQ(trace.threads.size(), 25U);
  EXPECT_EQ(sum_of_lines(trace), trace.lines);
}

TEST(Trace, ReadsZstdsRecording) {
  const Trace trace = read_trace(recorded_trace("zstd"));
  EXPECT_EQ(trace.lines, 59'828U);
  EXPECT_EQ(trace.used_lines, 59'805U);
  EXPECT_EQ(trace.threads.size(), 7U);
  EXPECT_EQ(sum_of_lines(trace), trace.lines);
}

}  // namespace
}  // namespace faultline
