// A map without map_fixed chooses its place and then waits for that range. Calls of other threads
// on the range meanwhile must be answered as though the map had ended, or not begun. The other
// thread's calls run at every point of the map.
#include <gtest/gtest.h>

#include "locks/range/btree_range_lock.hpp"
#include "locks/schemes/mmap_sem.hpp"
#include "locks/schemes/range_lock.hpp"
#include "locks/schemes/refcount.hpp"
#include "locks/schemes/speculative.hpp"
#include "locks/shared/rwsem.hpp"
#include "locks/vmas/maple.hpp"
#include "locks/vmas/rbtree.hpp"
#include "tests/locks/injecting_platform.hpp"
#include "tests/locks/range_spaces.hpp"

namespace faultline {
namespace {

using P = InjectingPlatform;
constexpr u32 rw = prot_read | prot_write;
constexpr u64 at = u64{1} << 44;

template <class Scheme>
class Reservations : public testing::Test {
 protected:
  static AddressSpaceOptions options() {
    AddressSpaceOptions options;
    options.frames_per_thread = 16;
    options.vmas_per_thread = 8;
    options.clear_pages = false;
    return options;
  }

  // Maps a page at the hint `hint`, with protection `prot`, once for every point of the map at
  // which `intrude(space)` can run on another thread. `prepare(space)` comes first. `judge(space,
  // address)` checks the space at the end of each, at rest.
  template <class Prepare, class Intrude, class Judge>
  void at_every_point(u64 hint, u32 prot, Prepare&& prepare, Intrude&& intrude, Judge&& judge) {
    NativeThread thread(0, 0, 0, 1);
    bool more = true;
    for (u32 point = 1; more && !this->HasFailure(); ++point) {
      Scheme space(options());
      space.enter();
      prepare(space);
      Injection injection([&] {
        space.enter();
        intrude(space);
      });
      MapResult own;
      more = injection.run(point, [&] { own = space.map(hint, page_size, prot, 0); });
      if (!more) break;
      ASSERT_EQ(own.error, Error::none);
      judge(space, own.address);
      EXPECT_EQ(space.check(), "");
      if (this->HasFailure()) ADD_FAILURE() << "at point " << point;
    }
  }
  template <class Intrude, class Judge>
  void at_every_point(u32 prot, Intrude&& intrude, Judge&& judge) {
    at_every_point(
        at, prot, [](Scheme&) {}, intrude, judge);
  }
};

using TreeMm = Mm<P, vmas::RbTree, NoHooks>;
using RangeMm = Mm<P, vmas::RbTree, RangeLockHooks<P>>;
using Schemes =
    testing::Types<RangeLockScheme<RangeMm, MutexStructure<P, Ticket<P>>>,
                   RangeLockScheme<RangeMm, SharedStructure<P, Rwsem<P>>>,
                   RangeLockScheme<RangeMm, MutexStructure<P, Ticket<P>>, BtreeRangeLock<P>>,
                   RangesFound<P, RangeFinding::downgrades>, RangesFound<P, RangeFinding::refines>,
                   RangesFound<P, RangeFinding::descends>, MmapSem<TreeMm, Rwsem<P>>,
                   VmaLocked<Mm<P, vmas::Maple, RefcountHooks<P>>, Rwsem<P>>,
                   Speculation<Mm<P, vmas::Maple, VmaSequenceHooks<P>>, Rwsem<P>>>;
TYPED_TEST_SUITE(Reservations, Schemes);

TYPED_TEST(Reservations, AProtectThatSaysItIsDoneIsDone) {
  for (const u32 prot : {prot_none, prot_read}) {
    Error answer{};
    this->at_every_point(
        rw, [&](TypeParam& space) { answer = space.protect(at, page_size, prot); },
        [&](TypeParam& space, u64 own) {
          EXPECT_EQ(own, at);
          EXPECT_EQ(space.fault(at, Access::write),
                    answer == Error::none ? Error::segv : Error::none);
        });
  }
}

TYPED_TEST(Reservations, AProtectThatFoundNoVmaChangesNone) {
  Error answer{};
  Error write{};
  this->at_every_point(
      prot_read,
      [&](TypeParam& space) {
        answer = space.protect(at, page_size, rw);
        write = space.fault(at, Access::write);
      },
      [&](TypeParam& space, u64) {
        const Error wanted = answer == Error::none ? Error::none : Error::segv;
        EXPECT_EQ(write, wanted);
        EXPECT_EQ(space.fault(at, Access::write), wanted);
        EXPECT_EQ(space.fault(at, Access::read), Error::none);
      });
}

TYPED_TEST(Reservations, AMapThatIsDisplacedFindsTheOtherThere) {
  MapResult other;
  Error hinted{};
  Error placed{};
  this->at_every_point(
      rw,
      [&](TypeParam& space) {
        other = space.map(at, page_size, prot_read, 0);
        hinted = space.fault(at, Access::read);
        placed = space.fault(other.address, Access::read);
      },
      [&](TypeParam& space, u64 own) {
        EXPECT_NE(own, other.address);
        EXPECT_TRUE(own == at || other.address == at);
        EXPECT_EQ(hinted, Error::none);
        EXPECT_EQ(placed, Error::none);
        EXPECT_EQ(space.fault(own, Access::write), Error::none);
        EXPECT_EQ(space.fault(other.address, Access::write), Error::segv);
      });
}

TYPED_TEST(Reservations, AFixedMapReplacesTheOtherOrComesFirst) {
  this->at_every_point(
      rw,
      [&](TypeParam& space) {
        EXPECT_EQ(space.map(at, page_size, prot_read, map_fixed).error, Error::none);
        EXPECT_EQ(space.fault(at, Access::read), Error::none);
      },
      [&](TypeParam& space, u64) {
        EXPECT_EQ(space.fault(at, Access::read), Error::none);
        EXPECT_EQ(space.fault(at, Access::write), Error::segv);
      });
}

TYPED_TEST(Reservations, AnUnmapLeavesAllOfItOrNothing) {
  Error read{};
  this->at_every_point(
      rw,
      [&](TypeParam& space) {
        EXPECT_EQ(space.unmap(at, page_size), Error::none);
        read = space.fault(at, Access::read);
      },
      [&](TypeParam& space, u64) {
        if (read == Error::none) {
          EXPECT_EQ(space.fault(at, Access::write), Error::none);
        }
      });
}

TYPED_TEST(Reservations, ADiscardFindsAVmaOrAHole) {
  Error answer{};
  Error read{};
  this->at_every_point(
      rw,
      [&](TypeParam& space) {
        answer = space.discard(at, page_size);
        read = space.fault(at, Access::read);
      },
      [&](TypeParam& space, u64) {
        if (answer == Error::none) {
          EXPECT_EQ(read, Error::none);
        }
        EXPECT_EQ(space.fault(at, Access::write), Error::none);
      });
}

TYPED_TEST(Reservations, AFaultBelowAStackGrowsItOrFindsTheMap) {
  this->at_every_point(
      at, rw,
      [](TypeParam& space) {
        space.map(at + 4 * page_size, page_size, rw, map_fixed | map_growsdown);
      },
      [](TypeParam& space) { EXPECT_EQ(space.fault(at, Access::write), Error::none); },
      [](TypeParam& space, u64 own) {
        EXPECT_EQ(space.fault(at, Access::write), Error::none);
        EXPECT_EQ(space.fault(own, Access::write), Error::none);
      });
}

TYPED_TEST(Reservations, ABreakThatIsRefusedFindsTheMapInItsWay) {
  this->at_every_point(
      break_start, rw, [](TypeParam&) {},
      [](TypeParam& space) {
        space.brk(page_size);
        EXPECT_EQ(space.fault(break_start, Access::write), Error::none);
      },
      [](TypeParam& space, u64 own) {
        EXPECT_EQ(space.fault(break_start, Access::write), Error::none);
        EXPECT_EQ(space.fault(own, Access::write), Error::none);
      });
}

}  // namespace
}  // namespace faultline
