#include "results/process.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <stdexcept>

#include "tests/results/sample.hpp"

namespace faultline {
namespace {

class Process : public testing::Test {
 protected:
  ChildOutput shell(const std::string& script, const ProcessOptions& options = {}) {
    return run_process({"sh", "-c", script}, options, interrupts_);
  }

  Interrupts interrupts_;
};

TEST_F(Process, AnswersExitCodesAndSignals) {
  EXPECT_EQ(shell("exit 7").exit_code(), 7);
  EXPECT_EQ(shell("kill -9 $$").exit_code(), 128 + 9);
  EXPECT_THROW(run_process({"no-such-program"}, {}, interrupts_), std::runtime_error);
}

TEST_F(Process, GivesInputAndTakesBothOutputs) {
  const std::string input(1 << 20, 'x');
  const ChildOutput child = shell("cat; echo remark >&2", {.input = &input});
  EXPECT_EQ(child.out, input);
  EXPECT_EQ(child.error, "remark\n");
}

TEST_F(Process, WritesOutputsToFiles) {
  const sample::TemporaryDirectory folder;
  const ChildOutput child =
      shell("echo here; echo there >&2", {.out = {Output::To::file, folder.file("out")},
                                          .error = {Output::To::file, folder.file("error")}});
  EXPECT_EQ(child.out + child.error, "");
  const auto text = [&](const char* name) {
    std::ifstream file(folder.file(name));
    return std::string((std::istreambuf_iterator<char>(file)), {});
  };
  EXPECT_EQ(text("out"), "here\n");
  EXPECT_EQ(text("error"), "there\n");
}

TEST_F(Process, KillsAtTheLimit) {
  const ChildOutput child = shell("sleep 1000", {.limit_s = 0.1});
  EXPECT_TRUE(child.timed_out);
  EXPECT_EQ(child.exit_code(), 128 + SIGKILL);
}

TEST_F(Process, EndsAnInterruptedGroup) {
  const ChildOutput child = shell("kill -TERM " + std::to_string(getpid()) + "; sleep 1000");
  EXPECT_TRUE(child.interrupted);
  EXPECT_EQ(child.exit_code(), 128 + SIGTERM);
  EXPECT_EQ(interrupts_.signal(), SIGTERM);
}

TEST_F(Process, PassesEverySignalOn) {
  const std::string self = std::to_string(getpid());
  const ChildOutput child =
      shell("trap 'printf first; kill -TERM " + self + "' INT; trap 'exit 7' TERM; kill -INT " +
                self + "; while :; do sleep 0.01; done",
            {.on_interrupt = OnInterrupt::passes_on});
  EXPECT_TRUE(child.interrupted);
  EXPECT_EQ(child.out, "first");
  EXPECT_EQ(child.exit_code(), 7);
}

TEST_F(Process, FindsProgramsAsTheShellDoes) {
  EXPECT_NE(find_program("sh"), "");
  EXPECT_EQ(find_program("/bin/sh"), "/bin/sh");
  EXPECT_EQ(find_program("no-such-program"), "");
  EXPECT_EQ(find_program(""), "");
}

}  // namespace
}  // namespace faultline
