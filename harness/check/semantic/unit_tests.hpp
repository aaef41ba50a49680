// The unit tests of locks/, compiled over the headers with mutants: the second judge of a mutant
// that no search has caught.
#pragma once

#include <optional>
#include <string>

namespace faultline::check {

// The exit code of faultline-tests-mutated, where it does not have the mutant.
inline constexpr int unknown_mutant = 64;

// The most that one test may take, by the clock: far more than it does, since other processes may
// use the CPUs.
inline constexpr unsigned most_test_seconds = 150;

// Throws std::runtime_error where faultline-tests-mutated does not lie beside this program.
void expect_unit_tests();

// Runs faultline-tests-mutated with the mutant of a text "FILE:NAME", or with none if it is empty.
// Answers what went wrong: the first test that failed, the one that crashed, or the one that had
// not ended after most_test_seconds. Throws std::runtime_error where the program cannot be started.
std::optional<std::string> failing_test(const std::string& mutant);

}  // namespace faultline::check
