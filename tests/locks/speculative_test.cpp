// Which faults are speculative, and what each edit leaves behind for the next fault.
#include <gtest/gtest.h>

#include <memory>

#include "harness/native/platform.hpp"
#include "locks/schemes/speculative_counted.hpp"
#include "locks/schemes/speculative_mm.hpp"
#include "locks/shared/rwsem.hpp"
#include "locks/vmas/maple.hpp"
#include "locks/vmas/sorted_array.hpp"
#include "tests/locks/event.hpp"

namespace faultline {
namespace {

using P = NativePlatform;
constexpr u32 rw = prot_read | prot_write;

template <class Hooks, class Vmas = vmas::Maple>
using Space = Speculation<Mm<P, Vmas, Hooks>, Rwsem<P>>;

// A fault finds its VMA under RCU, so a container that cannot be searched under RCU is refused.
template <class Vmas>
concept Composes = requires {
  typename Space<VmaSequenceHooks<P>, Vmas>;
};
static_assert(Composes<vmas::Maple>);
static_assert(!Composes<vmas::SortedArray>);

template <class Hooks>
class Speculative : public testing::Test {
 protected:
  Speculative() { space_.enter(); }
  u64 page(u64 number) const { return space_.fixed_base() + number * page_size; }
  void map(u64 first, u64 pages, u32 prot = rw, u32 flags = 0) {
    ASSERT_EQ(space_.map(page(first), pages * page_size, prot, map_fixed | flags).error,
              Error::none);
  }
  u64 fallbacks() const {
    u64 count = 0;
    Events events;
    space_.append_events(events);
    for (const EventCount& one : events)
      if (one.name.starts_with("speculative.fallback_")) count += one.value;
    return count;
  }
  // Whether a fault on the page is served without the big lock.
  bool is_speculative(u64 number, Access access = Access::write) {
    const u64 before = fallbacks();
    EXPECT_EQ(space_.fault(page(number), access), Error::none);
    return fallbacks() == before;
  }
  // Gives every page of [first, end) its anon_vma and its page of the page table.
  void prepare(u64 first, u64 end) {
    for (u64 at = first; at < end; ++at)
      ASSERT_EQ(space_.fault(page(at), Access::write), Error::none);
  }

  NativeThread thread_{0, 0, 0, 1};
  Space<Hooks> space_{AddressSpaceOptions{}};
};

using Sequences = testing::Types<VmaSequenceHooks<P>, MmSequenceHooks<P>, CountedSequenceHooks<P>>;
TYPED_TEST_SUITE(Speculative, Sequences);

TYPED_TEST(Speculative, TheFirstWriteTakesTheBigLockAndOthersDoNot) {
  this->map(0, 4);
  EXPECT_EQ(this->space_.fault(this->page(0), Access::write), Error::none);
  EXPECT_EQ(event(this->space_, "speculative.fallback_anon_vma"), 1u);
  for (u64 number : {1, 2, 3}) EXPECT_TRUE(this->is_speculative(number));
  EXPECT_EQ(this->space_.check(), "");
}

TYPED_TEST(Speculative, AFaultThatNeedsATableTakesTheBigLock) {
  this->map(0, 1, prot_read);
  EXPECT_EQ(this->space_.fault(this->page(0), Access::read), Error::none);
  EXPECT_EQ(event(this->space_, "speculative.fallback_no_table"), 1u);
  EXPECT_TRUE(this->is_speculative(0, Access::read));
}

TYPED_TEST(Speculative, AFaultOutsideOrWithoutPermissionIsDecidedUnderTheBigLock) {
  this->map(0, 1, prot_read);
  EXPECT_EQ(this->space_.fault(this->page(0), Access::write), Error::segv);
  EXPECT_EQ(event(this->space_, "speculative.fallback_no_permission"), 1u);
  EXPECT_EQ(this->space_.fault(this->page(1), Access::read), Error::segv);
  EXPECT_EQ(event(this->space_, "speculative.fallback_missed"), 1u);
}

TYPED_TEST(Speculative, FilesAndSharedMemoryTakeTheBigLock) {
  this->map(0, 1, rw, map_file);
  this->map(1, 1, rw, map_shared);
  this->prepare(0, 2);
  const u64 before = event(this->space_, "speculative.fallback_not_anonymous");
  EXPECT_EQ(this->space_.fault(this->page(0), Access::read), Error::none);
  EXPECT_EQ(this->space_.fault(this->page(1), Access::write), Error::none);
  EXPECT_EQ(event(this->space_, "speculative.fallback_not_anonymous"), before + 2);
}

// Each edit must leave the sequence even, or no fault of the VMA would be speculative again.
TYPED_TEST(Speculative, FaultsAreSpeculativeAgainAfterEachEdit) {
  this->map(0, 8);
  this->prepare(0, 8);
  ASSERT_EQ(this->space_.protect(this->page(2), page_size, prot_read), Error::none);  // splits
  EXPECT_TRUE(this->is_speculative(1));
  EXPECT_TRUE(this->is_speculative(2, Access::read));
  EXPECT_TRUE(this->is_speculative(3));
  ASSERT_EQ(this->space_.protect(this->page(2), page_size, rw), Error::none);  // merges
  for (u64 number : {1, 2, 3}) EXPECT_TRUE(this->is_speculative(number));
  ASSERT_EQ(this->space_.unmap(this->page(4), page_size), Error::none);
  EXPECT_TRUE(this->is_speculative(3));
  EXPECT_TRUE(this->is_speculative(5));
  this->map(8, 1);  // extends the VMA below
  EXPECT_TRUE(this->is_speculative(7));
  this->map(4, 1);  // extends the VMA below and merges it with the one above
  for (u64 number : {3, 4, 5}) EXPECT_TRUE(this->is_speculative(number));
  ASSERT_EQ(this->space_.unmap(this->page(0), page_size), Error::none);
  this->map(0, 1);  // extends the VMA above
  EXPECT_TRUE(this->is_speculative(1));
  EXPECT_EQ(this->space_.check(), "");
}

TYPED_TEST(Speculative, FaultsAreSpeculativeAgainAfterAStackHasGrown) {
  this->map(600, 1, rw, map_growsdown);
  EXPECT_EQ(this->space_.fault(this->page(599), Access::write), Error::none);
  this->prepare(599, 601);
  EXPECT_TRUE(this->is_speculative(600));
  EXPECT_EQ(this->space_.check(), "");
}

TEST(SpeculativeSequence, AFaultIsInvalidFromTheFirstEditOn) {
  NativeThread thread(0, 0, 0, 1);
  struct Fields {
    VmaSequenceHooks<P>::State::MostlyRead mostly_read;
  } vma;
  VmaSequenceHooks<P> hooks, other;
  hooks.attach(vma);
  VmaSequenceHooks<P>::Attempt attempt(hooks), foreign(other);
  ASSERT_TRUE(attempt.enter(vma));
  EXPECT_FALSE(foreign.enter(vma));
  EXPECT_TRUE(attempt.valid());
  hooks.start_write(vma);
  EXPECT_FALSE(attempt.valid());
  EXPECT_FALSE(VmaSequenceHooks<P>::Attempt(hooks).enter(vma));
  hooks.end_write(vma);
  EXPECT_FALSE(attempt.valid());
  EXPECT_TRUE(VmaSequenceHooks<P>::Attempt(hooks).enter(vma));
}

// Whoever drops the last reference answers true.
TEST(SpeculativeCount, TheLastOfAddressSpaceAndFaultsReturnsTheVma) {
  NativeThread thread(0, 0, 0, 1);
  using Hooks = CountedSequenceHooks<P>;
  struct Fields {
    Hooks::State::MostlyRead mostly_read;
    Hooks::State::Hot hot;
  } vma;
  Hooks hooks;
  Hooks::Attempt early(hooks);
  EXPECT_FALSE(early.enter(vma));  // in the pool
  EXPECT_FALSE(early.leave(vma));
  EXPECT_EQ(vma.hot.count.load(std::memory_order_relaxed), 0u);
  hooks.attach(vma);
  Hooks::Attempt first(hooks), second(hooks), late(hooks);
  ASSERT_TRUE(first.enter(vma));
  ASSERT_TRUE(second.enter(vma));
  EXPECT_FALSE(first.leave(vma));
  hooks.start_write(vma);
  EXPECT_FALSE(hooks.drop(vma));
  EXPECT_FALSE(late.enter(vma));
  EXPECT_FALSE(late.leave(vma));
  EXPECT_TRUE(second.leave(vma));
  EXPECT_FALSE(Hooks::Attempt(hooks).enter(vma));
  hooks.attach(vma);
  hooks.start_write(vma);
  EXPECT_TRUE(hooks.drop(vma));
}

TEST(SpeculativeCount, AMergedVmaStaysOutOfThePoolWhileAFaultRefersToIt) {
  NativeThread thread(0, 0, 0, 1);
  using CountedSpace = Space<CountedSequenceHooks<P>>;
  auto pool = std::make_shared<CountedSpace::VmaPool>();
  CountedSpace space(AddressSpaceOptions{}, pool);
  space.enter();
  const u64 base = space.fixed_base();
  ASSERT_EQ(space.map(base, page_size, rw, map_fixed).error, Error::none);
  auto* upper = pool->take();
  pool->give(upper);
  ASSERT_EQ(space.map(base + 2 * page_size, page_size, rw, map_fixed).error, Error::none);
  upper->hot.count.fetch_add(1, std::memory_order_relaxed);  // as a fault does
  ASSERT_EQ(space.map(base + page_size, page_size, rw, map_fixed).error, Error::none);
  EXPECT_EQ(upper->hot.count.load(std::memory_order_relaxed), 1u);
  EXPECT_NE(pool->take(), upper);
}

TEST(SpeculativeCount, AVmaReturnsToThePoolAfterASpeculativeFault) {
  NativeThread thread(0, 0, 0, 1);
  using CountedSpace = Space<CountedSequenceHooks<P>>;
  auto pool = std::make_shared<CountedSpace::VmaPool>();
  CountedSpace space(AddressSpaceOptions{}, pool);
  space.enter();
  auto* next = pool->take();
  pool->give(next);
  const u64 base = space.fixed_base();
  ASSERT_EQ(space.map(base, 2 * page_size, rw, map_fixed).error, Error::none);
  ASSERT_EQ(space.fault(base, Access::write), Error::none);
  ASSERT_EQ(space.fault(base + page_size, Access::write), Error::none);
  ASSERT_EQ(event(space, "speculative.fallback_anon_vma"), 1u);
  ASSERT_EQ(space.unmap(base, 2 * page_size), Error::none);
  EXPECT_EQ(pool->take(), next);
}

}  // namespace
}  // namespace faultline
