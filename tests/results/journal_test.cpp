#include "results/journal.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <csignal>
#include <functional>

#include "results/files.hpp"
#include "results/writer.hpp"
#include "tests/results/sample.hpp"

namespace faultline {
namespace {

using nlohmann::json;
using sample::put_text;
using sample::TemporaryDirectory;
using sample::text_of;

std::string message_of(const std::function<void()>& act) {
  try {
    act();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "no error";
}

bool one_line_with(const std::string& message, const std::vector<std::string>& parts) {
  if (message.find('\n') != std::string::npos) return false;
  return std::all_of(parts.begin(), parts.end(), [&](const std::string& part) {
    return message.find(part) != std::string::npos;
  });
}

void write_journal(const std::string& path) {
  Journal journal(path, sample::header({}));
  std::mt19937_64 random(1);
  for (int i = 0; i < 3; ++i)
    journal.append(sample::trial({"local", "mmap_sem", 2}, i, false, {}, random));
  journal.append({{"ended", true}});
}

TEST(Journal, ReadsBackWhatWasAppended) {
  const TemporaryDirectory directory;
  write_journal(directory.file("j"));
  const JournalContent content = read_journal(directory.file("j"));
  EXPECT_EQ(content.header.at("suite"), "quick");
  ASSERT_EQ(content.trials.size(), 3u);
  EXPECT_EQ(content.trials[2].at("repetition"), 2);
  EXPECT_FALSE(content.killed);
}

TEST(Journal, OfAKilledRunKeepsEveryWholeLineWhereverItWasCut) {
  const TemporaryDirectory directory;
  write_journal(directory.file("j"));
  const std::string whole = text_of(directory.file("j"));
  const std::size_t header_end = whole.find('\n') + 1;
  for (std::size_t cut = header_end; cut < whole.size(); cut += 97) {
    put_text(directory.file("cut"), whole.substr(0, cut));
    const JournalContent content = read_journal(directory.file("cut"));
    const auto lines = static_cast<std::size_t>(
        std::count(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(cut), '\n'));
    EXPECT_EQ(content.trials.size(), lines - 1);
    EXPECT_TRUE(content.killed);
  }
}

TEST(Journal, IsRecoverableAfterItsWriterWasKilled) {
  const TemporaryDirectory directory;
  const pid_t child = fork();
  if (child == 0) {
    Journal journal(directory.file("j"), sample::header({}));
    std::mt19937_64 random(1);
    for (int i = 0;; ++i) {
      journal.append(sample::trial({"local", "mmap_sem", 2}, i, false, {}, random));
      if (i == 4) raise(SIGKILL);
    }
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status));
  const json results = recover(directory.file("j"), directory.file("out.json"));
  EXPECT_EQ(results.at("faultline").at("cases").at(0).at("throughput").at("repetitions").size(),
            5u);
  EXPECT_EQ(json::parse(text_of(directory.file("out.json"))), results);
  EXPECT_EQ(results.at("faultline").at("left_out").back().at("why"),
            "the run was killed, or its disk was full");
}

TEST(Journal, TakesWhatWasLeftOutLate) {
  const TemporaryDirectory directory;
  {
    Journal journal(directory.file("j"), sample::header({}));
    journal.append({{"left_out", {{{"what", "12 trials"}, {"why", "interrupted"}}}}});
  }
  EXPECT_EQ(read_journal(directory.file("j")).header.at("left_out").size(), 2u);
}

TEST(Journal, RefusesForeignAndCorruptFilesByFileAndLine) {
  const TemporaryDirectory directory;
  write_journal(directory.file("j"));
  const std::string whole = text_of(directory.file("j"));
  const std::string header = whole.substr(0, whole.find('\n') + 1);
  const std::string path = directory.file("bad");
  const auto message = [&](const std::string& text) {
    put_text(path, text);
    return message_of([&] { read_journal(path); });
  };
  EXPECT_PRED2(one_line_with, message(""),
               (std::vector<std::string>{path, "line 1", "expected a header"}));
  EXPECT_PRED2(one_line_with, message("{}\n"),
               (std::vector<std::string>{path, "line 1", "expected a header"}));
  EXPECT_PRED2(one_line_with, message("hello\n"),
               (std::vector<std::string>{path, "line 1", "expected one JSON"}));
  EXPECT_PRED2(one_line_with, message(header + "{\"a\":\n" + header),
               (std::vector<std::string>{path, "line 2", "expected one JSON"}));
  EXPECT_PRED2(one_line_with, message(header + "{\"case\": {}}\n"),
               (std::vector<std::string>{path, "line 2", "expected a trial"}));
  EXPECT_PRED2(one_line_with, message_of([&] { read_journal(directory.file("none")); }),
               (std::vector<std::string>{"No such file", "expected the journal"}));
  EXPECT_PRED2(one_line_with, message_of([&] { read_journal(directory.file("")); }),
               (std::vector<std::string>{"a directory", "expected the journal"}));
}

/** Runs `act` in a process that may write no file beyond `bytes`, and gives its exit status: a full
 * disk. */
int with_full_disk(std::size_t bytes, const std::function<int()>& act) {
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{bytes, bytes};
    setrlimit(RLIMIT_FSIZE, &limit);
    _exit(act());
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(Journal, OnAFullDiskTakesTheHalfLineBackAndStaysReadable) {
  const TemporaryDirectory directory;
  const int appended = with_full_disk(6000, [&] {
    Journal journal(directory.file("j"), sample::header({}));
    std::mt19937_64 random(1);
    for (int i = 0; i < 100; ++i) {
      const std::string message = message_of([&] {
        journal.append(sample::trial({"local", "mmap_sem", 2}, i, false, {}, random));
      });
      if (message != "no error") return one_line_with(message, {"journal", "expected"}) ? i : 101;
    }
    return 100;
  });
  ASSERT_GT(appended, 0);
  ASSERT_LT(appended, 100);
  const JournalContent content = read_journal(directory.file("j"));
  EXPECT_EQ(content.trials.size(), static_cast<std::size_t>(appended));
  EXPECT_TRUE(content.killed);
}

TEST(WriteAtomically, OnAFullDiskLeavesTheFormerFileAndNothingElse) {
  const TemporaryDirectory directory;
  put_text(directory.file("out"), "former");
  const int status = with_full_disk(1000, [&] {
    const std::string message =
        message_of([&] { write_atomically(directory.file("out"), std::string(5000, 'x')); });
    return one_line_with(message, {"cannot write", directory.file("out"), "expected"}) ? 0 : 1;
  });
  EXPECT_EQ(status, 0);
  EXPECT_EQ(text_of(directory.file("out")), "former");
  EXPECT_EQ(directory.names(), std::vector<std::string>{"out"});
}

TEST(WriteAtomically, RefusesWhatCannotBecomeARegularFile) {
  const TemporaryDirectory directory;
  for (const std::string& path :
       {directory.file("no/such/place"), std::string("/dev/full"), directory.file("")}) {
    EXPECT_PRED2(one_line_with, message_of([&] { write_atomically(path, "x"); }),
                 (std::vector<std::string>{"cannot write", path, "expected"}));
    EXPECT_PRED2(one_line_with, message_of([&] { require_writable(path); }),
                 (std::vector<std::string>{"cannot write", path, "expected"}));
  }
}

TEST(RequireWritable, LeavesNothingBehind) {
  const TemporaryDirectory directory;
  require_writable(directory.file("out"));
  EXPECT_TRUE(directory.names().empty());
}

}  // namespace
}  // namespace faultline
