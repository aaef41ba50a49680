// Tortures every lock, and every scheme over its default lock, of one part for a moment. Every
// build makes it under each sanitizer, so that errors which only a sanitizer sees are seen before a
// change lands. `faultline torture` is the long run.
#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "harness/native/platform.hpp"
#include "harness/torture/torture.hpp"

int main(int argc, char** argv) {
  using namespace faultline::torture;
  constexpr const char* one = "one";
  if (argc > 1 && argv[1] == std::string_view(one)) {
    torture_by_spec(std::cin);
    return 0;
  }
  const unsigned long part = argc == 3 ? std::strtoul(argv[1], nullptr, 10) : 0;
  const unsigned long parts = argc == 3 ? std::strtoul(argv[2], nullptr, 10) : 0;
  if (part == 0 || part > parts) {
    std::cerr << "expected two numbers: which part of the locks and schemes, of how many\n";
    return 2;
  }
  const std::vector<std::string> all = sound_victims();
  std::vector<std::string> names;
  for (std::size_t i = part - 1; i < all.size(); i += parts) names.push_back(all[i]);
  const Options options{.duration_s = 0.1, .patience_s = 60};
  return torture_all(names, options, {"/proc/self/exe", one}, std::cout);
}
