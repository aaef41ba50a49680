// faultline-tests-mutated: the unit tests of locks/ over headers with mutants. Option
// --mutant=FILE:NAME chooses one.
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>
#include <string_view>

#include "harness/check/semantic/mutant.hpp"
#include "harness/check/semantic/unit_tests.hpp"

// A mutant may hang. The signal then ends the process.
struct EndsHungTests : testing::EmptyTestEventListener {
  void OnTestStart(const testing::TestInfo&) override {
    alarm(faultline::check::most_test_seconds);
  }
};

namespace {

using faultline::semantic::mutants;

// The number of a mutant, or 0 if there is none of that text.
unsigned number_of(std::string_view text) {
  for (unsigned i = 0; i < mutants().size(); ++i)
    if (text == text_of(mutants()[i])) return i + 1;
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  testing::UnitTest::GetInstance()->listeners().Append(new EndsHungTests);
  // The search that has started this program may be stopped.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  constexpr std::string_view option = "--mutant=";
  for (int i = 1; i < argc; ++i) {
    if (!std::string_view(argv[i]).starts_with(option)) continue;
    faultline::semantic::active_mutant = number_of(argv[i] + option.size());
    if (faultline::semantic::active_mutant == 0) return faultline::check::unknown_mutant;
  }
  return RUN_ALL_TESTS();
}
