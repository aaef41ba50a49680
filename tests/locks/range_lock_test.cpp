// The tests that only scheme `range_lock` needs. schemes_test.cpp has the tests of all schemes.
#include "locks/schemes/range_lock.hpp"

#include <gtest/gtest.h>

#include <barrier>
#include <functional>
#include <ostream>
#include <thread>
#include <utility>
#include <vector>

#include "harness/native/platform.hpp"
#include "locks/mutex/mcs.hpp"
#include "locks/mutex/ticket.hpp"
#include "locks/range/btree_range_lock.hpp"
#include "locks/range/segment_range_lock.hpp"
#include "locks/schemes/range_descend.hpp"
#include "locks/schemes/range_downgrade.hpp"
#include "locks/schemes/range_refine.hpp"
#include "locks/shared/rwsem.hpp"
#include "locks/vmas/rbtree.hpp"
#include "tests/locks/event.hpp"

namespace faultline {
namespace {

using P = NativePlatform;
using RangeMm = Mm<P, vmas::RbTree, RangeLockHooks<P>>;
constexpr u32 rw = prot_read | prot_write;
constexpr u64 base = u64{1} << 32;

template <class Scheme>
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
  Scheme space_{options()};
};

using TicketStructure = MutexStructure<P, Ticket<P>>;
template <class Scheme, class Ranges = TreeRangeLock<P>, class Lock = Ticket<P>>
using SpaceOf =
    FoundBy<Scheme::finding,
            typename Scheme::template Space<P, vmas::RbTree, Lock, Ranges, Layout::linux_6_18>>;
// Btree and segment range locks have no queue.
using Schemes = testing::Types<
    RangeLockScheme<RangeMm, TicketStructure>, RangeLockScheme<RangeMm, MutexStructure<P, Mcs<P>>>,
    RangeLockScheme<RangeMm, SharedStructure<P, Rwsem<P>>>,
    RangeLockScheme<RangeMm, TicketStructure, BtreeRangeLock<P>>,
    RangeLockScheme<RangeMm, TicketStructure, SegmentRangeLock<P>>, SpaceOf<range_downgrade_scheme>,
    SpaceOf<range_refine_scheme>, SpaceOf<range_descend_scheme>,
    SpaceOf<range_descend_scheme, TreeRangeLock<P>, Rwsem<P>>,
    SpaceOf<range_refine_scheme, BtreeRangeLock<P>>,
    SpaceOf<range_descend_scheme, BtreeRangeLock<P>>>;
TYPED_TEST_SUITE(RangeLockSpaces, Schemes);

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
// another thread that must run at that moment. A map that reserves its place requests it while the
// reservation waits for the range.
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

// Here the operation of the other thread is ahead in the queue, and ends before this thread holds
// its range.
class OvertakenRanges : public InterferedRanges {
 public:
  bool enqueue(Node& node, Range range, bool exclusive) {
    if (interfere == nullptr) return TreeRangeLock<P>::enqueue(node, range, exclusive);
    overtaken_ = &node;
    range_ = range;
    return false;
  }
  void wait(Node& node) {
    if (std::exchange(overtaken_, nullptr) != &node) return TreeRangeLock<P>::wait(node);
    lock(node, range_, true);
  }

 private:
  Node* overtaken_ = nullptr;
  Range range_;
};

// InterferedRanges without a queue.
class InterferedUnqueued : public InterferedRanges {
  using InterferedRanges::enqueue;
  using InterferedRanges::wait;
};

template <class Ranges, RangeFinding finding>
class InterferenceOn : public testing::Test {
 protected:
  ~InterferenceOn() override { InterferedRanges::interfere = nullptr; }
  static AddressSpaceOptions options() {
    AddressSpaceOptions options;
    options.frames_per_thread = 64;
    return options;
  }
  void interfere(std::function<void()> with) { InterferedRanges::interfere = std::move(with); }

  NativeThread thread_{0, 0, 0, 1};
  FoundBy<finding, RangeLockScheme<RangeMm, TicketStructure, Ranges>> space_{options()};
};
using InterferenceWithoutAQueue = InterferenceOn<InterferedUnqueued, RangeFinding::looks>;
template <class Base>
class Interferences : public Base {};
using Interferers = testing::Types<InterferenceOn<InterferedRanges, RangeFinding::looks>,
                                   InterferenceOn<OvertakenRanges, RangeFinding::descends>>;
TYPED_TEST_SUITE(Interferences, Interferers);

TYPED_TEST(Interferences, AnEditWhoseReachHasGrownTriesAgain) {
  auto& space = this->space_;
  space.enter();
  ASSERT_EQ(space.map(base, page_size, rw, map_fixed).error, Error::none);
  this->interfere([&] { space.map(base + page_size, page_size, rw, map_fixed); });
  EXPECT_EQ(space.unmap(base, page_size), Error::none);
  EXPECT_EQ(event(space, "range_lock.reach_retries"), 1u);
  EXPECT_EQ(event(space, "range_lock.whole_space"), 0u);
  EXPECT_EQ(space.scan(), 1u);
  EXPECT_EQ(space.check(), "");
}

TYPED_TEST(Interferences, AnEditWhoseReachGrowsEachTimeTakesTheWholeSpaceAtLast) {
  auto& space = this->space_;
  space.enter();
  ASSERT_EQ(space.map(base, page_size, rw, map_fixed).error, Error::none);
  u64 next = base;
  std::function<void()> grow = [&] {
    next += page_size;
    space.map(next, page_size, rw, map_fixed);
    if (next < base + 3 * page_size) this->interfere(grow);
  };
  this->interfere(grow);
  EXPECT_EQ(space.unmap(base, page_size), Error::none);
  EXPECT_EQ(event(space, "range_lock.reach_retries"), 3u);
  EXPECT_EQ(event(space, "range_lock.whole_space"), 1u);
  EXPECT_EQ(space.scan(), 1u);
  EXPECT_EQ(space.check(), "");
}

TYPED_TEST(Interferences, TwoMovesOfTheBreakAddUp) {
  auto& space = this->space_;
  space.enter();
  const u64 start = space.brk(0).address;
  this->interfere([&] { space.brk(2 * page_size); });
  EXPECT_EQ(space.brk(page_size).address, start + 3 * page_size);
  this->interfere([&] { space.brk(-static_cast<i64>(page_size)); });
  EXPECT_EQ(space.brk(-static_cast<i64>(page_size)).address, start + page_size);
  EXPECT_EQ(space.scan(), 1u);
  EXPECT_EQ(space.check(), "");
}

TYPED_TEST(Interferences, AReservationKeepsOtherMapsOffItsRange) {
  auto& space = this->space_;
  space.enter();
  u64 other = 0;
  this->interfere([&] {
    EXPECT_EQ(space.scan(), 0u);
    other = space.map(0, page_size, rw, 0).address;
  });
  const u64 own = space.map(0, page_size, rw, 0).address;
  EXPECT_NE(own, other);
  EXPECT_EQ(space.fault(own, Access::write), Error::none);
  EXPECT_EQ(space.fault(other, Access::write), Error::none);
  EXPECT_EQ(space.check(), "");
}

TYPED_TEST(Interferences, AMapWhoseNeighbourCameMeanwhileMergesWithIt) {
  auto& space = this->space_;
  space.enter();
  this->interfere([&] { space.map(base + page_size, page_size, rw, map_fixed); });
  EXPECT_EQ(space.map(base, page_size, rw, 0).address, base);
  EXPECT_EQ(event(space, "range_lock.reach_retries"), 1u);
  EXPECT_EQ(space.scan(), 1u);
  EXPECT_EQ(space.check(), "");
}

TYPED_TEST(Interferences, AMapThatCanReserveNothingLeavesTheQueue) {
  auto& space = this->space_;
  space.enter();
  for (u64 vma = 0; vma < RangeMm::max_vmas; ++vma)
    ASSERT_EQ(space.map(base + 2 * vma * page_size, page_size, prot_read, map_fixed).error,
              Error::none);
  for (const bool waits : {false, true}) {
    if (waits) this->interfere([] {});
    EXPECT_EQ(space.map(base + page_size, page_size, rw, 0).error, Error::nomem);
    EXPECT_EQ(space.check(), "");
  }
}

TEST_F(InterferenceWithoutAQueue, AMapWhosePlaceIsTakenMeanwhileChoosesAnother) {
  space_.enter();
  interfere([&] {
    EXPECT_EQ(space_.map(base, page_size, prot_read, 0).address, base);
    EXPECT_EQ(space_.fault(base, Access::read), Error::none);
  });
  const u64 own = space_.map(base, page_size, rw, 0).address;
  EXPECT_NE(own, base);
  EXPECT_EQ(event(space_, "range_lock.reach_retries"), 1u);
  EXPECT_EQ(event(space_, "range_lock.reservation_waits"), 0u);
  EXPECT_EQ(space_.fault(own, Access::write), Error::none);
  EXPECT_EQ(space_.fault(base, Access::write), Error::segv);
  EXPECT_EQ(space_.check(), "");
}

TEST_F(InterferenceWithoutAQueue, AMapWhosePlaceIsTakenEachTimeHoldsTheWholeSpaceAtLast) {
  space_.enter();
  int others = 0;
  std::function<void()> take = [&] {
    space_.map(0, page_size, prot_read, map_growsdown);
    if (++others < 3) interfere(take);
  };
  interfere(take);
  const u64 own = space_.map(0, page_size, rw, map_growsdown).address;
  EXPECT_EQ(event(space_, "range_lock.reach_retries"), 3u);
  EXPECT_EQ(event(space_, "range_lock.whole_space"), 1u);
  EXPECT_EQ(space_.fault(own, Access::write), Error::none);
  EXPECT_EQ(space_.scan(), 4u);
  EXPECT_EQ(space_.check(), "");
}

TEST_F(InterferenceWithoutAQueue, AMapThatFitsNowhereSaysSo) {
  space_.enter();
  constexpr u64 most = address_space_end - lowest_address;
  ASSERT_EQ(space_.map(0, most, rw, 0).error, Error::none);
  EXPECT_EQ(space_.map(0, page_size, rw, 0).error, Error::nomem);
  EXPECT_EQ(space_.check(), "");
}

// Keeps a list of the holds that are requested, and of those to which a hold shrinks.
class RecordedRanges : public TreeRangeLock<P> {
  using Base = TreeRangeLock<P>;

 public:
  struct Hold {
    bool whole;
    bool exclusive;
    bool operator==(const Hold&) const = default;
  };
  static inline std::vector<Hold> holds;
  static inline u32 shrunk = 0;

  void lock(Node& node, Range range, bool exclusive) {
    record(range, exclusive);
    Base::lock(node, range, exclusive);
  }
  bool enqueue(Node& node, Range range, bool exclusive) {
    record(range, exclusive);
    return Base::enqueue(node, range, exclusive);
  }
  bool try_lock(Node& node, Range range, bool exclusive) {
    if (fails) return false;
    record(range, exclusive);
    return Base::try_lock(node, range, exclusive);
  }
  void downgrade_range(Node& node, Range range) {
    ++shrunk;
    Base::downgrade_range(node, range);
    if (shrunk == 1 && is_watched) others = {admits(page_of_others), admits(range)};
  }

  // After the first time that a watched hold shrinks: whether others may share a page outside it,
  // and one inside.
  struct Others {
    bool outside;
    bool inside;
  };
  static inline bool is_watched = false;
  static inline Others others{};
  static inline bool fails = false;  // whether a try fails
  static constexpr Range page_of_others{base + 64 * page_size, base + 65 * page_size};

 private:
  bool admits(Range range) {
    Node probe;
    const bool admitted = Base::try_lock(probe, {range.start, range.start + page_size}, false);
    if (admitted) Base::unlock(probe);
    return admitted;
  }
  static void record(Range range, bool exclusive) {
    holds.push_back({range.length() == whole_address_space.length(), exclusive});
  }
};

class Narrowing : public testing::Test {
 protected:
  using Space = RangeLockScheme<RangeMm, TicketStructure, RecordedRanges>;
  using Hold = RecordedRanges::Hold;
  using Holds = std::vector<Hold>;

  static AddressSpaceOptions options(u32 narrow) {
    AddressSpaceOptions options;
    options.frames_per_thread = 64;
    options.narrow = narrow;
    return options;
  }
  // The holds of one call of that kind, in a space with a mapping of four pages at `base` and two
  // pages of the break.
  Holds holds_of(RangeKind kind, u32 narrow) {
    Space space(options(narrow));
    space.enter();
    space.map(base, 4 * page_size, rw, map_fixed);
    space.brk(2 * page_size);
    RecordedRanges::holds.clear();
    RecordedRanges::shrunk = 0;
    call(space, kind);
    EXPECT_EQ(space.check(), "");
    return RecordedRanges::holds;
  }
  static void call(Space& space, RangeKind kind) {
    switch (kind) {
      case RangeKind::fault:
        EXPECT_EQ(space.fault(base, Access::read), Error::none);
        break;
      case RangeKind::map:
        EXPECT_EQ(space.map(0, page_size, rw, 0).error, Error::none);
        break;
      case RangeKind::unmap:
        EXPECT_EQ(space.unmap(base, page_size), Error::none);
        break;
      case RangeKind::protect:
        EXPECT_EQ(space.protect(base, page_size, prot_read), Error::none);
        break;
      case RangeKind::brk:
        EXPECT_EQ(space.brk(-static_cast<i64>(page_size)).error, Error::none);
        break;
      case RangeKind::discard:
        EXPECT_EQ(space.discard(base, page_size), Error::none);
        break;
      case RangeKind::scan:
        EXPECT_EQ(space.scan(), 2u);
        break;
    }
  }
  static constexpr RangeKind kinds[] = {RangeKind::fault,   RangeKind::map, RangeKind::unmap,
                                        RangeKind::protect, RangeKind::brk, RangeKind::discard,
                                        RangeKind::scan};
  static bool edits(RangeKind kind) {
    return kind != RangeKind::fault && kind != RangeKind::discard && kind != RangeKind::scan;
  }
  NativeThread thread_{0, 0, 0, 1};
};

TEST_F(Narrowing, AKindThatIsNamedLocksWhatItNeeds) {
  for (const RangeKind kind : kinds)
    EXPECT_EQ(holds_of(kind, bit(kind)),
              kind == RangeKind::scan ? Holds{} : (Holds{{false, edits(kind)}}))
        << static_cast<u32>(kind);
}

TEST_F(Narrowing, AKindThatIsNotNamedLocksTheWholeAddressSpace) {
  for (const RangeKind kind : kinds) {
    EXPECT_EQ(holds_of(kind, ~bit(kind)), (Holds{{true, edits(kind)}})) << static_cast<u32>(kind);
    EXPECT_EQ(RecordedRanges::shrunk, 0u) << static_cast<u32>(kind);
  }
}

TEST_F(Narrowing, AFixedMapIsOfKindMapAndAGrowthOfKindFault) {
  for (const u32 narrow : {bit(RangeKind::map), bit(RangeKind::fault)}) {
    Space space(options(narrow));
    space.enter();
    RecordedRanges::holds.clear();
    space.map(base, page_size, rw, map_fixed | map_growsdown);
    EXPECT_EQ(RecordedRanges::holds.back().whole, narrow != bit(RangeKind::map));
    space.fault(base - page_size, Access::write);
    EXPECT_EQ(RecordedRanges::holds.back(), (Hold{narrow != bit(RangeKind::fault), true}));
    EXPECT_EQ(space.check(), "");
  }
}

TEST_F(Narrowing, TheWordsOfTheOptionAreTheKindsInTheirOrder) {
  const char* const words[] = {"fault", "map", "unmap", "protect", "brk", "discard", "scan"};
  for (usize i = 0; i < std::size(kinds); ++i)
    EXPECT_EQ(choose(scheme_family, std::string("range_lock:narrow=") + words[i]).bits("narrow"),
              bit(kinds[i]));
}

// Counts the sections of the structure lock.
class CountedStructure : public TicketStructure {
  using Base = TicketStructure;

 public:
  using Base::Base;
  static inline u32 sections = 0;
  struct Write : Base::Write {
    explicit Write(CountedStructure& structure) : Base::Write(structure) { ++sections; }
  };
  using Read = Write;
};

class UnqueuedRecorded : public RecordedRanges {
  using RecordedRanges::enqueue;
  using RecordedRanges::wait;
};

// What one call takes of the two locks, in a space with a mapping of four pages at `base` and one
// of the same protection far above.
struct Taken {
  std::vector<RecordedRanges::Hold> holds;
  u32 sections;
  u64 refinements;
  bool operator==(const Taken&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Taken& taken) {
  return out << taken.holds.size() << " holds, " << taken.sections << " sections, "
             << taken.refinements << " refinements";
}

template <RangeFinding finding, class Ranges = RecordedRanges, class Call>
Taken taken_by(Call&& call) {
  NativeThread thread(0, 0, 0, 1);
  AddressSpaceOptions options;
  options.frames_per_thread = 64;
  FoundBy<finding, RangeLockScheme<RangeMm, CountedStructure, Ranges>> space(options);
  space.enter();
  for (const u64 at : {base, base + 64 * page_size}) {
    EXPECT_EQ(space.map(at, 4 * page_size, rw, map_fixed).error, Error::none);
    EXPECT_EQ(space.fault(at, Access::write), Error::none);
  }
  RecordedRanges::holds.clear();
  RecordedRanges::shrunk = 0;
  CountedStructure::sections = 0;
  call(space);
  const Taken taken{RecordedRanges::holds, CountedStructure::sections,
                    event(space, "range_lock.refinements")};
  EXPECT_EQ(event(space, "range_lock.reach_retries"), 0u);
  EXPECT_EQ(space.check(), "");
  return taken;
}

constexpr auto unmap_middle = [](AddressSpace& space) {
  EXPECT_EQ(space.unmap(base + page_size, page_size), Error::none);
};
constexpr auto unmap_all = [](AddressSpace& space) {
  EXPECT_EQ(space.unmap(base, 4 * page_size), Error::none);
};
constexpr auto protect_middle = [](AddressSpace& space) {
  EXPECT_EQ(space.protect(base + page_size, page_size, prot_read), Error::none);
};
constexpr auto map_anywhere = [](AddressSpace& space) {
  EXPECT_EQ(space.map(0, page_size, rw, 0).error, Error::none);
};
constexpr auto map_beside = [](AddressSpace& space) {
  EXPECT_EQ(space.map(base + 4 * page_size, page_size, rw, map_fixed).error, Error::none);
};
constexpr auto map_over = [](AddressSpace& space) {
  EXPECT_EQ(space.map(base + page_size, page_size, prot_read, map_fixed).error, Error::none);
};
constexpr auto extend_break = [](AddressSpace& space) {
  EXPECT_EQ(space.brk(page_size).error, Error::none);
};

constexpr RecordedRanges::Hold part{false, true};
constexpr RecordedRanges::Hold whole{true, true};

TEST(Descending, AnEditThatMeetsNobodyTakesTheStructureLockOnce) {
  constexpr RangeFinding descends = RangeFinding::descends;
  const Taken once{{part}, 1, 0};
  EXPECT_EQ(taken_by<descends>(unmap_middle), once);
  EXPECT_EQ(taken_by<descends>(unmap_all), once);
  EXPECT_EQ(taken_by<descends>(protect_middle), once);
  EXPECT_EQ(taken_by<descends>(map_anywhere), once);
  EXPECT_EQ(taken_by<descends>(map_beside), once);
  const Taken twice{{part}, 2, 0};
  EXPECT_EQ(taken_by<descends>(map_over), twice);
  EXPECT_EQ(taken_by<descends>(extend_break), twice);
  EXPECT_EQ(taken_by<RangeFinding::looks>(unmap_middle), twice);
}

TEST(Descending, WithoutAQueueAnEditTriesItsRangeUnderTheStructureLock) {
  constexpr RangeFinding descends = RangeFinding::descends;
  EXPECT_EQ((taken_by<descends, UnqueuedRecorded>(unmap_middle)), (Taken{{part}, 1, 0}));
  EXPECT_EQ((taken_by<descends, UnqueuedRecorded>(map_anywhere)), (Taken{{part}, 1, 0}));
  RecordedRanges::fails = true;
  EXPECT_EQ((taken_by<descends, UnqueuedRecorded>(unmap_middle)), (Taken{{part}, 2, 0}));
  EXPECT_EQ((taken_by<descends, UnqueuedRecorded>(map_anywhere)), (Taken{{part}, 2, 0}));
  RecordedRanges::fails = false;
}

TEST(Refining, AnEditTakesItsRangeTwiceOnlyWhereItsReachIsLarger) {
  constexpr RangeFinding refines = RangeFinding::refines;
  EXPECT_EQ(taken_by<refines>(unmap_all), (Taken{{part}, 1, 0}));
  EXPECT_EQ(taken_by<refines>(unmap_middle), (Taken{{part, part}, 2, 1}));
  EXPECT_EQ(taken_by<refines>(protect_middle), (Taken{{part, part}, 2, 1}));
  EXPECT_EQ(taken_by<refines>(map_beside), (Taken{{part, part}, 2, 1}));
  EXPECT_EQ(taken_by<refines>(extend_break), (Taken{{part}, 2, 0}));
}

TEST(Downgrading, AnEditHoldsEverythingFirst) {
  constexpr RangeFinding downgrades = RangeFinding::downgrades;
  for (const Taken& taken : {taken_by<downgrades>(unmap_all), taken_by<downgrades>(unmap_middle),
                             taken_by<downgrades>(map_anywhere), taken_by<downgrades>(map_beside)})
    EXPECT_EQ(taken, (Taken{{whole}, 2, 0}));
}

TEST(Downgrading, FaultsOutsideThePartMayGoOnAndThoseInsideMayNot) {
  RecordedRanges::is_watched = true;
  taken_by<RangeFinding::downgrades>(protect_middle);
  RecordedRanges::is_watched = false;
  EXPECT_EQ(RecordedRanges::shrunk, 1u);
  EXPECT_TRUE(RecordedRanges::others.outside);
  EXPECT_FALSE(RecordedRanges::others.inside);
}

// Calls `released` after each release of a range.
class ReleasedRanges : public TreeRangeLock<P> {
 public:
  static inline std::function<void()> released;
  void unlock(Node& node) {
    TreeRangeLock<P>::unlock(node);
    if (released) released();
  }
};

TEST(RangeLockProtect, TakesTheRightsOfPagesBeforeItReleasesTheirRange) {
  NativeThread thread(0, 0, 0, 1);
  AddressSpaceOptions options;
  options.frames_per_thread = 16;
  RangeLockScheme<RangeMm, TicketStructure, ReleasedRanges> space(options);
  space.enter();
  ASSERT_EQ(space.map(base, page_size, rw, map_fixed).error, Error::none);
  ASSERT_EQ(space.fault(base, Access::write), Error::none);
  bool writable = true;
  ReleasedRanges::released = [&] { writable = space.touch(base, Access::write); };
  EXPECT_EQ(space.protect(base, page_size, prot_read), Error::none);
  ReleasedRanges::released = nullptr;
  EXPECT_FALSE(writable);
}

}  // namespace
}  // namespace faultline
