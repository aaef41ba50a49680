// The oracle must find out each scheme that is broken by hand, and no sound one. An edit of a
// mapping runs at every point of a fault in it, so that no luck is needed.
#include <gtest/gtest.h>

#include <set>
#include <string_view>

#include "harness/check/broken/schemes.hpp"
#include "tests/locks/injecting_platform.hpp"

namespace faultline {
namespace {

using P = InjectingPlatform;
constexpr u32 rw = prot_read | prot_write;
constexpr u64 base = lowest_address;
constexpr Range mapping{base, base + 8 * page_size};

// At how many points of a fault at `address` what `intrude(space)` does makes check() answer
// something.
template <class Scheme, class F>
u32 times_found_out(u64 address, F&& intrude) {
  NativeThread thread(0, 0, 0, 1);
  u32 found = 0;
  bool more = true;
  for (u32 point = 1; more; ++point) {
    AddressSpaceOptions options;
    options.frames_per_thread = 8;
    Scheme space(options);
    space.enter();
    space.map(mapping.start, mapping.length(), rw, map_fixed);
    Injection injection([&] {
      space.enter();
      intrude(space);
    });
    more = injection.run(point, [&] { space.fault(address, Access::write); });
    found += space.check().empty() ? 0 : 1;
  }
  return found;
}

// The mapping under the fault is replaced by another; or it is cut, which moves its bounds.
template <class Scheme>
u32 times_found_out() {
  return times_found_out<Scheme>(
             base + 3 * page_size,
             [](Scheme& space) { space.map(mapping.start, mapping.length(), rw, map_fixed); }) +
         times_found_out<Scheme>(mapping.end - 1, [](Scheme& space) {
           space.unmap(base + 2 * page_size, 2 * page_size);
         });
}

// One edit beside one fault cannot show these: two edits must meet.
const std::set<std::string_view> beyond_one_edit = {};

TEST(BrokenSchemes, AreFoundOut) {
  check::for_each_broken_scheme<P, Ticket>([]<class Scheme>(const char* name) {
    SCOPED_TRACE(name);
    if (!beyond_one_edit.contains(name)) EXPECT_GT(times_found_out<Scheme>(), 0u);
  });
}

TEST(BrokenSchemes, AreNotFoundOutWhereTheyAreSound) {
  using RangeMm = TreeMm<P, RangeLockHooks<P>>;
  EXPECT_EQ((times_found_out<MmapSem<TreeMm<P>, Rwsem<P>>>()), 0u);
  EXPECT_EQ((times_found_out<RangeLockScheme<RangeMm, MutexStructure<P, Ticket<P>>>>()), 0u);
  EXPECT_EQ((times_found_out<LockInTree<P, check::SmallTree<P>>>()), 0u);
  EXPECT_EQ((times_found_out<Refcount<TreeMm<P, RefcountHooks<P>>, Rwsem<P>>>()), 0u);
}

}  // namespace
}  // namespace faultline
