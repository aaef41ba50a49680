// Machine files of the simulator.
#include "harness/sim/machine.hpp"

#include "tests/fuzz/fuzz.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace faultline;
  static const fuzz::InputFile file(".json");
  fuzz::may_refuse([&] { sim::Machine::load(file.with(data, size)); });
  return 0;
}
