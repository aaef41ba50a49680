// faultline-tests-mutated: the unit tests of locks/ over headers with mutants. Option --mutant=N
// chooses one by its number; 0 chooses none.
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <string_view>

#include "harness/check/semantic/mutant.hpp"
#include "harness/check/semantic/unit_tests.hpp"

// A mutant may hang. The signal then ends the process.
struct EndsHungTests : testing::EmptyTestEventListener {
  void OnTestStart(const testing::TestInfo&) override {
    alarm(faultline::check::most_test_seconds);
  }
};

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  testing::UnitTest::GetInstance()->listeners().Append(new EndsHungTests);
  // The search that has started this program may be stopped.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  constexpr std::string_view option = "--mutant=";
  for (int i = 1; i < argc; ++i)
    if (std::string_view(argv[i]).starts_with(option))
      faultline::semantic::active_mutant =
          static_cast<unsigned>(std::strtoul(argv[i] + option.size(), nullptr, 10));
  return RUN_ALL_TESTS();
}
