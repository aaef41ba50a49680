// Tortures every lock and scheme for a moment. Every build makes it under each sanitizer, so that
// errors which only a sanitizer sees are seen before a change lands. `faultline torture` is the
// long run.
#include <iostream>
#include <string_view>

#include "harness/native/platform.hpp"
#include "harness/torture/torture.hpp"

int main(int argc, char** argv) {
  using namespace faultline::torture;
  constexpr const char* one = "one";
  if (argc > 1 && argv[1] == std::string_view(one)) {
    torture_by_spec(std::cin);
    return 0;
  }
  const Options options{.duration_s = 0.25, .patience_s = 60};
  return torture_all(sound_victims(), options, {"/proc/self/exe", one}, std::cout);
}
