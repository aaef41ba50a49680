// The unit tests of locks/, compiled over the headers with mutants: the second judge of a mutant
// that no search has caught.
#pragma once

#include <optional>
#include <string>

namespace faultline::check {

// The most that one test may take, by the clock: far more than it does, since other processes may
// use the CPUs.
inline constexpr unsigned most_test_seconds = 150;

// Runs faultline-tests-mutated, which lies beside this program, with the mutant of a number
// (mutant.hpp; 0 for none). Answers what went wrong: the first test that failed, the one that
// crashed, or the one that had not ended after most_test_seconds. Throws std::runtime_error where
// the program cannot be started.
std::optional<std::string> failing_test(unsigned mutant);

}  // namespace faultline::check
