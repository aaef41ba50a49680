// The checker as users run it: sound locks pass and report what was explored, broken locks fail
// with their interleaving.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <string>

#include "locks/platform.hpp"
#include "tests/paths.hpp"

namespace faultline {
namespace {

struct Outcome {
  int exit_code = -1;
  std::string text;
};

// Both outputs of a shell's command.
Outcome shell(const std::string& command) {
  Outcome outcome;
  FILE* pipe = popen(fmt::format("exec 2>&1; {}", command).c_str(), "r");
  if (pipe == nullptr) return outcome;
  char buffer[4096];
  for (std::size_t n = 0; (n = fread(buffer, 1, sizeof(buffer), pipe)) > 0;)
    outcome.text.append(buffer, n);
  const int status = pclose(pipe);
  outcome.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return outcome;
}

Outcome check(const std::string& arguments) {
  return shell(fmt::format("'{}' check {}", FAULTLINE_BINARY, arguments));
}

bool says(const Outcome& outcome, const char* text) {
  return outcome.text.find(text) != std::string::npos;
}

TEST(Check, ExploresTicketAndMcsCompletely) {
  const Outcome outcome = check("ticket mcs");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.text;
  EXPECT_TRUE(says(outcome, "2 threads x 2, exhaustive")) << outcome.text;
  EXPECT_TRUE(says(outcome, "complete")) << outcome.text;
  EXPECT_FALSE(says(outcome, "not complete")) << outcome.text;
}

TEST(Check, ShowsTheInterleavingInWhichABustedLockFails) {
  const Outcome outcome = check("busted");
  EXPECT_EQ(outcome.exit_code, 1) << outcome.text;
  EXPECT_TRUE(says(outcome, "data race")) << outcome.text;
  EXPECT_TRUE(says(outcome, "thread 1  store")) << outcome.text;
  EXPECT_TRUE(says(outcome, "relaxed  locks/mutex/busted.hpp:")) << outcome.text;
}

TEST(Check, FindsALostWakeUp) {
  const Outcome outcome = check("mutex:flaw=late_ticket");
  EXPECT_EQ(outcome.exit_code, 1) << outcome.text;
  EXPECT_TRUE(says(outcome, "deadlock: thread")) << outcome.text;
  EXPECT_TRUE(says(outcome, "wait, sleeps")) << outcome.text;
}

TEST(Check, SaysWhatChecksALockThatItDoesNotExplore) {
  for (const char* name : {"none", "linux", "pthread_rwlock"}) {
    const Outcome outcome = check(name);
    EXPECT_EQ(outcome.exit_code, 2) << outcome.text;
    EXPECT_TRUE(says(outcome, "exists, and is checked by `faultline torture")) << outcome.text;
  }
  EXPECT_TRUE(says(check("rbtree"), "exists, and is checked within the schemes"));
  EXPECT_TRUE(says(check("mmap_sem:lock=pthread_rwlock"), "its source belongs to a library"));
  EXPECT_TRUE(says(check("nosuch"), "no lock or scheme 'nosuch'"));
}

// The answer to the last name tells that the names before it are known.
TEST(Check, TakesNamesAsTheProgramsThatMeasureDo) {
  const Outcome outcome = check("rwsem:osq=on mmap_sem:vmas=rbtree:lock=rwsem nosuch");
  EXPECT_TRUE(says(outcome, "no lock or scheme 'nosuch'")) << outcome.text;
  EXPECT_TRUE(says(check("rwsem:osq=maybe"), "osq=maybe: expected on or off"));
  EXPECT_TRUE(says(check("mmap_sem:nosuch=on"), "'mmap_sem:nosuch=on': "));
  const Outcome two = check("rwsem:osq=off:handoff=off");
  EXPECT_EQ(two.exit_code, 2);
  EXPECT_TRUE(says(two, "checked only with other options; expected one of rwsem, ")) << two.text;
}

TEST(Check, RefusesOptionsThatItWouldNotHeed) {
  EXPECT_TRUE(says(check("ticket --export-genmc mcs"), "expected nothing but one name beside it"));
  EXPECT_TRUE(says(check("--semantic"), "--semantic: expected --mutants beside it"));
}

TEST(Check, TakesEverySeedOfSixtyFourBitsAndNoOther) {
  EXPECT_EQ(check("ticket --seed 18446744073709551615").exit_code, 0);
  for (const char* seed : {"-1", "18446744073709551616", "x"}) {
    const Outcome outcome = check(std::string("ticket --seed ") + seed);
    EXPECT_EQ(outcome.exit_code, 2) << outcome.text;
    EXPECT_TRUE(says(outcome, "expected a whole number from 0 to")) << outcome.text;
  }
}

TEST(Check, RunsALockThatIsGivenTwiceOnce) {
  const auto rows = [](const Outcome& outcome) {
    usize count = 0;
    for (usize at = 0; (at = outcome.text.find("\nticket ", at)) != std::string::npos; ++at)
      ++count;
    return count;
  };
  EXPECT_EQ(rows(check("ticket ticket")), rows(check("ticket")));
}

// Compiles the lock's export, after `edit` (a script of sed), and runs it under ThreadSanitizer.
Outcome run_export(const std::string& lock, const std::string& edit = "") {
  const std::string file = testing::TempDir() + fmt::format("export-{}-{}", lock, getpid());
  return shell(
      fmt::format("'{0}' check --export-genmc {1} | sed '{2}' >'{3}.cpp' && "
                  "c++ -std=c++20 -O1 -w -fsanitize=thread -pthread -DEXPORTED_THREADS=3 "
                  "-DEXPORTED_TURNS=100 '{3}.cpp' -o '{3}' && timeout 60 '{3}'; "
                  "code=$?; rm -f '{3}' '{3}.cpp'; exit $code",
                  FAULTLINE_BINARY, lock, edit, file));
}

TEST(Check, ExportsLocksThatThreadSanitizerFindsSound) {
  for (const char* lock : {"mcs", "rwsem", "tree_range_lock"}) {
    const Outcome outcome = run_export(lock);
    // The compiler's ThreadSanitizer may be older than the kernel.
    if (says(outcome, "unexpected memory mapping")) GTEST_SKIP();
    EXPECT_EQ(outcome.exit_code, 0) << lock << outcome.text;
  }
}

TEST(Check, ExportsALockWithItsFaults) {
  const Outcome outcome = run_export("mcs", "s/memory_order_[a-z_]*/memory_order_relaxed/");
  if (says(outcome, "unexpected memory mapping")) GTEST_SKIP();
  EXPECT_NE(outcome.exit_code, 0) << outcome.text;
  EXPECT_TRUE(says(outcome, "data race")) << outcome.text;
}

TEST(Check, ExportsNoLockOfALibrary) {
  const Outcome outcome = check("--export-genmc pthread_rwlock");
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_TRUE(says(outcome, "expected one of ticket, mcs")) << outcome.text;
}

// SIGTERM: the shell lets its background processes ignore SIGINT.
TEST(Check, TellsTheFailureThatItHasFoundWhenItIsStopped) {
  const std::string out = testing::TempDir() + fmt::format("stopped-check-{}", getpid());
  const std::string script = fmt::format(
      "'{}' check busted rwsem --deep --jobs 1 >'{}' 2>&1 & "
      "until grep -q FAILED '{}'; do sleep 0.02; done; kill -TERM $!; wait $!; echo exit code $?; "
      "cat '{}'; rm '{}'",
      FAULTLINE_BINARY, out, out, out, out);
  const Outcome outcome = shell(script);
  EXPECT_TRUE(says(outcome, "exit code 1")) << outcome.text;
  EXPECT_TRUE(says(outcome, "rows have not begun")) << outcome.text;
  EXPECT_TRUE(says(outcome, "data race, in execution")) << outcome.text;
}

// The story of a failure, without the table above it, which contains times.
std::string story_of(const Outcome& outcome) {
  const usize begin = outcome.text.find("\nrange_lock:flaw=hole: threads");
  return begin == std::string::npos ? "" : outcome.text.substr(begin);
}

// One test: each run of the checker takes many seconds.
TEST(Check, FindsAHoleInARangeByPrioritiesAndShowsTheSameInterleavingForTheSameSeed) {
  const Outcome outcome = check("range_lock:flaw=hole --seed 5 --jobs 1");
  EXPECT_EQ(outcome.exit_code, 1) << outcome.text;
  EXPECT_TRUE(says(outcome, "PCT depth 3, seed 5")) << outcome.text;
  EXPECT_TRUE(says(outcome, "a fault was served in a VMA that had been detached or moved"));
  EXPECT_TRUE(says(outcome, "thread 1  ")) << outcome.text;
  EXPECT_TRUE(says(outcome, "vma")) << outcome.text;
  EXPECT_FALSE(says(outcome, "does not fail when run again")) << outcome.text;
  const std::string story = story_of(outcome);
  EXPECT_NE(story, "");
  EXPECT_EQ(story, story_of(check("range_lock:flaw=hole --seed 5 --jobs 2")));
  EXPECT_NE(story, story_of(check("range_lock:flaw=hole --seed 8")));
}

TEST(Check, ExploresAVariantOfASchemeByPriorities) {
  const Outcome outcome = check("range_lock:structure=mcs");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.text;
  EXPECT_TRUE(says(outcome, "3 threads of calls, PCT depth 3, seed 1")) << outcome.text;
  EXPECT_TRUE(says(outcome, "no failure")) << outcome.text;
}

TEST(Check, FindsAnUnlockedFaultOfASchemeOverRelacyAndByPriorities) {
  const Outcome outcome = check("range_lock:flaw=unlocked_fault");
  EXPECT_EQ(outcome.exit_code, 1) << outcome.text;
  EXPECT_TRUE(says(outcome, "a page is mapped with more than its VMA permits")) << outcome.text;
  for (const char* search :
       {"2 threads of calls, exhaustive", "2 threads of calls, PCT depth 3, seed 1"}) {
    const usize row = outcome.text.find(search);
    ASSERT_NE(row, std::string::npos) << outcome.text;
    EXPECT_NE(outcome.text.substr(row, 120).find("FAILED"), std::string::npos) << outcome.text;
  }
}

TEST(Check, FindsWhatIsReachedAlthoughItNeedNotHaveBeenMade) {
  const Outcome outcome = check("mutex:flaw=early_publication");
  EXPECT_EQ(outcome.exit_code, 1) << outcome.text;
  EXPECT_TRUE(says(
      outcome, "a thread uses an object although nothing orders the use after its construction"))
      << outcome.text;
  EXPECT_TRUE(says(outcome, "load                     thread 1's memory")) << outcome.text;
}

TEST(Check, CatchesEveryWeakenedOrderOfTheTicketLock) {
  const Outcome outcome = check("ticket --weakened");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.text;
  EXPECT_TRUE(says(outcome, "4 of 4 caught")) << outcome.text;
  EXPECT_FALSE(says(outcome, "SURVIVES")) << outcome.text;
}

TEST(Check, DropsWakeUpsAndKnowsWhatAHeaderExcuses) {
  const Outcome outcome = check("rwsem_2012 --weakened");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.text;
  EXPECT_TRUE(says(outcome, "wake dropped")) << outcome.text;
  EXPECT_TRUE(says(outcome, "  excused   rwsem_2012 ")) << outcome.text;
  EXPECT_TRUE(says(outcome, "; as_in_linux\n")) << outcome.text;
  EXPECT_FALSE(says(outcome, "SURVIVES")) << outcome.text;
}

TEST(Check, TriesOnlyTheSitesThatAreAskedFor) {
  const Outcome outcome = check("ticket mcs --weakened --at locks/mutex/mcs.hpp:");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.text;
  EXPECT_TRUE(says(outcome, "locks/mutex/mcs.hpp:")) << outcome.text;
  EXPECT_FALSE(says(outcome, "locks/mutex/ticket.hpp:")) << outcome.text;
  const Outcome nowhere = check("ticket --weakened --at locks/mutex/mcs.hpp:");
  EXPECT_EQ(nowhere.exit_code, 2) << nowhere.text;
  EXPECT_TRUE(says(nowhere, "for example locks/mutex/ticket.hpp:")) << nowhere.text;
}

TEST(Check, CatchesLocksThatAreBrokenByHand) {
  const Outcome outcome = check("rwsem_2012 --broken");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.text;
  EXPECT_TRUE(says(outcome, "sound     control:shared")) << outcome.text;
  EXPECT_TRUE(says(outcome, "caught    shared:flaw=no_wake")) << outcome.text;
}

TEST(Check, NamesWhatHasTakenTheFormerOptionsPlace) {
  const Outcome outcome = check("ticket --mutants");
  EXPECT_EQ(outcome.exit_code, 2) << outcome.text;
  EXPECT_TRUE(says(outcome, "expected --weakened, --broken or both")) << outcome.text;
}

TEST(Check, KnowsEveryLockThatTheListSaysItChecks) {
  FILE* pipe = popen(fmt::format("'{}' list --json", FAULTLINE_BINARY).c_str(), "r");
  ASSERT_NE(pipe, nullptr);
  const auto all = nlohmann::json::parse(pipe);
  pclose(pipe);
  std::string names;
  for (const char* kind : {"locks", "schemes"})
    for (const auto& entry : all[kind])
      if (entry["checked_by"].get<std::string>().find("faultline check") == 0)
        names += fmt::format("'{}' ", entry["name"].get<std::string>());
  EXPECT_NE(names.find("'rwsem'"), std::string::npos) << names;
  const Outcome outcome = check(names + "no_such_lock");
  EXPECT_TRUE(says(outcome, "no lock or scheme 'no_such_lock'")) << outcome.text;
}

TEST(Check, LeavesABrokenLockOutOfWhatIsMeasured) {
  FILE* pipe =
      popen(fmt::format("'{}' run --workload lock_loop --scheme busted --out /dev/null 2>&1",
                        FAULTLINE_BINARY)
                .c_str(),
            "r");
  ASSERT_NE(pipe, nullptr);
  std::string text;
  for (int read = std::fgetc(pipe); read != EOF; read = std::fgetc(pipe))
    text += static_cast<char>(read);
  EXPECT_EQ(WEXITSTATUS(pclose(pipe)), 2) << text;
  EXPECT_NE(text.find("busted"), std::string::npos) << text;
}

TEST(Check, RefusesALockThatIsNotThere) {
  const Outcome outcome = check("no_such_lock");
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_TRUE(says(outcome, "'no_such_lock': expected one of ticket")) << outcome.text;
}

}  // namespace
}  // namespace faultline
