// The reference count in the VMA, where it differs from a lock: type-stable reuse across address
// spaces, draining, detach.
#include "locks/schemes/refcount.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "harness/native/platform.hpp"
#include "locks/shared/rwsem.hpp"
#include "locks/vmas/maple.hpp"
#include "locks/vmas/rbtree.hpp"
#include "locks/vmas/sorted_array.hpp"
#include "tests/locks/event.hpp"
#include "tests/locks/injecting_platform.hpp"

namespace faultline {
namespace {

using P = NativePlatform;
using Space = VmaLocked<Mm<P, vmas::Maple, RefcountHooks<P>>, Rwsem<P>>;
constexpr u32 rw = prot_read | prot_write;

// A fault finds its VMA under RCU, so a container that cannot be searched under RCU is refused.
template <class Vmas>
concept Composes = requires {
  typename VmaLocked<Mm<P, Vmas, RefcountHooks<P>>, Rwsem<P>>;
};
static_assert(Composes<vmas::Maple>);
static_assert(Composes<vmas::RbTree>);
static_assert(!Composes<vmas::SortedArray>);

// The parts of the count, outside a VMA.
struct Parts {
  VmaRefcount<P>::Hot hot;
  VmaRefcount<P>::MostlyRead mostly_read;
};

TEST(VmaRefcount, APinnedVmaIsNotWriteLockedUntilItIsUnpinned) {
  NativeThread thread(0, 0, 0, 1);
  RefcountHooks<P> hooks;
  Parts parts;
  VmaRefcount<P> vma(parts.hot, parts.mostly_read);
  hooks.open();
  vma.attach(hooks.owner());
  EXPECT_EQ(vma.pin(hooks.owner()), PinResult::write_locked);
  hooks.close();
  ASSERT_EQ(vma.pin(hooks.owner()), PinResult::pinned);
  std::atomic<bool> locked{false};
  std::thread writer([&] {
    NativeThread other(1, 1, 0, 2);
    hooks.open();
    vma.start_write(hooks.owner());
    locked = true;
    vma.detach(hooks.owner());
    hooks.close();
  });
  while (vma.pin(hooks.owner()) == PinResult::pinned)
    vma.unpin(hooks.owner());  // until the writer drains
  EXPECT_FALSE(locked);
  vma.unpin(hooks.owner());
  writer.join();
  EXPECT_TRUE(locked);
  EXPECT_EQ(vma.pin(hooks.owner()), PinResult::detached);
}

TEST(VmaRefcount, AVmaRecycledIntoAnotherAddressSpaceIsRefused) {
  NativeThread thread(0, 0, 0, 1);
  RefcountHooks<P> first;
  RefcountHooks<P> second;
  Parts parts;
  VmaRefcount<P> vma(parts.hot, parts.mostly_read);
  first.open();
  vma.attach(first.owner());
  vma.detach(first.owner());
  first.close();
  second.open();
  vma.attach(second.owner());
  second.close();
  EXPECT_EQ(vma.pin(first.owner()), PinResult::foreign);
  EXPECT_EQ(vma.pin(second.owner()), PinResult::pinned);
  vma.unpin(second.owner());
  second.close_down();
}

TEST(VmaRefcount, AWriterThatWaitsForReadersLetsNoOtherIn) {
  NativeThread thread(0, 0, 0, 1);
  RefcountHooks<P> hooks;
  Parts parts;
  VmaRefcount<P> vma(parts.hot, parts.mostly_read);
  hooks.open();
  vma.attach(hooks.owner());
  hooks.close();
  constexpr u32 flag = VmaRefcount<P>::writer_flag;
  // One reader too many would set the writer's bit. With the bit alone, the last reader has left
  // and the writer is about to take the VMA away.
  for (const u32 count : {flag - 1, flag, flag + 1}) {
    parts.hot.count.store(count, std::memory_order_relaxed);
    EXPECT_EQ(vma.pin(hooks.owner()), PinResult::draining);
    EXPECT_EQ(parts.hot.count.load(std::memory_order_relaxed), count);
  }
}

// The hooks of a space, which tell that it has waited for the readers of its VMAs.
struct WaitingHooks : RefcountHooks<P> {
  static inline u32 waits = 0;
  void close_down() {
    RefcountHooks<P>::close_down();
    ++waits;
  }
};

TEST(Refcount, ASpaceWaitsForReadersOfItsVmasBeforeItEnds) {
  NativeThread thread(0, 0, 0, 1);
  WaitingHooks::waits = 0;
  {
    VmaLocked<Mm<P, vmas::Maple, WaitingHooks>, Rwsem<P>> space(AddressSpaceOptions{});
    space.enter();
    EXPECT_EQ(WaitingHooks::waits, 0u);
  }
  EXPECT_EQ(WaitingHooks::waits, 1u);
}

TEST(Refcount, AnUnmapLeavesNoVmaWriteLocked) {
  NativeThread thread(0, 0, 0, 1);
  Space space(AddressSpaceOptions{});
  space.enter();
  const u64 base = space.fixed_base();
  ASSERT_EQ(space.map(base, 4 * page_size, rw, map_fixed).error, Error::none);
  ASSERT_EQ(space.fault(base, Access::write), Error::none);
  ASSERT_EQ(space.unmap(base + 2 * page_size, 2 * page_size), Error::none);
  EXPECT_EQ(space.fault(base + page_size, Access::write), Error::none);
  EXPECT_EQ(event(space, "vma_lock.fallback_write_locked"), 0u);
}

// The kernel's use-after-free: a reader pins a VMA that has moved to another address space, which
// then dies. Dropping the pin wakes the writer of that address space. AddressSanitizer sees the
// freed owner if the reader does not hold it.
TEST(VmaRefcount, AReaderMayPinAVmaOfADyingAddressSpace) {
  NativeThread thread(0, 0, 0, 1);
  auto vmas = std::make_shared<Space::VmaPool>();
  AddressSpaceOptions options;
  options.frames_per_thread = 64;
  Space stable(options, vmas);
  std::atomic<bool> stop{false};
  std::thread reader([&] {
    NativeThread other(1, 1, 0, 2);
    stable.enter();
    const u64 base = stable.fixed_base();
    while (!stop) stable.fault(base, Access::read);
  });
  stable.enter();
  const u64 base = stable.fixed_base();
  for (int round = 0; round < 300; ++round) {
    // The VMA that the reader may be looking at goes back to the pool and then to the address space
    // that lives for one round.
    ASSERT_EQ(stable.map(base, page_size, rw, map_fixed).error, Error::none);
    ASSERT_EQ(stable.unmap(base, page_size), Error::none);
    auto dying = std::make_unique<Space>(options, vmas);
    dying->enter();
    ASSERT_EQ(dying->map(base, page_size, rw, map_fixed).error, Error::none);
    ASSERT_EQ(dying->fault(base, Access::write), Error::none);
    dying.reset();
  }
  stop = true;
  reader.join();
  EXPECT_EQ(stable.check(), "");
}

TEST(Refcount, FaultsWithoutTheBigLockOnceThereIsAnAnonVma) {
  NativeThread thread(0, 0, 0, 1);
  AddressSpaceOptions options;
  Space space(options);
  space.enter();
  const u64 base = space.fixed_base();
  ASSERT_EQ(space.map(base, 4 * page_size, rw, map_fixed).error, Error::none);
  EXPECT_EQ(space.fault(base, Access::write), Error::none);
  EXPECT_EQ(event(space, "vma_lock.anon_vma_tried"), 1u);
  for (u64 page = 1; page < 4; ++page)
    EXPECT_EQ(space.fault(base + page * page_size, Access::write), Error::none);
  EXPECT_EQ(event(space, "vma_lock.anon_vma_tried"), 1u);
  EXPECT_EQ(event(space, "vma_lock.fallback_anon_vma"), 0u);
  EXPECT_EQ(event(space, "vma_lock.fallback_missed"), 0u);
  EXPECT_EQ(space.fault(base - 1, Access::read), Error::segv);
  EXPECT_EQ(event(space, "vma_lock.fallback_missed"), 1u);
}

// Linux 6.4 to 6.9, and 6.10. A VMA that is only read never gets an anon_vma.
TEST(Refcount, AReadNeedsTheBigLockOnlyWhereTheAnonVmaIsCheckedFirst) {
  NativeThread thread(0, 0, 0, 1);
  for (const bool in_fault : {false, true}) {
    AddressSpaceOptions options;
    options.anon_vma_in_fault = in_fault;
    Space space(options);
    space.enter();
    const u64 base = space.fixed_base();
    ASSERT_EQ(space.map(base, 3 * page_size, prot_read, map_fixed | map_zero).error, Error::none);
    for (u64 page = 0; page < 3; ++page)
      EXPECT_EQ(space.fault(base + page * page_size, Access::read), Error::none);
    EXPECT_EQ(event(space, "vma_lock.fallback_anon_vma"), in_fault ? 0u : 3u);
    EXPECT_EQ(event(space, "vma_lock.anon_vma_tried"), 0u);
    EXPECT_EQ(space.check(), "");
  }
}

TEST(Refcount, MemoryOfDevZeroMergesWithNoNeighbour) {
  NativeThread thread(0, 0, 0, 1);
  Space space(AddressSpaceOptions{});
  space.enter();
  const u64 base = space.fixed_base();
  const u64 before = space.scan();
  for (const u64 page : {0, 1, 2})
    ASSERT_EQ(space.map(base + page * page_size, page_size, prot_read, map_fixed | map_zero).error,
              Error::none);
  EXPECT_EQ(space.scan() - before, 3u);
  EXPECT_EQ(space.check(), "");
}

TEST(Refcount, MayPrepareTheAnonVmaUnderTheBigLockAlone) {
  NativeThread thread(0, 0, 0, 1);
  AddressSpaceOptions options;
  options.anon_vma_in_fault = false;
  Space space(options);
  space.enter();
  const u64 base = space.fixed_base();
  ASSERT_EQ(space.map(base, 2 * page_size, rw, map_fixed).error, Error::none);
  EXPECT_EQ(space.fault(base, Access::write), Error::none);
  EXPECT_EQ(space.fault(base + page_size, Access::write), Error::none);
  EXPECT_EQ(event(space, "vma_lock.anon_vma_tried"), 0u);
  EXPECT_EQ(event(space, "vma_lock.fallback_anon_vma"), 1u);
}

// A space whose big lock the test can hold.
struct HeldSpace : Space {
  using Space::Space;
  void hold_and_write_lock(u64 address) {
    this->lock_exclusive();
    this->hooks_.start_write(*this->mm_.find(address));
  }
  void hold() { this->lock_exclusive(); }
  void let_go() { this->unlock_exclusive(); }
};

TEST(Refcount, DiscardsWithinOneVmaAndScansWithoutTheBigLock) {
  NativeThread thread(0, 0, 0, 1);
  HeldSpace space(AddressSpaceOptions{});
  space.enter();
  const u64 base = space.fixed_base();
  ASSERT_EQ(space.map(base, 4 * page_size, rw, map_fixed).error, Error::none);
  ASSERT_EQ(space.map(base + 8 * page_size, page_size, rw, map_fixed).error, Error::none);
  for (u64 page = 0; page < 4; ++page)
    ASSERT_EQ(space.fault(base + page * page_size, Access::write), Error::none);
  const u64 vmas = space.observe()->mappings.size();
  space.hold();
  EXPECT_EQ(space.discard(base + page_size, 2 * page_size), Error::none);
  EXPECT_EQ(space.scan(), vmas);
  space.let_go();
  for (u64 page = 0; page < 4; ++page)
    EXPECT_EQ(space.touch(base + page * page_size, Access::read), page == 0 || page == 3) << page;
  EXPECT_EQ(event(space, "vma_lock.discard_fallback"), 0u);
  EXPECT_EQ(event(space, "vma_lock.scan_fallback"), 0u);
}

TEST(Refcount, AScanPassesAWriteLockedVmaUnderTheBigLock) {
  NativeThread thread(0, 0, 0, 1);
  HeldSpace space(AddressSpaceOptions{});
  space.enter();
  const u64 base = space.fixed_base();
  for (const u64 page : {0, 2, 4})
    ASSERT_EQ(space.map(base + page * page_size, page_size, rw, map_fixed).error, Error::none);
  const u64 vmas = space.observe()->mappings.size();
  space.hold_and_write_lock(base + 2 * page_size);
  u64 seen = 0;
  std::thread scanner([&] {
    NativeThread other(1, 1, 0, 2);
    seen = space.scan();
  });
  while (event(space, "vma_lock.scan_fallback") == 0) std::this_thread::yield();
  space.let_go();
  scanner.join();
  EXPECT_EQ(seen, vmas);
  EXPECT_EQ(event(space, "vma_lock.scan_fallback"), 1u);
}

TEST(Refcount, ADiscardOfMoreThanOneVmaFallsBackToTheBigLock) {
  NativeThread thread(0, 0, 0, 1);
  Space space(AddressSpaceOptions{});
  space.enter();
  const u64 base = space.fixed_base();
  ASSERT_EQ(space.map(base, 2 * page_size, rw, map_fixed).error, Error::none);
  ASSERT_EQ(space.map(base + 2 * page_size, page_size, prot_read, map_fixed).error, Error::none);
  for (u64 page = 0; page < 3; ++page)
    ASSERT_EQ(space.fault(base + page * page_size, Access::read), Error::none);
  EXPECT_EQ(space.discard(base, 3 * page_size), Error::none);
  for (u64 page = 0; page < 3; ++page)
    EXPECT_FALSE(space.touch(base + page * page_size, Access::read)) << page;
  EXPECT_EQ(space.discard(base - page_size, 2 * page_size), Error::nomem);
  EXPECT_EQ(event(space, "vma_lock.discard_fallback"), 2u);
}

TEST(Refcount, CountsNoFallbackOfOperationsThatTakeTheBigLockAnyway) {
  NativeThread thread(0, 0, 0, 1);
  AddressSpaceOptions options;
  options.discard_by_vma = options.scan_by_vma = false;
  Space space(options);
  Events events;
  space.append_events(events);
  for (const EventCount& event : events) {
    EXPECT_NE(event.name, "vma_lock.discard_fallback");
    EXPECT_NE(event.name, "vma_lock.scan_fallback");
  }
}

// At each access of a scan in turn, another thread unmaps a VMA and maps a new one far above, for
// which it takes the same object from the pool. Whoever took the object for the next VMA would skip
// all those in between.
TEST(Refcount, AScanDoesNotFollowAVmaThatMoves) {
  using IP = InjectingPlatform;
  using Injected = VmaLocked<Mm<IP, vmas::Maple, RefcountHooks<IP>>, Rwsem<IP>>;
  NativeThread thread(0, 0, 0, 1);
  constexpr u64 step = 4 * page_size;
  AddressSpaceOptions small;
  small.frames_per_thread = 16;
  bool intruded = true;
  for (u32 access = 1; intruded; ++access) {
    Injected space(small);
    space.enter();
    const u64 base = space.fixed_base();
    const auto map = [&](u64 i) { space.map(base + i * step, page_size, rw, map_fixed); };
    for (u64 i = 0; i < 6; ++i) map(i);
    const u64 before = space.scan();
    Injection injection([&] {
      space.enter();
      space.unmap(base + step, page_size);
      map(9);
    });
    u64 seen = 0;
    intruded = injection.run(access, [&] { seen = space.scan(); });
    // The new VMA is counted besides the old one where the scan had passed that before.
    EXPECT_GE(seen, before - 1) << access;
    EXPECT_LE(seen, before + 1) << access;
  }
}

// Gives the test access to the scheme's lock and hooks.
template <Layout layout>
struct Lines : MmapSemBase<Mm<P, vmas::Maple, RefcountHooks<P, layout>, layout>,
                           Rwsem<P, RwsemPolicy{.layout = layout}>, Lines<layout>> {
  Lines() : Lines::MmapSemBase(AddressSpaceOptions{}) {}
  auto* map_count() { return this->lock_.map_count(); }
  // The line of mm_lock_seq, counted from the rwsem's last line (linux-6.18: the line of owner and
  // wait list).
  int sequences_line() {
    const auto* lock = reinterpret_cast<std::byte*>(&this->lock_);
    const auto* sequence = reinterpret_cast<std::byte*>(&this->hooks_.owner().sequence);
    return static_cast<int>(line_of(static_cast<usize>(sequence - lock))) -
           static_cast<int>(line_of(sizeof(this->lock_) - 1));
  }
};

TEST(RefcountLayout, TheNumberOfVmasLiesWithTheLock) {
  NativeThread thread(0, 0, 0, 1);
  Lines<Layout::linux_6_18> space;
  space.enter();
  const u64 base = space.fixed_base();
  const auto& number = *space.map_count();
  const u64 before = number.load();
  for (const u64 page : {0, 2, 4})
    ASSERT_EQ(space.map(base + page * page_size, page_size, rw, map_fixed).error, Error::none);
  EXPECT_EQ(number.load() - before, 3u);
  EXPECT_EQ(space.unmap(base, 3 * page_size), Error::none);
  EXPECT_EQ(number.load() - before, 1u);
}

TEST(RefcountLayout, TheSequenceLiesOnTheLineOfTheLocksOwnerAndWaiters) {
  NativeThread thread(0, 0, 0, 1);
  EXPECT_EQ(Lines<Layout::linux_6_18>().sequences_line(), 0);
}

TEST(RefcountLayout, PackedGivesTheSequenceALineOfItsOwn) {
  NativeThread thread(0, 0, 0, 1);
  EXPECT_GT(Lines<Layout::packed>().sequences_line(), 0);
}

}  // namespace
}  // namespace faultline
