#include "tests/hang_watch.hpp"

#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <cstdio>
#include <latch>
#include <thread>

#include "harness/native/platform.hpp"

namespace faultline {
namespace {

constexpr double limit_s = 10;

void tell(const std::vector<std::string>& lines) {
  const testing::TestInfo* test = testing::UnitTest::GetInstance()->current_test_info();
  if (test != nullptr)
    std::fprintf(stderr, "%s.%s makes no progress:\n", test->test_suite_name(), test->name());
  for (const std::string& line : lines) std::fprintf(stderr, "  %s\n", line.c_str());
}

[[noreturn]] void watch() {
  using Clock = std::chrono::steady_clock;
  for (Clock::time_point next = Clock::now();;) {
    std::this_thread::sleep_for(std::chrono::seconds(1));
    if (Clock::now() < next) continue;
    const std::vector<std::string> lines = stalled_threads(limit_s);
    if (lines.empty()) continue;
    tell(lines);
    next = Clock::now() + std::chrono::seconds(30);
  }
}

class HangWatch : public testing::Environment {
 public:
  // The watch takes no signal: tests send signals to their process and block them in their threads.
  // Tests begin when the watch has started. A thread that starts may hold a lock of
  // AddressSanitizer's allocator, which would be locked for ever in a process that a test forks
  // meanwhile.
  void SetUp() override {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    static std::latch has_begun(1);
    std::thread([] {
      has_begun.count_down();
      watch();
    }).detach();
    has_begun.wait();
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }
};

const testing::Environment* const hang_watch = testing::AddGlobalTestEnvironment(new HangWatch);

}  // namespace

std::vector<std::string> stalled_threads(double limit) {
  const u64 now = native::now_ns();
  for (u32 thread = 0; thread < native::max_threads; ++thread) {
    const u64 since = native::waiting_since(thread);
    if (since != 0 && since < now && static_cast<double>(now - since) * 1e-9 >= limit)
      return native::waiting_threads();
  }
  return {};
}

}  // namespace faultline
