#include "tests/hang_watch.hpp"

#include <gtest/gtest.h>

#include "harness/native/platform.hpp"

namespace faultline {
namespace {

TEST(HangWatch, TellsWhoWaitsForWhatAfterTheLimit) {
  const NativeThread thread(3, 0, 0, 1);
  EXPECT_TRUE(stalled_threads(0).empty());
  int lock = 0;
  NativePlatform::wait_begin(&lock, "a lock");
  while (stalled_threads(1e-6).empty()) {
  }
  const std::vector<std::string> lines = stalled_threads(1e-6);
  EXPECT_EQ(lines.size(), 1U);
  EXPECT_TRUE(lines[0].starts_with("thread 3 (CPU 0) waits")) << lines[0];
  EXPECT_NE(lines[0].find("for a lock at"), std::string::npos) << lines[0];
  EXPECT_TRUE(stalled_threads(3600).empty());
  NativePlatform::wait_end();
  EXPECT_TRUE(stalled_threads(0).empty());
}

}  // namespace
}  // namespace faultline
