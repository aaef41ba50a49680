#include "workloads/replay.hpp"

#include <barrier>
#include <chrono>
#include <thread>

#include "harness/native/platform.hpp"
#include "harness/native/registry.hpp"
#include "tests/workloads/trace_files.hpp"

namespace faultline {
namespace {

using P = NativePlatform;
using namespace std::chrono_literals;

struct Outcome {
  u64 operations = 0;
  u64 errors = 0;
  std::string failure;
  std::string oracle;
};

// Runs `threads` workers on `scheme` for `window`.
Outcome replay(const std::string& scheme, const std::string& path, u32 threads,
               std::chrono::milliseconds window) {
  NativeThread main_thread(threads, 0, 0, 1);
  Replay<P> workload(std::make_shared<const Trace>(read_trace(path)), threads);
  AddressSpaceOptions options;
  options.threads = threads;
  options.clear_pages = false;
  workload.demands(options);
  const std::unique_ptr<AddressSpace> space =
      make_scheme<P>(choose(scheme_family, scheme), options);
  Window<P> phase;
  std::vector<std::unique_ptr<Worker<P>>> workers;
  for (u32 i = 0; i < threads; ++i)
    workers.push_back(
        std::make_unique<Worker<P>>(space.get(), phase, i, threads, Role::all, false, nullptr));
  space->enter();
  workload.set_up(*workers[0]);
  phase.phase.store(phase_measure);
  std::vector<std::string> failures(threads);
  std::barrier entered(threads);
  std::vector<std::thread> running;
  for (u32 i = 0; i < threads; ++i)
    running.emplace_back([&, i] {
      NativeThread registered(i, i % 2, 0, i + 1);
      space->enter();
      try {
        workload.enter(*workers[i]);
        entered.arrive_and_wait();
        workload.run(*workers[i]);
        workers[i]->finish();
      } catch (const std::runtime_error& error) {
        failures[i] = error.what();
        phase.phase.store(phase_stop);
      }
    });
  std::this_thread::sleep_for(window);
  phase.phase.store(phase_stop);
  for (std::thread& thread : running) thread.join();
  Outcome outcome;
  for (u32 i = 0; i < threads; ++i) {
    const Tally& tally = workers[i]->tally();
    for (u64 count : tally.operations) outcome.operations += count;
    for (u64 count : tally.errors) outcome.errors += count;
    outcome.failure += failures[i];
  }
  outcome.oracle = space->check();
  return outcome;
}

class ReplayOn : public testing::TestWithParam<std::string> {
 protected:
  u32 limit(u32 threads) const {
    const u32 most = choose(scheme_family, GetParam()).max_threads();
    return most == 0 ? threads : std::min(most, threads);
  }
};

TEST_P(ReplayOn, PlaysTheOwnTraceForRoundsOnFoldedThreads) {
  Outcome outcome;
  // On a busy machine no operation may complete in the first windows.
  for (std::chrono::milliseconds window{50}; outcome.operations == 0 && window < 60s; window *= 4)
    outcome = replay(GetParam(), recorded_trace("pack"), limit(2), window);
  EXPECT_EQ(outcome.failure, "");
  EXPECT_EQ(outcome.oracle, "");
  EXPECT_EQ(outcome.errors, 0U);
  EXPECT_GT(outcome.operations, 0U);
}

TEST_P(ReplayOn, PlaysTheOwnTraceOnAsManyThreadsAsWereRecorded) {
  const Outcome outcome =
      replay(GetParam(), recorded_trace("pack"), limit(9), std::chrono::milliseconds(50));
  EXPECT_EQ(outcome.failure, "");
  EXPECT_EQ(outcome.oracle, "");
  EXPECT_EQ(outcome.errors, 0U);
}

TEST_P(ReplayOn, PlaysZstdsTrace) {
  const Outcome outcome =
      replay(GetParam(), recorded_trace("zstd"), limit(7), std::chrono::milliseconds(100));
  EXPECT_EQ(outcome.failure, "");
  EXPECT_EQ(outcome.oracle, "");
}

INSTANTIATE_TEST_SUITE_P(Schemes, ReplayOn, testing::ValuesIn(stars_of(scheme_family, true)),
                         [](const auto& parameter) {
                           std::string name = parameter.param;
                           for (char& c : name)
                             if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
                           return name;
                         });

}  // namespace
}  // namespace faultline
