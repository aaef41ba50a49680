// CMake leaves this file out where the lock is left out.
#include "locks/range/counting_list_range_lock.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "harness/native/platform.hpp"
#include "tests/locks/event.hpp"
#include "tests/locks/stress.hpp"

namespace faultline {
namespace {

using P = NativePlatform;
using Lock = CountingListRangeLock<P>;
using Lines = std::vector<std::string>;

Range pages(u64 first, u64 end) {
  return {first * page_size, end * page_size};
}

class CountingList : public ::testing::Test {
 protected:
  // Another thread holds the range once, and `meanwhile` runs when it waits.
  template <class F>
  void beside(Range range, bool exclusive, const F& meanwhile) {
    std::atomic<bool> held{false};
    std::thread other([&] {
      NativeThread registered(1, 0, 0, 1);
      Lock::Node node;
      lock_.lock(node, range, exclusive);
      held.store(true);
      lock_.unlock(node);
    });
    while (lock_.describe().back().find("others wait") == std::string::npos)
      std::this_thread::yield();
    EXPECT_FALSE(held.load());
    meanwhile();
    other.join();
    EXPECT_EQ(event(lock_, "range.drains"), 1u);
  }

  NativeThread self_{0, 0, 0, 1};
  Lock lock_;
  Lock::Node node_, other_;
};

TEST_F(CountingList, CountsDisjointRangesAsIfTheyOverlapped) {
  lock_.lock(node_, pages(0, 1), true);
  EXPECT_EQ(lock_.describe(), Lines{"an exclusive hold counted"});
  EXPECT_FALSE(lock_.try_lock(other_, pages(5, 6), true));
  EXPECT_FALSE(lock_.try_lock(other_, pages(5, 6), false));
  lock_.unlock(node_);
  lock_.lock(node_, pages(0, 1), false);
  ASSERT_TRUE(lock_.try_lock(other_, pages(0, 1), false));
  EXPECT_EQ(lock_.describe(), Lines{"2 shared hold(s) counted"});
  lock_.unlock(other_);
  EXPECT_FALSE(lock_.try_lock(other_, pages(5, 6), true));
  lock_.unlock(node_);
  ASSERT_TRUE(lock_.try_lock(other_, pages(5, 6), true));
  lock_.unlock(other_);
  EXPECT_TRUE(lock_.describe().empty());
  EXPECT_EQ(event(lock_, "range.drains"), 0u);
}

TEST_F(CountingList, AConflictEndsTheCounting) {
  lock_.lock(node_, pages(0, 1), false);
  beside(pages(5, 6), true, [&] {
    EXPECT_FALSE(lock_.try_lock(other_, pages(0, 1), false));
    lock_.unlock(node_);
  });
  lock_.lock(node_, pages(0, 1), true);
  EXPECT_EQ(lock_.describe(), Lines{"thread 0 holds or tries [0x0, 0x1000) exclusive"});
  ASSERT_TRUE(lock_.try_lock(other_, pages(1, 2), true));
  lock_.unlock(other_);
  lock_.unlock(node_);
}

TEST_F(CountingList, NestingIsAllowedOnceTheCountingHasEnded) {
  lock_.allow_nesting();
  lock_.lock(node_, pages(0, 1), true);
  lock_.lock(other_, pages(1, 2), true);
  EXPECT_EQ(lock_.describe().size(), 2u);
  lock_.allow_nesting();
  lock_.unlock(node_);
  lock_.unlock(other_);
}

TEST_F(CountingList, ADowngradeStaysCountedUnlessOthersWait) {
  lock_.lock(node_, pages(0, 1), true);
  lock_.downgrade(node_);
  EXPECT_EQ(lock_.describe(), Lines{"1 shared hold(s) counted"});
  lock_.unlock(node_);
  lock_.lock(node_, pages(0, 2), true);
  beside(pages(1, 2), false, [&] { lock_.downgrade(node_); });
  EXPECT_EQ(lock_.describe(), Lines{"thread 0 holds or tries [0x0, 0x2000) shared"});
  lock_.unlock(node_);
}

TEST_F(CountingList, AHoldThatShrinksMovesToTheList) {
  lock_.lock(node_, pages(0, 4), true);
  beside(pages(0, 1), true, [&] { lock_.downgrade_range(node_, pages(1, 3)); });
  EXPECT_EQ(lock_.describe(), Lines{"thread 0 holds or tries [0x1000, 0x3000) exclusive"});
  lock_.unlock(node_);
}

TEST_F(CountingList, ASharedHoldThatShrinksWaitsForNobody) {
  lock_.lock(node_, pages(0, 4), false);
  lock_.lock(other_, pages(0, 4), false);
  lock_.downgrade_range(node_, pages(1, 3));
  EXPECT_EQ(lock_.describe(), (Lines{"thread 0 holds or tries [0x1000, 0x3000) shared",
                                     "1 shared hold(s) counted, for which others wait"}));
  lock_.unlock(other_);
  ASSERT_TRUE(lock_.try_lock(other_, pages(0, 1), true));
  lock_.unlock(other_);
  lock_.unlock(node_);
}

}  // namespace
}  // namespace faultline
