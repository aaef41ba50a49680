// CMake leaves this file out where the lock is left out.
#include "locks/range/list_range_lock.hpp"

#include <gtest/gtest.h>

#include "harness/native/platform.hpp"
#include "tests/locks/event.hpp"
#include "tests/locks/stress.hpp"

namespace faultline {
namespace {

using P = NativePlatform;
using Lock = ListRangeLock<P>;

Range pages(u64 first, u64 end) {
  return {first * page_size, end * page_size};
}

TEST(ListRangeLock, ALoneRangeComesAndGoesByTheHeadUntilAnotherOneHasCome) {
  NativeThread self(0, 0, 0, 1);
  Lock lock;
  Lock::Node node, other;
  for (int turn = 0; turn < 10; ++turn) {
    lock.lock(node, pages(0, 4), true);
    lock.unlock(node);
  }
  EXPECT_EQ(event(lock, "range.listed"), 0u);
  lock.lock(node, pages(0, 4), true);
  lock.lock(other, pages(4, 5), true);
  lock.unlock(node);
  lock.unlock(other);
  EXPECT_EQ(event(lock, "range.listed"), 1u);
  EXPECT_TRUE(lock.describe().empty());
}

TEST(ListRangeLock, ReadersStandInTheOrderOfTheirStartsAndHideNoWriter) {
  NativeThread self(0, 0, 0, 1);
  Lock lock;
  Lock::Node wide, narrow, other;
  lock.lock(narrow, pages(4, 5), false);
  lock.lock(wide, pages(0, 9), false);
  EXPECT_EQ(lock.describe(),
            (std::vector<std::string>{"thread 0 holds or tries [0x0, 0x9000) shared",
                                      "thread 0 holds or tries [0x4000, 0x5000) shared"}));
  EXPECT_FALSE(lock.try_lock(other, pages(8, 9), true));
  lock.downgrade_range(wide, pages(6, 9));
  EXPECT_EQ(lock.describe(),
            (std::vector<std::string>{"thread 0 holds or tries [0x4000, 0x5000) shared",
                                      "thread 0 holds or tries [0x6000, 0x9000) shared"}));
  ASSERT_TRUE(lock.try_lock(other, pages(0, 4), true));
  lock.unlock(other);
  EXPECT_FALSE(lock.try_lock(other, pages(3, 5), true));
  lock.unlock(narrow);
  ASSERT_TRUE(lock.try_lock(other, pages(3, 5), true));
  lock.unlock(other);
  lock.unlock(wide);
  EXPECT_EQ(event(lock, "range.trylock_failed"), 2u);
}

// Each unlinked entry goes through a grace period of its own and comes back soon.
TEST(ListRangeLock, KeepsConflictsApartWhileEntriesAreReused) {
  NativeThread self(0, 0, 0, 1);
  ListRangeLock<P, 1> lock;
  const stress::Report report =
      stress::hammer(lock, {.threads = 4, .duration = stress::Milliseconds(500)});
  EXPECT_EQ(report.violations, 0u);
  EXPECT_GT(report.operations, 0u);
  EXPECT_TRUE(lock.describe().empty());
}

}  // namespace
}  // namespace faultline
