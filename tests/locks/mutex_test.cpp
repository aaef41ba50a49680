// Every mutex of the registry under stress, and locks that are broken, which the same stress finds
// out.
#include <gtest/gtest.h>

#include "harness/native/platform.hpp"
#include "locks/mutex/list.hpp"
#include "tests/locks/broken.hpp"
#include "tests/locks/stress.hpp"

namespace faultline {
namespace {

using stress::Milliseconds;
using P = NativePlatform;

const auto mutexes = mutex_list<P>();

template <class L>
class EveryMutex : public testing::Test {};
TYPED_TEST_SUITE(EveryMutex, decltype(stress::types_of(mutexes)), stress::Names<mutexes>);

TYPED_TEST(EveryMutex, ExcludesAndForgetsNobody) {
  TypeParam lock;
  const stress::Report report = stress::hammer(lock, {.threads = 2});
  EXPECT_EQ(report.violations, 0U);
  EXPECT_GT(report.operations, 0U);
}

TYPED_TEST(EveryMutex, ExcludesAndForgetsNobodyWithMoreThreadsThanCpus) {
  TypeParam lock;
  const stress::Report report = stress::hammer(lock, {.threads = 6});
  EXPECT_EQ(report.violations, 0U);
  EXPECT_GT(report.operations, 0U);
}

TYPED_TEST(EveryMutex, TryLockFailsWhileHeldAndLeavesNoTrace) {
  const NativeThread thread(0, 0, 0, 1);
  TypeParam lock;
  typename TypeParam::Node holder;
  typename TypeParam::Node other;
  for (int turn = 0; turn < 3; ++turn) {
    lock.lock(holder);
    EXPECT_FALSE(lock.try_lock(other));
    EXPECT_FALSE(lock.try_lock(other));
    lock.unlock(holder);
    ASSERT_TRUE(lock.try_lock(other));
    lock.unlock(other);
  }
}

TEST(MutexStress, FindsALockThatDoesNotWait) {
  broken::ImpatientTicket lock;
  const stress::Plan plan{.duration = Milliseconds(20'000)};
  EXPECT_GT(stress::hammer<false>(lock, plan).violations, 0U);
}

TEST(MutexStress, FindsALockThatForgetsItsSleepers) {
  broken::Sleepy lock;
  const stress::Plan plan{.duration = Milliseconds(200),
                          .patience = Milliseconds(300),
                          .rescue = [&lock] { lock.rescue(); }};
  EXPECT_TRUE(stress::hammer<false>(lock, plan).hung);
}

}  // namespace
}  // namespace faultline
