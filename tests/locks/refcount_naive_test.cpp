// The reference count in a VMA that stays open while a writer waits.
#include "locks/schemes/refcount_naive.hpp"

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
using Hooks = RefcountNaiveHooks<P>;
constexpr u32 rw = prot_read | prot_write;

// A VMA of an address space, outside a container.
struct NaiveCount : testing::Test {
  NaiveCount() {
    hooks.open();
    vma.attach(hooks.owner());
    hooks.close();
  }
  NativeThread thread{0, 0, 0, 1};
  Hooks hooks;
  Hooks::State::Hot hot;
  Hooks::State::MostlyRead mostly_read;
  Hooks::State vma{hot, mostly_read};
};

// Under `refcount` and `per_vma_lock` the second fault would be refused.
TEST_F(NaiveCount, FaultsComeInWhileAWriterSleeps) {
  ASSERT_EQ(vma.pin(hooks.owner()), PinResult::pinned);
  std::atomic<bool> locked{false};
  std::thread writer([&] {
    NativeThread other(1, 1, 0, 2);
    hooks.open();
    vma.start_write(hooks.owner());
    locked = true;
    hooks.close();
  });
  while (hot.lock.describe().find("threads sleep") == std::string::npos) P::pause(&hot);
  ASSERT_EQ(vma.pin(hooks.owner()), PinResult::pinned);
  vma.unpin(hooks.owner());
  EXPECT_FALSE(locked);
  vma.unpin(hooks.owner());
  writer.join();
  EXPECT_TRUE(locked);
}

TEST_F(NaiveCount, NoFaultComesInOnceTheWriterHasFoundZero) {
  hooks.open();
  vma.start_write(hooks.owner());
  EXPECT_EQ(vma.pin(hooks.owner()), PinResult::write_locked);
  hooks.close();
  ASSERT_EQ(vma.pin(hooks.owner()), PinResult::pinned);
  vma.unpin(hooks.owner());
}

// Its rules are those of `refcount`, not those of Linux 6.4.
TEST(RefcountNaive, ServesFilesAndFirstReadsWithoutTheBigLock) {
  NativeThread thread(0, 0, 0, 1);
  VmaLocked<Mm<P, vmas::Maple, Hooks>, Rwsem<P>> space(AddressSpaceOptions{});
  space.enter();
  const u64 base = space.fixed_base();
  ASSERT_EQ(space.map(base, page_size, rw, map_fixed | map_file).error, Error::none);
  ASSERT_EQ(space.map(base + page_size, page_size, rw, map_fixed).error, Error::none);
  EXPECT_EQ(space.fault(base, Access::read), Error::none);
  EXPECT_EQ(space.fault(base + page_size, Access::write), Error::none);
  Events events;
  space.append_events(events);
  for (const EventCount& one : events)
    if (one.name.starts_with("vma_lock.fallback_")) {
      EXPECT_EQ(one.value, 0u) << one.name;
    }
  EXPECT_EQ(event(space, "vma_lock.anon_vma_tried"), 1u);
}

}  // namespace
}  // namespace faultline
