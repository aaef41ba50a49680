// faultline-tests-mutated: the unit tests of locks/ over headers with mutants. Option --mutant=N
// chooses one by its number; 0 chooses none.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string_view>

#include "harness/check/semantic/mutant.hpp"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  constexpr std::string_view option = "--mutant=";
  for (int i = 1; i < argc; ++i)
    if (std::string_view(argv[i]).starts_with(option))
      faultline::semantic::active_mutant =
          static_cast<unsigned>(std::strtoul(argv[i] + option.size(), nullptr, 10));
  return RUN_ALL_TESTS();
}
