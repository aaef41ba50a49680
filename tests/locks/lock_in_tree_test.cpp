// The tests that only scheme `lock_in_tree` needs. schemes_test.cpp has the tests of all schemes.
#include "locks/schemes/lock_in_tree.hpp"

#include <gtest/gtest.h>

#include "harness/native/platform.hpp"
#include "tests/locks/event.hpp"

namespace faultline {
namespace {

using P = NativePlatform;
constexpr u32 rw = prot_read | prot_write;

// All faults of a folded slot would wait for one another.
TEST(LockInTree, AFaultGivesItsPageASlotOfItsOwn) {
  NativeThread thread(0, 0, 0, 1);
  LockInTree<P> space(AddressSpaceOptions{});
  space.enter();
  constexpr u64 folded = 512 * page_size;
  const u64 base = space.fixed_base();
  ASSERT_EQ(space.map(base, folded, rw, map_fixed).error, Error::none);
  const u64 before = event(space, "lock_in_tree.expansions");
  EXPECT_EQ(space.fault(base + 3 * page_size, Access::write), Error::none);
  EXPECT_EQ(event(space, "lock_in_tree.expansions"), before + 1);
  EXPECT_EQ(space.fault(base + 4 * page_size, Access::write), Error::none);
  EXPECT_EQ(event(space, "lock_in_tree.expansions"), before + 1);
  EXPECT_EQ(space.check(), "");
}

}  // namespace
}  // namespace faultline
