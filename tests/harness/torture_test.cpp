// `faultline torture`: measured locks and schemes survive it, broken ones are reported, and one
// that hangs or crashes does not stop the others.
#include "harness/torture/torture.hpp"

#include <fmt/format.h>
#include <sys/wait.h>

#include <sstream>

#include "harness/torture/lock_turns.hpp"
#include "locks/address_space/tree_mm.hpp"
#include "locks/schemes/mmap_sem.hpp"
#include "locks/shared/rwsem.hpp"
#include "tests/harness/command_line.hpp"
#include "tests/harness/forked.hpp"
#include "tests/locks/broken.hpp"

namespace faultline {
namespace {

using nlohmann::json;

// The words of the table's row for `name`. Empty where there is no such row.
std::vector<std::string> row_of(const std::string& table, const std::string& name) {
  std::istringstream lines(table);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream text(line);
    std::vector<std::string> words{std::istream_iterator<std::string>(text), {}};
    if (!words.empty() && words.front() == name) return words;
  }
  return {};
}

TEST_F(CommandLine, EveryLockAndSchemeBearsAShortTorture) {
  const Outcome outcome = run("torture --duration 50ms --seed 1");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.out << outcome.errors;
  usize rows = 0;
  for (const torture::VictimEntry& entry : torture::victims()) {
    const std::vector<std::string> row = row_of(outcome.out, entry.name);
    EXPECT_EQ(row.empty(), entry.on_request) << entry.name;
    if (row.empty()) continue;
    EXPECT_EQ(row.back(), "ok") << entry.name;
    ++rows;
  }
  EXPECT_GE(rows, 25U);
}

TEST_F(CommandLine, TortureSignalsMovesAndReplacesThreads) {
  const Outcome outcome = run("torture rwsem --duration 2s --threads 3");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.out << outcome.errors;
  const std::vector<std::string> row = row_of(outcome.out, "rwsem");
  ASSERT_GE(row.size(), 6U) << outcome.out;
  EXPECT_EQ(row[1], "3");
  EXPECT_GT(std::stoull(row[2]), 0U) << "operations";
  EXPECT_GT(std::stoull(row[3]), 0U) << "signals";
  EXPECT_GT(std::stoull(row[4]), 0U) << "migrations";
  EXPECT_GT(std::stoull(row[5]), 2 * 3U) << "threads made, in two rounds";
}

TEST_F(CommandLine, TheSchemeWithoutALockIsTorturedByOneThread) {
  const Outcome outcome = run("torture none --duration 50ms --threads 8");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.out << outcome.errors;
  EXPECT_EQ(row_of(outcome.out, "none").at(1), "1");
}

TEST_F(CommandLine, TheBustedLockFailsUnderTorture) {
  const Outcome outcome = run("torture busted --duration 20s --threads 4");
  EXPECT_EQ(outcome.exit_code, 1) << outcome.out;
  EXPECT_EQ(row_of(outcome.out, "busted").back(), "FAILED") << outcome.out;
  EXPECT_NE(outcome.out.find("failed: busted: it let threads in"), std::string::npos)
      << outcome.out;
}

// The table's text on `names` when each of their processes is a shell script. The script finds its
// standard input in $spec.
std::pair<int, std::string> torture_by_script(const std::vector<std::string>& names,
                                              const std::string& script) {
  const torture::Options options{
      .duration_s = 0.1, .threads = 2, .seed = 1, .patience_s = 0.1, .set_up_s = 0.5};
  const std::string well =
      R"(; echo '{"threads":2,"operations":1,"signals":0,"migrations":0,"threads_made":2,"failure":""}')";
  std::ostringstream table;
  const int status = torture::torture_all(
      names, options, {"/bin/sh", "-c", "spec=$(cat); " + script + well}, table);
  return {status, table.str()};
}

TEST(Torture, TellsOfACrashAndGoesOn) {
  const auto [status, table] = torture_by_script(
      {"ticket", "mcs"}, "case $spec in *ticket*) echo 'last words' >&2; kill -SEGV $$;; esac");
  EXPECT_EQ(status, 1);
  EXPECT_EQ(row_of(table, "ticket").back(), "FAILED");
  EXPECT_EQ(row_of(table, "mcs").back(), "ok");
  EXPECT_NE(table.find("failed: ticket: its process crashed: SIGSEGV, Segmentation fault: last "
                       "words\n"),
            std::string::npos)
      << table;
}

TEST(Torture, EndsAProcessThatDoesNotEndAndGoesOn) {
  const auto [status, table] =
      torture_by_script({"ticket", "mcs"}, "case $spec in *ticket*) sleep 1000;; esac");
  EXPECT_EQ(status, 1);
  EXPECT_EQ(row_of(table, "ticket").back(), "FAILED");
  EXPECT_EQ(row_of(table, "mcs").back(), "ok");
  EXPECT_NE(table.find("failed: ticket: its process did not end within"), std::string::npos)
      << table;
}

// A sanitizer ends a process in this way when it has found something.
TEST(Torture, TakesAnExitCodeForAFailureThoughTheRecordIsGood) {
  const auto [status, table] = torture_by_script({"ticket"}, "trap 'exit 66' EXIT");
  EXPECT_EQ(status, 1);
  EXPECT_NE(table.find("failed: ticket: its process ended with exit code 66"), std::string::npos)
      << table;
}

// The output of torture_here for `entry`, in a process of its own.
json torture_in_process(const torture::VictimEntry& entry, const torture::Options& options) {
  const std::string text = printed_in_process([&] { torture_here(entry, options); }, 0);
  return json::parse(text, nullptr, false);
}

template <class L>
torture::VictimEntry broken_entry(const char* name) {
  const auto make = [](const torture::VictimEntry&, u32) -> std::unique_ptr<torture::Victim> {
    return std::make_unique<torture::LockVictim<torture::Turns<L, false>>>();
  };
  return {name, "", 0, true, make};
}

TEST(Torture, TellsWhichThreadsALockHasForgotten) {
  const json record =
      torture_in_process(broken_entry<broken::Sleepy>("sleepy"),
                         {.duration_s = 60, .threads = 4, .seed = 1, .patience_s = 0.5});
  const std::string failure = record["failure"];
  EXPECT_NE(failure.find("did not come back within 0.5 s: thread "), std::string::npos) << failure;
  EXPECT_NE(failure.find("for sleepy"), std::string::npos) << failure;
  EXPECT_NE(failure.find("asleep"), std::string::npos) << failure;
}

TEST(Torture, FindsADowngradeThatLetsAWriterInBetween) {
  const json record =
      torture_in_process(broken_entry<broken::GappyDowngrade>("gappy"),
                         {.duration_s = 60, .threads = 4, .seed = 1, .patience_s = 30});
  EXPECT_NE(record["failure"].get<std::string>().find("let threads in"), std::string::npos)
      << record;
}

// An address space whose discard keeps the pages. No look at mappings tells that.
class Hoarding final : public MmapSemBase<TreeMm<NativePlatform>, Rwsem<NativePlatform>, Hoarding> {
 public:
  using MmapSemBase::MmapSemBase;
  Error do_discard(Range) { return Error::none; }
};

TEST(Torture, FindsPagesThatKeepTheirContent) {
  const auto make = [](const torture::VictimEntry&, u32 threads) {
    return torture::space_victim(std::make_unique<Hoarding>(torture::space_options(threads)),
                                 false);
  };
  const json record = torture_in_process({"hoarding", "", 0, true, make},
                                         {.duration_s = 60, .threads = 4, .seed = 1});
  EXPECT_NE(record["failure"].get<std::string>().find("is not zero"), std::string::npos) << record;
}

// The sanitizers handle crashes themselves.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
class Crashing : public broken::ImpatientTicket {
 public:
  void lock(Node&) { raise(SIGSEGV); }
};

TEST(Torture, TellsOfACrashInALock) {
  const json record =
      torture_in_process(broken_entry<Crashing>("crashing"),
                         {.duration_s = 60, .threads = 4, .seed = 1, .patience_s = 0.5});
  EXPECT_NE(record["failure"].get<std::string>().find("crashed: Segmentation fault"),
            std::string::npos)
      << record;
}
#endif

}  // namespace
}  // namespace faultline
