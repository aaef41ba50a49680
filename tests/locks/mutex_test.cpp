// Every mutex of the registry under stress, and broken locks, which the same stress finds.
#include <gtest/gtest.h>

#include <functional>
#include <thread>
#include <utility>
#include <vector>

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

// Runs a function of the thread just before the thread's next compare_exchange_strong.
struct InterruptedPlatform : NativePlatform {
  template <class T>
  struct atomic : NativePlatform::atomic<T> {
    using NativePlatform::atomic<T>::atomic;
    bool compare_exchange_strong(T& expected, T desired, std::memory_order success,
                                 std::memory_order failure) {
      if (const auto act = std::exchange(before_exchange, nullptr)) act();
      return NativePlatform::atomic<T>::compare_exchange_strong(expected, desired, success,
                                                                failure);
    }
  };
  inline static thread_local std::function<void()> before_exchange;
};

// The numbers of this lock wrap after 256 acquisitions, as those of a Ticket do after 2^32.
TEST(Ticket, TryLockStaysOutThoughItsNumberHasComeRoundWhileTheLockIsHeld) {
  const NativeThread thread(0, 0, 0, 1);
  TicketOf<InterruptedPlatform, std::uint8_t> lock;
  TicketOf<InterruptedPlatform, std::uint8_t>::Node node;
  std::atomic<bool> released{false};
  std::atomic<bool> returned{false};
  std::thread holder;
  InterruptedPlatform::before_exchange = [&] {
    for (int turn = 0; turn < 255; ++turn) lock.lock(node), lock.unlock(node);
    lock.lock(node);
    holder = std::thread([&] {
      const NativeThread other(1, 1, 0, 2);
      while (!returned && native::waiting_since(0) == 0) std::this_thread::yield();
      released = true;
      lock.unlock(node);
    });
  };
  TicketOf<InterruptedPlatform, std::uint8_t>::Node own;
  ASSERT_TRUE(lock.try_lock(own));
  EXPECT_TRUE(released);
  returned = true;
  holder.join();
  lock.unlock(own);
}

// The order in which a lock lets five threads in that queue while thread 0 holds it. Those of even
// numbers are on thread 0's NUMA node.
template <class L>
std::vector<u32> order_by_node() {
  L lock;
  typename L::Node node;
  std::vector<u32> order;
  std::vector<std::thread> threads;
  const NativeThread self(0, 0, 0, 1);
  lock.lock(node);
  for (u32 id = 1; id < 6; ++id) {
    threads.emplace_back([&, id] {
      const NativeThread thread(id, id % 2, id % 2, id + 1);
      typename L::Node own;
      lock.lock(own);
      order.push_back(id);
      lock.unlock(own);
    });
    while (native::waiting_since(id) == 0) std::this_thread::yield();
  }
  lock.unlock(node);
  for (std::thread& thread : threads) thread.join();
  return order;
}

// A preempted attempt changes nodes after a millisecond, so it is repeated.
TEST(Cna, LetsOneNodeInFirstAndTheOthersInTheirOrder) {
  const std::vector<u32> expected = {2, 4, 1, 3, 5};
  for (int attempt = 0; attempt < 1000; ++attempt)
    if (order_by_node<Cna<P>>() == expected) return;
  ADD_FAILURE() << "no attempt had the order";
}

TEST(Cohort, LetsOneNodeInFirstAndTheOthersInTheirOrder) {
  EXPECT_EQ(order_by_node<Cohort<P>>(), (std::vector<u32>{2, 4, 1, 3, 5}));
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
