// The promises of rwsem and its relatives beyond mutual exclusion: which thread gets the lock next,
// and the cost of each way in. These tests put threads into a known state (asleep in the queue)
// before each step. None relies on how long something takes.
#include "locks/shared/rwsem.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <string_view>
#include <thread>

#include "locks/shared/percpu_rwsem.hpp"
#include "locks/shared/rwsem_2019.hpp"
#include "tests/locks/event.hpp"
#include "tests/locks/stress.hpp"

namespace faultline {
namespace {

using P = NativePlatform;

class RwsemTest : public testing::Test {
 protected:
  using Lock = Rwsem<P>;

  // A thread that runs on another CPU than this thread, where there is one.
  template <class F>
  std::thread start(u32 id, F body) {
    return std::thread([id, body, cpu = cpus_.back()] {
      const stress::PinnedThread self(id, cpu);
      body();
    });
  }

  // Waits until thread `id` sleeps in a lock, which it does only after it is queued.
  static void await_sleep(u32 id) {
    while (!native::thread_table.records[id].asleep) std::this_thread::yield();
  }

  static void await(const std::atomic<int>& value, int expected) {
    while (value != expected) std::this_thread::yield();
  }

  const std::vector<u32> cpus_ = allowed_cpus();
  stress::PinnedThread self_{0, cpus_.front()};
};

TEST_F(RwsemTest, UncontendedVerbsCountNothingAndAllocateNothing) {
  Lock lock;
  P::allocate(1, 1);  // makes this thread's arena
  const usize left = native::self_record().arena_left;
  for (int turn = 0; turn < 100; ++turn) {
    lock.lock_shared();
    lock.lock_shared();
    ASSERT_TRUE(lock.try_lock_shared());
    for (int held = 0; held < 3; ++held) lock.unlock_shared();
    lock.lock();
    lock.downgrade();
    lock.unlock_shared();
    ASSERT_TRUE(lock.try_lock());
    lock.unlock();
  }
  EXPECT_EQ(native::self_record().arena_left, left);
  Events events;
  lock.append_events(events);
  for (const EventCount& event : events) EXPECT_EQ(event.value, 0U) << event.name;
}

TEST_F(RwsemTest, DescribesWhoHoldsIt) {
  Lock lock;
  EXPECT_EQ(lock.describe(), "free");
  lock.lock();
  EXPECT_EQ(lock.describe(), "writer: thread 0");
  lock.downgrade();
  lock.lock_shared();
  EXPECT_EQ(lock.describe(), "2 reader(s), the last of them thread 0");
  std::thread writer = start(1, [&] {
    lock.lock();
    lock.unlock();
  });
  await_sleep(1);
  EXPECT_EQ(lock.describe(), "2 reader(s), the last of them thread 0, waiters queued");
  lock.unlock_shared();
  lock.unlock_shared();
  writer.join();
}

// Queue: reader, writer, reader. The readers wait for each other inside the lock.
TEST_F(RwsemTest, BringsInQueuedReadersPastAQueuedWriter) {
  Lock lock;
  std::atomic<int> inside{0};
  std::atomic<int> written{0};
  auto read = [&] {
    lock.lock_shared();
    EXPECT_EQ(written, 0);
    ++inside;
    await(inside, 2);
    lock.unlock_shared();
  };
  lock.lock();
  std::thread first = start(1, read);
  await_sleep(1);
  std::thread writer = start(2, [&] {
    lock.lock();
    written = 1;
    lock.unlock();
  });
  await_sleep(2);
  std::thread second = start(3, read);
  await_sleep(3);
  lock.unlock();
  for (std::thread* thread : {&first, &writer, &second}) thread->join();
  EXPECT_EQ(written, 1);
  EXPECT_EQ(event(lock, "rwsem.woken_readers"), 2U);
}

TEST_F(RwsemTest, DowngradeLetsQueuedReadersInAndKeepsTheWriterOut) {
  Lock lock;
  std::atomic<int> inside{0};
  std::atomic<int> written{0};
  lock.lock();
  std::thread reader = start(1, [&] {
    lock.lock_shared();
    ++inside;
    lock.unlock_shared();
  });
  await_sleep(1);
  std::thread writer = start(2, [&] {
    lock.lock();
    written = 1;
    lock.unlock();
  });
  await_sleep(2);
  lock.downgrade();
  await(inside, 1);
  reader.join();
  EXPECT_EQ(written, 0);
  lock.unlock_shared();
  writer.join();
  EXPECT_EQ(written, 1);
  EXPECT_EQ(event(lock, "rwsem.downgrade_wakes"), 1U);
}

// A newcomer queues behind readers and a queued writer. Otherwise readers would starve writers.
TEST_F(RwsemTest, AReaderQueuesBehindAWriterThatWaitsForReaders) {
  Lock lock;
  std::atomic<int> written{0};
  lock.lock_shared();
  std::thread writer = start(1, [&] {
    lock.lock();
    written = 1;
    lock.unlock();
  });
  await_sleep(1);
  std::thread reader = start(2, [&] {
    lock.lock_shared();
    EXPECT_EQ(written, 1);
    lock.unlock_shared();
  });
  await_sleep(2);
  EXPECT_FALSE(lock.try_lock_shared());
  lock.unlock_shared();
  writer.join();
  reader.join();
  EXPECT_GE(event(lock, "rwsem.reader_queued"), 1U);
}

// The first writer leaves word unless the machine delays it beyond the patience of any spinner;
// then the test tries again.
TEST_F(RwsemTest, AWriterGivesUpSpinningOnReadersAndLeavesWordForOthers) {
  constexpr u32 attempts = 50;
  bool second_spun = true;
  for (u32 attempt = 0; second_spun && attempt < attempts; ++attempt) {
    Lock lock;
    lock.lock_shared();
    auto write = [&] {
      lock.lock();
      lock.unlock();
    };
    std::thread first = start(1, write);
    await_sleep(1);
    EXPECT_EQ(event(lock, "rwsem.spin_abort_time"), 1U);
    std::thread second = start(2, write);
    await_sleep(2);
    second_spun = event(lock, "rwsem.spin_abort_time") != 1;
    lock.unlock_shared();
    first.join();
    second.join();
  }
  EXPECT_FALSE(second_spun);
}

TEST_F(RwsemTest, AWriterDoesNotSpinOnAnOwnerThatIsNotRunning) {
  Lock lock;
  lock.lock();
  native::self_record().asleep = true;  // as in a futex
  std::thread writer = start(1, [&] {
    lock.lock();
    lock.unlock();
  });
  await_sleep(1);
  native::self_record().asleep = false;
  EXPECT_EQ(event(lock, "rwsem.writer_queued"), 1U);
  EXPECT_EQ(event(lock, "rwsem.write_spin_acquired"), 0U);
  lock.unlock();
  writer.join();
}

// The lock is released while a writer waits for it. The writer waits by spinning, unless the
// machine delayed it for too long; then the test tries again.
TEST_F(RwsemTest, AWriterSpinsOnAnOwnerThatRuns) {
  if (cpus_.size() < 2) GTEST_SKIP() << "needs two CPUs";
  Lock lock;
  while (event(lock, "rwsem.write_spin_acquired") == 0) {
    lock.lock();
    std::thread writer = start(1, [&] {
      lock.lock();
      lock.unlock();
    });
    while (native::thread_table.records[1].waits_for == nullptr) P::pause(&lock);
    lock.unlock();
    writer.join();
  }
  EXPECT_EQ(event(lock, "rwsem.handoff_requested"), 0U);
}

// This thread takes the lock again as soon as it is free. The first waiter is woken too late each
// time, until it demands the lock. From then on this thread cannot take it.
TEST_F(RwsemTest, AWriterThatIsPassedForLongIsHandedTheLock) {
  if (cpus_.size() < 2) GTEST_SKIP() << "needs two CPUs";
  Lock lock;
  while (event(lock, "rwsem.handoff_granted") == 0) {
    std::atomic<int> written{0};
    const u64 demands = event(lock, "rwsem.handoff_requested");
    lock.lock();
    std::thread writer = start(1, [&] {
      lock.lock();
      written = 1;
      lock.unlock();
    });
    await_sleep(1);
    while (written == 0) {
      // past the 4 ms after which the waiter may demand the lock
      const u64 until = P::now() + 5'000'000;
      while (P::now() < until && written == 0) P::pause(&lock);
      const bool demanded = event(lock, "rwsem.handoff_requested") != demands;
      lock.unlock();
      lock.lock();
      EXPECT_TRUE(!demanded || written == 1) << "taken past the waiter that demanded it";
    }
    lock.unlock();
    writer.join();
  }
}

TEST_F(RwsemTest, WithoutHandoffNobodyDemandsTheLock) {
  Rwsem<P, RwsemPolicy{.handoff = false}> lock;
  stress::hammer(lock, {.threads = 6});
  EXPECT_EQ(event(lock, "rwsem.handoff_requested"), 0U);
}

TEST_F(RwsemTest, WithoutTheirStealingReadersNeverPassTheQueue) {
  Rwsem<P, RwsemPolicy{.reader_steal = false}> lock;
  stress::hammer(lock, {.threads = 6});
  EXPECT_EQ(event(lock, "rwsem.reader_steal"), 0U);
}

TEST_F(RwsemTest, WithoutTheQueueOfSpinnersNobodyWaitsInIt) {
  Rwsem<P, RwsemPolicy{.osq = false}> lock;
  stress::hammer(lock, {.threads = 6});
  EXPECT_EQ(event(lock, "rwsem.osq_contended"), 0U);
}

// Queue: writer, reader. The holder's unlock begins the readers' phase.
TEST_F(RwsemTest, APhaseOfReadersFollowsAWriterPastTheQueuedOne) {
  Rwsem<P, RwsemPolicy{.phase_change = true}> lock;
  std::atomic<int> written{0};
  lock.lock();
  std::thread writer = start(1, [&] {
    lock.lock();
    written = 1;
    lock.unlock();
  });
  await_sleep(1);
  std::thread reader = start(2, [&] {
    lock.lock_shared();
    EXPECT_EQ(written, 0);
    lock.unlock_shared();
  });
  await_sleep(2);
  lock.unlock();
  reader.join();
  writer.join();
  EXPECT_EQ(event(lock, "rwsem.phases"), 1U);
}

// The same with a downgrade, beside which rwsem leaves the reader behind the writer.
TEST_F(RwsemTest, ADowngradeBeginsAPhaseOfReaders) {
  Rwsem<P, RwsemPolicy{.phase_change = true}> lock;
  std::atomic<int> written{0};
  lock.lock();
  std::thread writer = start(1, [&] {
    lock.lock();
    written = 1;
    lock.unlock();
  });
  await_sleep(1);
  std::thread reader = start(2, [&] {
    lock.lock_shared();
    lock.unlock_shared();
  });
  await_sleep(2);
  lock.downgrade();
  reader.join();
  EXPECT_EQ(written, 0);
  lock.unlock_shared();
  writer.join();
}

TEST_F(RwsemTest, AReaderOf53SpinsOnAWriterThatRuns) {
  if (cpus_.size() < 2) GTEST_SKIP() << "needs two CPUs";
  Rwsem<P, RwsemPolicy{.reader_steal = false, .reader_spin = true}> lock;
  while (event(lock, "rwsem.read_spin_acquired") == 0) {
    lock.lock();
    std::thread reader = start(1, [&] {
      lock.lock_shared();
      lock.unlock_shared();
    });
    while (native::thread_table.records[1].waits_for == nullptr) P::pause(&lock);
    lock.unlock();
    reader.join();
  }
}

TEST_F(RwsemTest, AReaderOf53QueuesBehindAnOwnerThatIsNotRunning) {
  Rwsem<P, RwsemPolicy{.reader_steal = false, .reader_spin = true}> lock;
  lock.lock();
  native::self_record().asleep = true;  // as in a futex
  std::thread reader = start(1, [&] {
    lock.lock_shared();
    lock.unlock_shared();
  });
  await_sleep(1);
  native::self_record().asleep = false;
  EXPECT_EQ(event(lock, "rwsem.reader_queued"), 1U);
  lock.unlock();
  reader.join();
}

// Queue: reader, writer, reader.
TEST_F(RwsemTest, Of2019WakesTheReadersBeforeTheFirstWriterAlone) {
  Rwsem2019<P> lock;
  std::atomic<int> inside{0}, written{0}, released{0};
  lock.lock();
  std::thread first = start(1, [&] {
    lock.lock_shared();
    EXPECT_EQ(written, 0);
    inside = 1;
    await(released, 1);
    lock.unlock_shared();
  });
  await_sleep(1);
  std::thread writer = start(2, [&] {
    lock.lock();
    written = 1;
    lock.unlock();
  });
  await_sleep(2);
  std::thread second = start(3, [&] {
    lock.lock_shared();
    EXPECT_EQ(written, 1);
    lock.unlock_shared();
  });
  await_sleep(3);
  lock.unlock();
  await(inside, 1);
  EXPECT_EQ(event(lock, "rwsem_2019.woken_readers"), 1U);
  released = 1;
  for (std::thread* thread : {&first, &writer, &second}) thread->join();
}

TEST_F(RwsemTest, Of2019AWriterNeverSpinsBehindReaders) {
  Rwsem2019<P> lock;
  lock.lock_shared();
  std::thread writer = start(1, [&] {
    lock.lock();
    lock.unlock();
  });
  await_sleep(1);
  EXPECT_EQ(event(lock, "rwsem_2019.queued_writers"), 1U);
  lock.unlock_shared();
  writer.join();
  EXPECT_EQ(event(lock, "rwsem_2019.write_spin_acquired"), 0U);
}

TEST_F(RwsemTest, APercpuReaderIsSlowBesideAWriterAndFastAgainAfterAWhile) {
  PercpuRwsem<P> lock;
  const auto read = [&] {
    lock.lock_shared();
    lock.unlock_shared();
    return event(lock, "percpu_rwsem.slow_readers");
  };
  EXPECT_EQ(read(), 0U);
  lock.lock();
  EXPECT_EQ(event(lock, "percpu_rwsem.grace_periods"), 1U);
  EXPECT_FALSE(lock.try_lock_shared());
  lock.downgrade();
  lock.unlock_shared();
  u64 slow = event(lock, "percpu_rwsem.slow_readers");
  EXPECT_GE(slow, 1U);
  for (u64 now = read(); now != slow; now = read()) slow = now;
}

TEST_F(RwsemTest, APercpuWriterWaitsForTheReadersThatWereThereBefore) {
  PercpuRwsem<P> lock;
  std::atomic<int> written{0};
  lock.lock_shared();
  std::thread writer = start(1, [&] {
    lock.lock();
    written = 1;
    lock.unlock();
  });
  await_sleep(1);
  EXPECT_FALSE(lock.try_lock_shared());
  EXPECT_EQ(written, 0);
  lock.unlock_shared();
  writer.join();
  EXPECT_EQ(event(lock, "percpu_rwsem.waits_for_readers"), 1U);
}

}  // namespace
}  // namespace faultline
