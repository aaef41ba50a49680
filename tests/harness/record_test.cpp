#include "harness/cli/record.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "workloads/trace.hpp"

namespace faultline {
namespace {

namespace fs = std::filesystem;

constexpr const char* one_fault =
    "   prog 5/5 [001]  1.370540:  exceptions:page_fault_user: address=0x7f2f8bf62b70 "
    "ip=0x7f2f8bf62b70 error_code=0x14\n";

// A folder of the test that contains a substitute for perf.
class Record : public testing::Test {
 protected:
  Record() : folder_(testing::TempDir() + "record-" + std::to_string(getpid())) {
    fs::create_directories(folder_);
    request_.output = (folder_ / "trace.txt").string();
    request_.command = {"true"};
  }
  ~Record() override { fs::remove_all(folder_); }

  // `recording` and `scripting` are what the substitute does as `perf record`, after it has run the
  // command, and as `perf script`.
  void stand_in(const std::string& recording, const std::string& scripting) {
    request_.perf = (folder_ / "perf").string();
    std::ofstream(request_.perf)
        << "#!/bin/sh\nverb=$1\nif [ $verb = script ]; then\n"
        << scripting
        << "\nexit\nfi\nwhile [ $1 != -- ]; do if [ $1 = -o ]; then data=$2; fi; shift; done; "
           "shift\n: > $data\n"
        << recording << "\n";
    fs::permissions(request_.perf, fs::perms::owner_all);
  }
  void stand_in_that_works() {
    stand_in("exec \"$@\"", std::string("cat <<'END'\n") + one_fault + "END");
  }
  std::string refusal() {
    try {
      record(request_);
    } catch (const std::exception& error) {
      return error.what();
    }
    return "not refused";
  }
  // Whether the folder contains nothing but the substitute, not even half a file.
  bool left_nothing() const {
    for (const auto& entry : fs::directory_iterator(folder_))
      if (entry.path().filename() != "perf") return false;
    return true;
  }

  fs::path folder_;
  RecordRequest request_;
};

TEST_F(Record, KeepsWhatPerfScriptPrints) {
  stand_in_that_works();
  EXPECT_EQ(record(request_), 0);
  std::ifstream file(request_.output);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), one_fault);
  fs::remove(request_.output);
  EXPECT_TRUE(left_nothing());
}

TEST_F(Record, CompressesATraceWhoseNameEndsInXz) {
  stand_in_that_works();
  request_.output += ".xz";
  EXPECT_EQ(record(request_), 0);
  std::ifstream file(request_.output);
  EXPECT_EQ(file.get(), 0xFD);
  EXPECT_EQ(read_trace(request_.output).operations.size(), 1U);
}

TEST_F(Record, LeavesOutPerfsRemarksOnLostEvents) {
  stand_in("exec \"$@\"",
           std::string("echo ' prog 5/5 [001] 1.0: PERF_RECORD_LOST lost 3'; cat <<'END'\n") +
               one_fault + "END");
  EXPECT_EQ(record(request_), 0);
  EXPECT_EQ(read_trace(request_.output).lines, 1U);
}

TEST_F(Record, KeepsTheTraceOfACommandThatFailedAndSaysSo) {
  stand_in_that_works();
  request_.command = {"false"};
  EXPECT_EQ(record(request_), 1);
  EXPECT_TRUE(fs::exists(request_.output));
}

TEST_F(Record, SaysHowToMendAMissingPerf) {
  request_.perf = "no-such-perf";
  EXPECT_NE(refusal().find("apt-get install linux-perf"), std::string::npos);
  EXPECT_TRUE(left_nothing());
}

TEST_F(Record, GivesPerfsReasonWhereItMayNotRecord) {
  stand_in(
      "printf 'event syntax error\\nError:\\tNo permissions here\\nHint:\\tsudo\\n' >&2; exit 129",
      "");
  const std::string line = refusal();
  EXPECT_NE(line.find("(No permissions here)"), std::string::npos) << line;
  EXPECT_NE(line.find("run as root"), std::string::npos) << line;
  EXPECT_EQ(line.find('\n'), std::string::npos);
  EXPECT_TRUE(left_nothing());
}

TEST_F(Record, LeavesNothingWhenPerfScriptFailsHalfway) {
  stand_in("exec \"$@\"", std::string("cat <<'END'\n") + one_fault + "END\nexit 1");
  EXPECT_NE(refusal().find("perf script failed"), std::string::npos);
  EXPECT_TRUE(left_nothing());
}

TEST_F(Record, LeavesNothingWhenNoFaultWasRecorded) {
  stand_in("exec \"$@\"", "echo nothing");
  EXPECT_NE(refusal().find("no page fault"), std::string::npos);
  EXPECT_TRUE(left_nothing());
}

TEST_F(Record, RefusesAnUnknownCommandAndAnUnwritableOutput) {
  stand_in_that_works();
  request_.command = {"no-such-program"};
  EXPECT_NE(refusal().find("no such program"), std::string::npos);
  request_.command = {"true"};
  request_.output = "/nonexistent/trace";
  EXPECT_NE(refusal().find("cannot write"), std::string::npos);
  request_.output = folder_.string();
  EXPECT_NE(refusal().find("expected a file"), std::string::npos);
  request_.command = {};
  EXPECT_NE(refusal().find("no command"), std::string::npos);
}

TEST_F(Record, RecordsARealProgramWherePerfMay) {
  try {
    ASSERT_EQ(record(request_), 0);
  } catch (const std::invalid_argument& error) {
    GTEST_SKIP() << error.what();
  }
  const Trace trace = read_trace(request_.output);
  EXPECT_GT(trace.operations.size(), 10U);
  EXPECT_EQ(trace.unused.count("line that perf script does not print"), 0U);
}

}  // namespace
}  // namespace faultline
