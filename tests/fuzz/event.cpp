// The texts that name events: specifications for libpfm4, and the /proc/cpuinfo that decides which
// PMU is used.
#include "harness/counters/pmu.hpp"
#include "tests/fuzz/fuzz.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace faultline;
  const std::string text = fuzz::text_of(data, size);
  // Reaches PMUs that this machine does not have. libpfm4 reads the variable at its first use.
  static const bool all = setenv("LIBPFM_ENCODE_INACTIVE", "1", 1) == 0;
  if (!all) return 0;
  // libpfm4 takes a C string.
  encode(text.c_str());
  choose_pmu({text}, read_identity(text));
  return 0;
}
