// The semaphore in the VMA, as Linux 6.4 had it: what it serves, and what takes the big lock.
#include "locks/schemes/per_vma_lock.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "harness/native/platform.hpp"
#include "locks/shared/rwsem.hpp"
#include "locks/vmas/maple.hpp"
#include "tests/locks/event.hpp"

namespace faultline {
namespace {

using P = NativePlatform;
using Hooks = PerVmaLockHooks<P>;
using Space = VmaLocked<Mm<P, vmas::Maple, Hooks>, Rwsem<P>>;
constexpr u32 rw = prot_read | prot_write;

// Faults that took the big lock, for any reason.
u64 fallbacks(const Space& space) {
  Events events;
  space.append_events(events);
  u64 count = 0;
  for (const EventCount& one : events)
    if (one.name.starts_with("vma_lock.fallback_")) count += one.value;
  return count;
}

TEST(VmaRwsem, AWriterWaitsForReadersAndThenLetsNoneIn) {
  NativeThread thread(0, 0, 0, 1);
  VmaRwsem<P> lock;
  ASSERT_TRUE(lock.try_lock_shared());
  ASSERT_TRUE(lock.try_lock_shared());
  std::atomic<bool> locked{false};
  std::thread writer([&] {
    NativeThread other(1, 1, 0, 2);
    lock.lock();
    locked = true;
  });
  // Until the writer sleeps: the spin before it ends by itself.
  while (lock.try_lock_shared()) lock.unlock_shared();
  EXPECT_FALSE(locked);
  lock.unlock_shared();
  EXPECT_FALSE(lock.try_lock_shared());
  lock.unlock_shared();
  writer.join();
  EXPECT_TRUE(locked);
  EXPECT_FALSE(lock.try_lock_shared());
  lock.unlock();
  EXPECT_TRUE(lock.try_lock_shared());
}

TEST(VmaSharedLock, AVmaOfAnotherLifeIsRefused) {
  NativeThread thread(0, 0, 0, 1);
  Hooks first, second;
  Hooks::State::Hot hot;
  Hooks::State::MostlyRead mostly_read;
  Hooks::State vma(hot, mostly_read);
  first.open();
  vma.attach(first.owner());
  EXPECT_EQ(vma.pin(first.owner()), PinResult::write_locked);
  first.close();
  ASSERT_EQ(vma.pin(first.owner()), PinResult::pinned);
  vma.unpin(first.owner());
  first.open();
  vma.start_write(first.owner());
  EXPECT_EQ(vma.pin(first.owner()), PinResult::write_locked);
  vma.detach(first.owner());
  first.close();
  EXPECT_EQ(vma.pin(first.owner()), PinResult::detached);
  second.open();
  vma.attach(second.owner());
  second.close();
  EXPECT_EQ(vma.pin(first.owner()), PinResult::foreign);
  EXPECT_EQ(vma.pin(second.owner()), PinResult::pinned);
  vma.unpin(second.owner());
}

TEST(PerVmaLock, NoFaultIsServedUnderItBeforeThereIsAnAnonVma) {
  NativeThread thread(0, 0, 0, 1);
  Space space(AddressSpaceOptions{});
  space.enter();
  const u64 base = space.fixed_base();
  ASSERT_EQ(space.map(base, 3 * page_size, rw, map_fixed).error, Error::none);
  EXPECT_EQ(space.fault(base, Access::read), Error::none);
  EXPECT_EQ(event(space, "vma_lock.fallback_anon_vma_first"), 1u);
  EXPECT_EQ(space.fault(base + page_size, Access::write), Error::none);
  EXPECT_EQ(event(space, "vma_lock.fallback_anon_vma_first"), 2u);
  EXPECT_EQ(space.fault(base + 2 * page_size, Access::write), Error::none);
  EXPECT_EQ(fallbacks(space), 2u);
  EXPECT_EQ(space.check(), "");
}

TEST(PerVmaLock, FilesAndSharedMemoryTakeTheBigLock) {
  NativeThread thread(0, 0, 0, 1);
  Space space(AddressSpaceOptions{});
  space.enter();
  const u64 base = space.fixed_base();
  ASSERT_EQ(space.map(base, page_size, rw, map_fixed | map_file).error, Error::none);
  ASSERT_EQ(space.map(base + page_size, page_size, rw, map_fixed | map_shared).error, Error::none);
  for (u64 round = 1; round <= 2; ++round) {
    EXPECT_EQ(space.fault(base, Access::read), Error::none);
    EXPECT_EQ(space.fault(base + page_size, Access::write), Error::none);
    EXPECT_EQ(event(space, "vma_lock.fallback_file"), 2 * round);
  }
}

TEST(PerVmaLock, AnUnmapLeavesNoVmaWriteLocked) {
  NativeThread thread(0, 0, 0, 1);
  Space space(AddressSpaceOptions{});
  space.enter();
  const u64 base = space.fixed_base();
  ASSERT_EQ(space.map(base, 4 * page_size, rw, map_fixed).error, Error::none);
  ASSERT_EQ(space.fault(base, Access::write), Error::none);
  ASSERT_EQ(space.unmap(base + 2 * page_size, 2 * page_size), Error::none);
  const u64 before = fallbacks(space);
  EXPECT_EQ(space.fault(base + page_size, Access::write), Error::none);
  EXPECT_EQ(fallbacks(space), before);
}

}  // namespace
}  // namespace faultline
