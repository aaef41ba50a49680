// The tests that only scheme `range_lock` needs. schemes_test.cpp has the tests of all schemes.
#include "locks/schemes/range_lock.hpp"

#include <gtest/gtest.h>

#include <barrier>
#include <functional>
#include <thread>
#include <utility>
#include <vector>

#include "harness/native/platform.hpp"
#include "locks/mutex/mcs.hpp"
#include "locks/mutex/ticket.hpp"
#include "locks/shared/rwsem.hpp"
#include "locks/vmas/rbtree.hpp"
#include "tests/locks/event.hpp"

namespace faultline {
namespace {

using P = NativePlatform;
using RangeMm = Mm<P, vmas::RbTree, RangeLockHooks<P>>;
constexpr u32 rw = prot_read | prot_write;
constexpr u64 base = u64{1} << 32;

template <class Structure>
class RangeLockSpaces : public testing::Test {
 protected:
  static AddressSpaceOptions options() {
    AddressSpaceOptions options;
    options.frames_per_thread = 512;
    options.clear_pages = false;
    options.modelled_clear_ns = 2000;
    return options;
  }
  NativeThread thread_{0, 0, 0, 1};
  RangeLockScheme<RangeMm, Structure> space_{options()};
};

using Structures = testing::Types<MutexStructure<P, Ticket<P>>, MutexStructure<P, Mcs<P>>,
                                  SharedStructure<P, Rwsem<P>>>;
TYPED_TEST_SUITE(RangeLockSpaces, Structures);

// Threads that start together and call `round(self)` some hundred times, or for an eighth of a
// second. With more threads than CPUs spinning locks can be slow, especially on a busy machine.
template <class F>
void run_rounds(AddressSpace& space, u32 count, int rounds, F&& round) {
  std::barrier start(count);
  std::vector<std::thread> threads;
  for (u32 i = 0; i < count; ++i)
    threads.emplace_back([&, i] {
      NativeThread self(i + 1, i % 2, 0, i + 1);
      space.enter();
      start.arrive_and_wait();
      const u64 end = P::now() + 125'000'000;
      for (int n = 0; n < rounds && P::now() < end; ++n) round(i);
    });
  for (std::thread& thread : threads) thread.join();
}

TYPED_TEST(RangeLockSpaces, MergesAMapWithBothNeighboursAndLeavesNoReservation) {
  auto& space = this->space_;
  space.enter();
  ASSERT_EQ(space.map(base, page_size, rw, map_fixed).error, Error::none);
  ASSERT_EQ(space.map(base + 2 * page_size, page_size, rw, map_fixed).error, Error::none);
  EXPECT_EQ(space.scan(), 2u);
  EXPECT_EQ(space.map(base + page_size, page_size, rw, 0).address, base + page_size);
  EXPECT_EQ(space.scan(), 1u);
  EXPECT_EQ(space.map(base + page_size, page_size, prot_read, map_fixed).error, Error::none);
  EXPECT_EQ(space.scan(), 3u);
  EXPECT_EQ(space.map(base + page_size, page_size, rw, map_fixed).error, Error::none);
  EXPECT_EQ(space.scan(), 1u);
  EXPECT_EQ(space.check(), "");
}

TYPED_TEST(RangeLockSpaces, CommitsAMappingOfNoProtection) {
  auto& space = this->space_;
  space.enter();
  const MapResult guard = space.map(0, page_size, prot_none, 0);
  ASSERT_EQ(guard.error, Error::none);
  EXPECT_EQ(space.scan(), 1u);
  EXPECT_EQ(space.fault(guard.address, Access::read), Error::segv);
  EXPECT_EQ(space.protect(guard.address, page_size, rw), Error::none);
  EXPECT_EQ(space.fault(guard.address, Access::write), Error::none);
  EXPECT_EQ(event(space, "range_lock.anon_vma"), 1u);
  EXPECT_EQ(space.check(), "");
}

TYPED_TEST(RangeLockSpaces, KeepsTheMergingOfNeighboursAndTheirFaultsApart) {
  auto& space = this->space_;
  space.enter();
  // Even pages stay mapped, odd ones come and go between them. So every map merges three VMAs and
  // every unmap cuts one in two, under the faults of the even pages.
  constexpr u64 pages = 9;
  for (u64 page = 0; page < pages; page += 2)
    ASSERT_EQ(space.map(base + page * page_size, page_size, rw, map_fixed).error, Error::none);
  run_rounds(space, 4, 2000, [&](u32 self) {
    if (self < 2) {
      const u64 page = base + (1 + 2 * (P::random() % 2 + 2 * self)) * page_size;
      EXPECT_EQ(space.map(page, page_size, rw, map_fixed).error, Error::none);
      EXPECT_EQ(space.fault(page, Access::write), Error::none);
      EXPECT_EQ(space.unmap(page, page_size), Error::none);
      EXPECT_EQ(space.fault(page, Access::write), Error::segv);
      return;
    }
    for (int fault = 0; fault < 8; ++fault) {
      const u64 page = base + 2 * (P::random() % 5) * page_size;
      EXPECT_EQ(space.fault(page, Access::write), Error::none);
      if (fault == 0) {
        EXPECT_EQ(space.discard(page, page_size), Error::none);
      }
    }
  });
  EXPECT_EQ(space.scan(), 5u);
  EXPECT_EQ(space.check(), "");
}

TYPED_TEST(RangeLockSpaces, GivesEachOfManyMappersARangeOfItsOwn) {
  auto& space = this->space_;
  space.enter();
  constexpr u64 pages = 64;
  run_rounds(space, 4, 300, [&](u32) {
    const MapResult own = space.map(0, pages * page_size, rw, 0);
    ASSERT_EQ(own.error, Error::none);
    const u64 page = own.address + P::random() % pages * page_size;
    EXPECT_EQ(space.fault(page, Access::write), Error::none);
    EXPECT_TRUE(space.walk(page));
    EXPECT_EQ(space.protect(page, page_size, prot_read), Error::none);
    EXPECT_EQ(space.fault(page, Access::write), Error::segv);
    EXPECT_TRUE(space.walk(page));
    EXPECT_EQ(space.unmap(own.address, pages * page_size), Error::none);
  });
  EXPECT_EQ(space.scan(), 0u);
  EXPECT_EQ(space.check(), "");
}

TYPED_TEST(RangeLockSpaces, CountsEveryMoveOfTheBreakOnce) {
  auto& space = this->space_;
  space.enter();
  const u64 start = space.brk(0).address;
  run_rounds(space, 4, 300, [&](u32) {
    const MapResult up = space.brk(static_cast<i64>(page_size));
    EXPECT_EQ(up.error, Error::none);
    space.fault(up.address - page_size, Access::write);
    EXPECT_EQ(space.brk(-static_cast<i64>(page_size)).error, Error::none);
  });
  EXPECT_EQ(space.brk(0).address, start);
  EXPECT_EQ(space.scan(), 0u);
  EXPECT_EQ(space.check(), "");
}

TYPED_TEST(RangeLockSpaces, GrowsStacksBesideOneAnother) {
  auto& space = this->space_;
  space.enter();
  run_rounds(space, 4, 100, [&](u32 self) {
    const u64 top = base + (self + 1) * (u64{4} << 20);
    ASSERT_EQ(space.map(top - page_size, page_size, rw, map_fixed | map_growsdown).error,
              Error::none);
    for (u64 page = 2; page <= 24; page += 1 + P::random() % 4) {
      EXPECT_EQ(space.fault(top - page * page_size, Access::write), Error::none);
    }
    EXPECT_EQ(space.unmap(top - 24 * page_size, 24 * page_size), Error::none);
  });
  EXPECT_GT(event(space, "range_lock.stack_growth"), 0u);
  EXPECT_EQ(space.scan(), 0u);
  EXPECT_EQ(space.check(), "");
}

// All operations run on a few pages, fixed and hinted, so that reservations meet unmaps and
// protects of other threads.
TYPED_TEST(RangeLockSpaces, HoldsTheOracleWhereEveryRangeIsContested) {
  auto& space = this->space_;
  space.enter();
  run_rounds(space, 6, 500, [&](u32) {
    const u64 at = base + P::random() % 24 * page_size;
    const u64 length = (1 + P::random() % 6) * page_size;
    const u32 prot = P::random() % 4 == 0 ? prot_read : rw;
    const u32 flags = P::random() % 6 == 0 ? map_growsdown : 0;
    switch (P::random() % 7) {
      case 0:
        space.map(at, length, prot, flags | map_fixed);
        break;
      case 1:
        space.map(at, length, prot, flags);
        break;
      case 2:
        space.unmap(at, length);
        break;
      case 3:
        space.protect(at, length, prot);
        break;
      case 4:
        space.discard(at, length);
        break;
      case 5:
        space.scan();
        break;
      default:
        for (u64 page = 0; page < 4; ++page) {
          space.fault(at + page * page_size, P::random() % 2 == 0 ? Access::read : Access::write);
          space.walk(at);
        }
    }
  });
  EXPECT_EQ(space.check(), "");
  EXPECT_EQ(space.unmap(0, address_space_end), Error::none);
  EXPECT_EQ(space.scan(), 0u);
  EXPECT_EQ(space.check(), "");
}

// When an exclusive hold is requested for the first time, calls `interfere`, the operation of
// another thread that must run at that moment. A map requests it while its reservation waits for
// the range.
class InterferedRanges : public TreeRangeLock<P> {
  using Base = TreeRangeLock<P>;

 public:
  static inline std::function<void()> interfere;

  void lock(Node& node, Range range, bool exclusive) {
    if (exclusive) interfere_once();
    Base::lock(node, range, exclusive);
  }
  bool enqueue(Node& node, Range range, bool exclusive) {
    held_ = Base::enqueue(node, range, exclusive);
    return false;
  }
  void wait(Node& node) {
    const bool held = held_;
    interfere_once();
    if (!held) Base::wait(node);
  }

 private:
  static void interfere_once() {
    if (const auto once = std::exchange(interfere, nullptr)) once();
  }
  bool held_ = false;
};

class Interference : public testing::Test {
 protected:
  ~Interference() override { InterferedRanges::interfere = nullptr; }
  static AddressSpaceOptions options() {
    AddressSpaceOptions options;
    options.frames_per_thread = 64;
    return options;
  }
  void interfere(std::function<void()> with) { InterferedRanges::interfere = std::move(with); }

  NativeThread thread_{0, 0, 0, 1};
  RangeLockScheme<RangeMm, MutexStructure<P, Ticket<P>>, InterferedRanges> space_{options()};
};

TEST_F(Interference, AnEditWhoseReachHasGrownTriesAgain) {
  space_.enter();
  ASSERT_EQ(space_.map(base, page_size, rw, map_fixed).error, Error::none);
  interfere([&] { space_.map(base + page_size, page_size, rw, map_fixed); });
  EXPECT_EQ(space_.unmap(base, page_size), Error::none);
  EXPECT_EQ(event(space_, "range_lock.reach_retries"), 1u);
  EXPECT_EQ(event(space_, "range_lock.whole_space"), 0u);
  EXPECT_EQ(space_.scan(), 1u);
  EXPECT_EQ(space_.check(), "");
}

TEST_F(Interference, AnEditWhoseReachGrowsEachTimeTakesTheWholeSpaceAtLast) {
  space_.enter();
  ASSERT_EQ(space_.map(base, page_size, rw, map_fixed).error, Error::none);
  u64 next = base;
  std::function<void()> grow = [&] {
    next += page_size;
    space_.map(next, page_size, rw, map_fixed);
    if (next < base + 3 * page_size) interfere(grow);
  };
  interfere(grow);
  EXPECT_EQ(space_.unmap(base, page_size), Error::none);
  EXPECT_EQ(event(space_, "range_lock.reach_retries"), 3u);
  EXPECT_EQ(event(space_, "range_lock.whole_space"), 1u);
  EXPECT_EQ(space_.scan(), 1u);
  EXPECT_EQ(space_.check(), "");
}

TEST_F(Interference, TwoMovesOfTheBreakAddUp) {
  space_.enter();
  const u64 start = space_.brk(0).address;
  interfere([&] { space_.brk(2 * page_size); });
  EXPECT_EQ(space_.brk(page_size).address, start + 3 * page_size);
  interfere([&] { space_.brk(-static_cast<i64>(page_size)); });
  EXPECT_EQ(space_.brk(-static_cast<i64>(page_size)).address, start + page_size);
  EXPECT_EQ(space_.scan(), 1u);
  EXPECT_EQ(space_.check(), "");
}

TEST_F(Interference, AReservationKeepsOtherMapsOffItsRange) {
  space_.enter();
  u64 other = 0;
  interfere([&] {
    EXPECT_EQ(space_.scan(), 0u);
    other = space_.map(0, page_size, rw, 0).address;
  });
  const u64 own = space_.map(0, page_size, rw, 0).address;
  EXPECT_NE(own, other);
  EXPECT_EQ(space_.fault(own, Access::write), Error::none);
  EXPECT_EQ(space_.fault(other, Access::write), Error::none);
  EXPECT_EQ(space_.check(), "");
}

TEST_F(Interference, AMapWhoseNeighbourCameMeanwhileMergesWithIt) {
  space_.enter();
  interfere([&] { space_.map(base + page_size, page_size, rw, map_fixed); });
  EXPECT_EQ(space_.map(base, page_size, rw, 0).address, base);
  EXPECT_EQ(event(space_, "range_lock.reach_retries"), 1u);
  EXPECT_EQ(space_.scan(), 1u);
  EXPECT_EQ(space_.check(), "");
}

}  // namespace
}  // namespace faultline
