// Result files, and compare and the summary on those that the reader accepts.
#include <sstream>

#include "results/compare.hpp"
#include "results/reader.hpp"
#include "results/summary.hpp"
#include "tests/fuzz/fuzz.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace faultline;
  static const fuzz::InputFile file(".json");
  const std::string& path = file.with(data, size);
  fuzz::may_refuse([&] {
    std::ostringstream out;
    print_summary(out, load_results(path));
    compare(path, path, {}, out);
  });
  return 0;
}
