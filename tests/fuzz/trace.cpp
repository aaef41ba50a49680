// Recordings, plain or xz, and the plan to replay those that the reader accepts.
#include "tests/fuzz/fuzz.hpp"
#include "workloads/replay_plan.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace faultline;
  static const fuzz::InputFile file(".txt");
  fuzz::may_refuse([&] {
    const Trace trace = read_trace(file.with(data, size));
    constexpr u64 base = u64{1} << 44, heap = u64{1} << 40;
    const Trace moved = relocate(trace, base, u64{1} << 38, heap);
    plan_replay(moved, static_cast<u32>(trace.threads.size()));
  });
  return 0;
}
