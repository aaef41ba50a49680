// Schemes that are broken on purpose: the oracle must find each of them out. Edits of a mapping run
// at every point of a fault in it, so that no luck is needed; the same schemes unbroken stand
// beside.
#include <gtest/gtest.h>

#include "locks/schemes/lock_in_tree.hpp"
#include "locks/schemes/mmap_sem.hpp"
#include "locks/schemes/range_lock.hpp"
#include "locks/shared/rwsem.hpp"
#include "locks/vmas/rbtree.hpp"
#include "tests/locks/broken.hpp"
#include "tests/locks/injecting_platform.hpp"

namespace faultline {
namespace {

using P = InjectingPlatform;
using TreeMm = Mm<P, vmas::RbTree, NoHooks>;
using RangeMm = Mm<P, vmas::RbTree, RangeLockHooks<P>>;

// Holds that are exclusive lose what lies beside the pages asked for: their first page and their
// last.
class NarrowRanges : public TreeRangeLock<P> {
 public:
  void lock(Node& node, Range range, bool exclusive) {
    const u64 lost = exclusive && range.length() > 2 * page_size ? page_size : 0;
    TreeRangeLock<P>::lock(node, {range.start + lost, range.end - lost}, exclusive);
  }
};

// Edits lock nothing. Faults do.
class OpenTree : public RadixTree<P> {
 public:
  void lock(u64 first, u64 end) {
    RadixTree<P>::lock(first, first + 1);  // so that their edges are slots' edges
    RadixTree<P>::unlock(first, first + 1);
    RadixTree<P>::lock(end - 1, end);
    RadixTree<P>::unlock(end - 1, end);
  }
  void unlock(u64 first, u64 end) {
    if (end - first == 1) RadixTree<P>::unlock(first, end);
  }
};

constexpr u32 rw = prot_read | prot_write;
constexpr u64 base = u64{1} << 44;
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

TEST(BrokenSchemes, ASemaphoreThatLetsReadersInBesideAWriterIsFoundOut) {
  EXPECT_GT((times_found_out<MmapSem<TreeMm, broken::RudeReaders>>()), 0u);
  EXPECT_EQ((times_found_out<MmapSem<TreeMm, Rwsem<P>>>()), 0u);
}

TEST(BrokenSchemes, RangesThatLeaveOutTheNeighboursPartAreFoundOut) {
  using Structure = MutexStructure<P, Ticket<P>>;
  EXPECT_GT((times_found_out<RangeLockScheme<RangeMm, Structure, NarrowRanges>>()), 0u);
  EXPECT_EQ((times_found_out<RangeLockScheme<RangeMm, Structure>>()), 0u);
}

TEST(BrokenSchemes, EditsThatLockNoSlotAreFoundOut) {
  EXPECT_GT((times_found_out<LockInTree<P, OpenTree>>()), 0u);
  EXPECT_EQ((times_found_out<LockInTree<P>>()), 0u);
}

}  // namespace
}  // namespace faultline
