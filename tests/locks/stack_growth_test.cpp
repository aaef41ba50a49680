// Stack growth while another thread changes the same stack, at every point of the fault.
#include <gtest/gtest.h>

#include "locks/schemes/lock_in_tree.hpp"
#include "locks/schemes/mmap_sem.hpp"
#include "locks/schemes/page_table_lock.hpp"
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
constexpr u64 top = (u64{1} << 44) + (u64{64} << 20);
constexpr u64 faulting = top - 10 * page_size;

template <class Scheme>
class StackGrowth : public testing::Test {
 protected:
  static AddressSpaceOptions options() {
    AddressSpaceOptions options;
    options.frames_per_thread = 64;
    options.clear_pages = false;
    options.modelled_clear_ns = 0;
    return options;
  }

  // Makes a stack of one page below `top` and a write fault at `faulting`. `intrude(space)` runs at
  // every point of the fault, and `verify(error)` after each.
  template <class Intrude, class Verify>
  void at_every_point(Intrude&& intrude, Verify&& verify) {
    space_.enter();
    Injection injection([&] {
      space_.enter();
      intrude();
    });
    u32 points = 0;
    for (bool more = true; more && !HasFailure(); ++points) {
      SCOPED_TRACE("access " + std::to_string(points + 1));
      ASSERT_EQ(space_.map(top - page_size, page_size, rw, map_fixed | map_growsdown).error,
                Error::none);
      Error error = Error::none;
      more = injection.run(points + 1, [&] { error = space_.fault(faulting, Access::write); });
      if (more) verify(error);
      EXPECT_EQ(space_.unmap(top - 300 * page_size, 300 * page_size), Error::none);
      EXPECT_EQ(space_.check(), "");
    }
    EXPECT_GT(points, 10u);
  }

  NativeThread thread_{0, 0, 0, 1};
  Scheme space_{options()};
};

using Schemes = testing::Types<
    LockInTree<P>, PageTableLock<P>, MmapSem<Mm<P, vmas::RbTree, NoHooks>, Rwsem<P>>,
    RangeLockScheme<Mm<P, vmas::RbTree, RangeLockHooks<P>>, MutexStructure<P, Ticket<P>>>,
    RangesFound<P, RangeFinding::downgrades>, RangesFound<P, RangeFinding::refines>,
    RangesFound<P, RangeFinding::descends>,
    VmaLocked<Mm<P, vmas::Maple, RefcountHooks<P>>, Rwsem<P>>,
    Speculation<Mm<P, vmas::Maple, VmaSequenceHooks<P>>, Rwsem<P>>>;
TYPED_TEST_SUITE(StackGrowth, Schemes);

TYPED_TEST(StackGrowth, OfTwoThreadsAtOnceServesBoth) {
  for (const u64 other : {faulting - 3 * page_size, faulting + 3 * page_size}) {
    Error others = Error::none;
    this->at_every_point([&] { others = this->space_.fault(other, Access::write); },
                         [&](Error error) {
                           EXPECT_EQ(error, Error::none);
                           EXPECT_EQ(others, Error::none);
                         });
  }
}

TYPED_TEST(StackGrowth, NeverReachesAcrossAMappingThatIsNotTheStacks) {
  const u64 foreign = top - 6 * page_size;
  this->at_every_point([&] { this->space_.map(foreign, page_size, rw, map_fixed); },
                       [&](Error error) {
                         // If the fault was served, that was before the other thread's map,
                         // so the stack is on both sides of it.
                         EXPECT_EQ(this->space_.fault(foreign + page_size, Access::write), error);
                       });
}

TYPED_TEST(StackGrowth, ServesAFaultWhileAnotherStackReplacesTheStack) {
  auto& space = this->space_;
  space.enter();
  const auto map_stack = [&] {
    return space.map(top - page_size, page_size, rw, map_fixed | map_growsdown).error;
  };
  Error error{};
  Injection injection([&] {
    space.enter();
    error = space.fault(faulting, Access::write);
  });
  u32 points = 0;
  for (bool more = true; more && !this->HasFailure(); ++points) {
    SCOPED_TRACE("access " + std::to_string(points + 1));
    ASSERT_EQ(map_stack(), Error::none);
    more = injection.run(points + 1, [&] { EXPECT_EQ(map_stack(), Error::none); });
    if (more) {
      EXPECT_EQ(error, Error::none);
    }
    EXPECT_EQ(space.unmap(top - 300 * page_size, 300 * page_size), Error::none);
    EXPECT_EQ(space.check(), "");
  }
  EXPECT_GT(points, 10u);
}

TYPED_TEST(StackGrowth, GoesDownToTheLowestAddress) {
  auto& space = this->space_;
  space.enter();
  const u64 bottom = lowest_address + 3 * page_size;
  ASSERT_EQ(space.map(bottom, page_size, rw, map_fixed | map_growsdown).error, Error::none);
  EXPECT_EQ(space.fault(lowest_address, Access::write), Error::none);
  EXPECT_EQ(space.fault(lowest_address - 1, Access::write), Error::segv);
  EXPECT_EQ(space.check(), "");
}

}  // namespace
}  // namespace faultline
