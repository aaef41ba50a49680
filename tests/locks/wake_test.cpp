// A lock wakes its waiters after it has released its own spinlock, however many they are, as Linux
// does with wake_q.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "harness/native/platform.hpp"
#include "locks/mutex/ticket.hpp"
#include "locks/range/tree_range_lock.hpp"
#include "locks/shared/rwsem.hpp"

namespace faultline {
namespace {

// Counts wake-ups, and among them those that a thread sends while it holds a CountedMutex.
struct CountingPlatform : NativePlatform {
  static void wake(atomic<u32>& word, u32 n) {
    ++wakes;
    if (held != 0) ++wakes_within;
    NativePlatform::wake(word, n);
  }
  inline static std::atomic<u64> wakes{0}, wakes_within{0};
  inline static thread_local u32 held = 0;
};
static_assert(Platform<CountingPlatform>);
using P = CountingPlatform;

template <class>
class CountedMutex {
 public:
  using Node = Ticket<P>::Node;
  void lock(Node& node) { ticket_.lock(node), ++P::held; }
  bool try_lock(Node& node) {
    const bool locked = ticket_.try_lock(node);
    P::held += locked;
    return locked;
  }
  void unlock(Node& node) { --P::held, ticket_.unlock(node); }

 private:
  Ticket<P> ticket_;
};

constexpr u32 waiters = 100;

class WakeTest : public testing::Test {
 protected:
  void SetUp() override { P::wakes = 0, P::wakes_within = 0; }
  void TearDown() override {
    for (std::thread& thread : threads_) thread.join();
    EXPECT_EQ(P::wakes_within, 0u);
    EXPECT_GE(P::wakes, waiters);
  }

  // Starts `waiters` threads that run `body(number)`. Returns when all sleep.
  template <class F>
  void start(F body) {
    for (u32 id = 1; id <= waiters; ++id)
      threads_.emplace_back([=] {
        NativeThread self(id, id % 2, 0, id + 1);
        body(id);
      });
    for (u32 id = 1; id <= waiters; ++id)
      while (!native::thread_table.records[id].asleep) std::this_thread::yield();
  }

  NativeThread self_{0, 0, 0, 1};
  std::vector<std::thread> threads_;
};

class RangeWakes : public WakeTest {
 protected:
  using Lock = TreeRangeLock<P, CountedMutex>;
  static constexpr Range all{0, 1000 * page_size};

  // Shared waiters for one page each. They hold nothing afterwards.
  void start_readers() {
    start([this](u32 id) {
      Lock::Node node;
      lock_.lock(node, {id * page_size, (id + 1) * page_size}, false);
      lock_.unlock(node);
    });
  }
  Lock lock_;
  Lock::Node node_;
};

TEST_F(RangeWakes, UnlockSendsThemAfterwards) {
  lock_.lock(node_, all, true);
  start_readers();
  lock_.unlock(node_);
}

TEST_F(RangeWakes, DowngradeSendsThemAfterwards) {
  lock_.lock(node_, all, true);
  start_readers();
  lock_.downgrade(node_);
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  lock_.unlock(node_);
}

TEST_F(RangeWakes, DowngradeRangeSendsThemAfterwards) {
  lock_.lock(node_, all, true);
  start_readers();
  lock_.downgrade_range(node_, {0, page_size});
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  lock_.unlock(node_);
}

class RwsemWakes : public WakeTest {
 protected:
  Rwsem<P, RwsemPolicy{}, CountedMutex> lock_;
};

TEST_F(RwsemWakes, UnlockSendsThemAfterwards) {
  lock_.lock();
  start([this](u32) {
    lock_.lock_shared();
    lock_.unlock_shared();
  });
  lock_.unlock();
}

TEST_F(RwsemWakes, DowngradeSendsThemAfterwards) {
  lock_.lock();
  start([this](u32) {
    lock_.lock_shared();
    lock_.unlock_shared();
  });
  lock_.downgrade();
  lock_.unlock_shared();
}

TEST_F(RwsemWakes, TheLastReaderSendsThemAfterwards) {
  lock_.lock_shared();
  start([this](u32) {
    lock_.lock();
    lock_.unlock();
  });
  lock_.unlock_shared();
}

}  // namespace
}  // namespace faultline
