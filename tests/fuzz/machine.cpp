// Machine files of the simulator. hwloc 2.9 leaks 32 bytes with some synthetic texts that it
// refuses, so run this target with -detect_leaks=0.
#include "harness/sim/machine/machine.hpp"

#include "tests/fuzz/fuzz.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace faultline;
  static const fuzz::InputFile file(".json");
  fuzz::may_refuse([&] { sim::Machine::load(file.with(data, size)); });
  return 0;
}
