// Semantic mutants of locks/: places where a header is changed on purpose, to see whether the
// checker notices. tests/mutants/apply.py writes copies of the headers in which each mutant is a
// choice at run time, and the build of faultline-check-mutated compiles the checker over them.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace faultline::semantic {

struct Mutant {
  std::string_view file;        // "locks/shared/rwsem.hpp"
  std::string_view name;        // unique within the file
  std::string_view breaks;      // one sentence
  std::string_view equivalent;  // why no program can tell it from the original; else empty
  bool left_to_tests = false;   // no search catches it, but a unit test does
};

// A mutant's number is its index here, plus one. Written by apply.py.
const std::vector<Mutant>& mutants();

inline std::string text_of(const Mutant& mutant) {
  return std::string(mutant.file) + ":" + std::string(mutant.name);
}

inline constexpr unsigned most_mutants = 1024;

// The chosen mutant's number. 0: the headers behave as they are shipped.
inline unsigned active_mutant = 0;
// Whether execution has come past the mutant of a number.
inline std::array<bool, most_mutants> reached_mutants{};

// The copies of the headers call it at each mutant's place.
constexpr bool mutant_is(unsigned number) {
  if (std::is_constant_evaluated()) return false;
  reached_mutants[number] = true;
  return active_mutant == number;
}

}  // namespace faultline::semantic
