// Every reader-writer lock of the registry under stress, and broken locks, which the same stress
// finds. rwsem_test.cpp tests the promises of rwsem alone.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "harness/native/platform.hpp"
#include "locks/shared/list.hpp"
#include "tests/locks/broken.hpp"
#include "tests/locks/stress.hpp"

namespace faultline {
namespace {

using stress::Milliseconds;
using P = NativePlatform;

const auto shared_locks = shared_list<P>();

template <class L>
class EverySharedLock : public testing::Test {};
TYPED_TEST_SUITE(EverySharedLock, decltype(stress::types_of(shared_locks)),
                 stress::Names<shared_locks>);

TYPED_TEST(EverySharedLock, KeepsWritersApartAndForgetsNobody) {
  TypeParam lock;
  const stress::Report report = stress::hammer(lock, {.threads = 3});
  EXPECT_EQ(report.violations, 0U);
  EXPECT_GT(report.operations, 0U);
}

TYPED_TEST(EverySharedLock, KeepsWritersApartAndForgetsNobodyWithMoreThreadsThanCpus) {
  TypeParam lock;
  const stress::Report report = stress::hammer(lock, {.threads = 8});
  EXPECT_EQ(report.violations, 0U);
  EXPECT_GT(report.operations, 0U);
}

// Each try has a thread of its own, since no lock here is recursive.
TYPED_TEST(EverySharedLock, TryLocksFailWhereTheyWouldWait) {
  TypeParam lock;
  auto elsewhere = [](auto attempt) {
    bool result = false;
    std::thread([&] {
      const NativeThread thread(1, 1, 0, 2);
      result = attempt();
    }).join();
    return result;
  };
  auto reads = [&] { return lock.try_lock_shared() && (lock.unlock_shared(), true); };
  auto writes = [&] { return lock.try_lock() && (lock.unlock(), true); };
  const NativeThread thread(0, 0, 0, 1);
  lock.lock();
  EXPECT_FALSE(elsewhere(reads));
  EXPECT_FALSE(elsewhere(writes));
  lock.downgrade();
  EXPECT_TRUE(elsewhere(reads));
  EXPECT_FALSE(elsewhere(writes));
  lock.unlock_shared();
  EXPECT_TRUE(elsewhere(writes));
}

TYPED_TEST(EverySharedLock, LetsReadersInTogether) {
  TypeParam lock;
  std::atomic<int> inside{0};
  auto read = [&](u32 id) {
    const NativeThread thread(id, id, 0, id);
    lock.lock_shared();
    ++inside;
    while (inside != 2) std::this_thread::yield();
    lock.unlock_shared();
  };
  std::thread first(read, 0);
  std::thread second(read, 1);
  first.join();
  second.join();
}

const stress::Plan until_found{.duration = Milliseconds(20'000)};

TEST(SharedStress, FindsReadersThatComeInUnderAWriter) {
  broken::RudeReaders lock;
  EXPECT_GT(stress::hammer<false>(lock, until_found).violations, 0U);
}

TEST(SharedStress, FindsWritersThatShare) {
  broken::SharingWriters lock;
  EXPECT_GT(stress::hammer<false>(lock, until_found).violations, 0U);
}

TEST(SharedStress, FindsADowngradeThatLetsAWriterInBetween) {
  broken::GappyDowngrade lock;
  EXPECT_GT(stress::hammer<false>(lock, until_found).violations, 0U);
}

// Abseil's detector of deadlocks, which would slow each acquisition, ends the process when two
// locks are taken in both orders.
TEST(AbslMutex, DetectsNoDeadlocks) {
  AbslMutex<P> one, other;
  for (const auto& [first, second] : {std::pair(&one, &other), std::pair(&other, &one)}) {
    first->lock();
    second->lock();
    second->unlock();
    first->unlock();
  }
}

}  // namespace
}  // namespace faultline
