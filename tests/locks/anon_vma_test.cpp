// The anon_vma of a VMA is chosen once, by the first private write. Another thread writes at every
// point of the choice.
#include <gtest/gtest.h>

#include "locks/schemes/mmap_sem.hpp"
#include "locks/schemes/range_lock.hpp"
#include "locks/schemes/refcount.hpp"
#include "locks/schemes/speculative.hpp"
#include "locks/shared/rwsem.hpp"
#include "locks/vmas/maple.hpp"
#include "locks/vmas/rbtree.hpp"
#include "tests/locks/injecting_platform.hpp"

namespace faultline {
namespace {

using P = InjectingPlatform;
constexpr u32 rw = prot_read | prot_write;
constexpr u64 at = u64{1} << 44;

template <class Scheme>
class AnonVma : public testing::Test {};

using Schemes = testing::Types<
    MmapSem<Mm<P, vmas::RbTree, NoHooks>, Rwsem<P>>,
    RangeLockScheme<Mm<P, vmas::RbTree, RangeLockHooks<P>>, MutexStructure<P, Ticket<P>>>,
    VmaLocked<Mm<P, vmas::Maple, RefcountHooks<P>>, Rwsem<P>>,
    Speculation<Mm<P, vmas::Maple, VmaSequenceHooks<P>>, Rwsem<P>>>;
TYPED_TEST_SUITE(AnonVma, Schemes);

// The option forbids merging, so two VMAs lie side by side. The second one takes over the first
// one's anon_vma, which must then stay.
TYPED_TEST(AnonVma, ThatANeighbourSharesIsNotReplaced) {
  AddressSpaceOptions options;
  options.frames_per_thread = 16;
  options.vmas_per_thread = 8;
  options.clear_pages = false;
  options.merge = false;
  NativeThread thread(0, 0, 0, 1);
  bool more = true;
  for (u32 point = 1; more && !this->HasFailure(); ++point) {
    SCOPED_TRACE("access " + std::to_string(point));
    TypeParam space(options);
    space.enter();
    for (const u64 start : {at, at + page_size})
      ASSERT_EQ(space.map(start, page_size, rw, map_fixed).error, Error::none);
    Injection injection([&] {
      space.enter();
      EXPECT_EQ(space.fault(at, Access::write), Error::none);
      EXPECT_EQ(space.fault(at + page_size, Access::write), Error::none);
    });
    more = injection.run(point, [&] { EXPECT_EQ(space.fault(at, Access::write), Error::none); });
    if (!more) break;
    const auto seen = space.observe();
    ASSERT_TRUE(seen && seen->mappings.size() == 2);
    EXPECT_NE(seen->mappings[0].identity, 0u);
    EXPECT_EQ(seen->mappings[0].identity, seen->mappings[1].identity);
    EXPECT_EQ(space.check(), "");
  }
}

}  // namespace
}  // namespace faultline
