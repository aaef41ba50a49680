// Every lock and every scheme of the registry on a platform other than the native one: they
// compile, and one thread completes their operations.
#pragma once

#include <gtest/gtest.h>

#include <tuple>

#include "locks/any_make.hpp"
#include "locks/range/nesting.hpp"
#include "locks/schemes/registry.hpp"
#include "locks/shared/concept.hpp"

namespace faultline {

template <class P>
class Seam : public testing::Test {};
TYPED_TEST_SUITE_P(Seam);

template <Mutex L>
void run_verbs_of_mutex() {
  L lock;
  typename L::Node node;
  typename L::Node other;
  for (int turn = 0; turn < 3; ++turn) {
    lock.lock(node);
    EXPECT_FALSE(lock.try_lock(other));
    lock.unlock(node);
    ASSERT_TRUE(lock.try_lock(other));
    EXPECT_FALSE(lock.try_lock(node));
    lock.unlock(other);
  }
}

template <SharedLock L>
void run_verbs_of_shared() {
  L lock;
  for (int turn = 0; turn < 3; ++turn) {
    lock.lock();
    EXPECT_FALSE(lock.try_lock());
    EXPECT_FALSE(lock.try_lock_shared());
    lock.downgrade();
    EXPECT_FALSE(lock.try_lock());
    ASSERT_TRUE(lock.try_lock_shared());
    lock.lock_shared();
    lock.unlock_shared();
    lock.unlock_shared();
    EXPECT_NE(lock.describe(), "");
    lock.unlock_shared();
    ASSERT_TRUE(lock.try_lock());
    lock.unlock();
  }
  Events events;
  lock.append_events(events);
}

template <RangeLock L>
void run_verbs_of_range() {
  L lock;
  typename L::Node low, high, over;
  allow_nesting(lock);
  lock.lock(low, {0, 8 * page_size}, true);
  lock.lock(high, {8 * page_size, 16 * page_size}, false);
  EXPECT_FALSE(lock.try_lock(over, {4 * page_size, 12 * page_size}, false));
  EXPECT_EQ(lock.describe().size(), 2U);
  lock.downgrade_range(low, {0, 4 * page_size});
  lock.downgrade(low);
  if constexpr (shares_ranges<L>) {
    lock.lock(over, {0, 16 * page_size}, false);
    lock.unlock(over);
  }
  lock.unlock(low);
  lock.unlock(high);
  lock.lock(over, {0, 16 * page_size}, true);
  lock.unlock(over);
  Events events;
  lock.append_events(events);
}

inline void run_verbs_of_scheme(AddressSpace& space) {
  constexpr u32 rw = prot_read | prot_write;
  space.enter();
  const MapResult mapped = space.map(0, 16 * page_size, rw, 0);
  ASSERT_EQ(mapped.error, Error::none);
  const u64 base = mapped.address;
  for (u64 page = 0; page < 16; ++page)
    EXPECT_EQ(space.fault(base + page * page_size, Access::write), Error::none);
  EXPECT_TRUE(space.walk(base));
  EXPECT_EQ(space.protect(base, page_size, prot_read), Error::none);
  EXPECT_EQ(space.fault(base, Access::write), Error::segv);
  EXPECT_EQ(space.discard(base + page_size, page_size), Error::none);
  EXPECT_EQ(space.fault(base + page_size, Access::read), Error::none);
  EXPECT_EQ(space.brk(page_size).error, Error::none);
  EXPECT_GE(space.scan(), 3U);
  EXPECT_EQ(space.unmap(base + 4 * page_size, 4 * page_size), Error::none);
  EXPECT_EQ(space.fault(base + 5 * page_size, Access::read), Error::segv);
  EXPECT_EQ(space.unmap(base, 16 * page_size), Error::none);
  Events events;
  space.append_events(events);
  EXPECT_FALSE(space.holders().empty());
  EXPECT_EQ(space.check(), "");
}

TYPED_TEST_P(Seam, EveryMutexGoesThroughItsVerbs) {
  std::apply(
      [](auto... named) {
        (
            [&] {
              SCOPED_TRACE(named.name);
              run_verbs_of_mutex<typename decltype(named)::Lock>();
            }(),
            ...);
      },
      mutex_list<TypeParam>());
}

TYPED_TEST_P(Seam, EverySharedLockGoesThroughItsVerbs) {
  std::apply(
      [](auto... named) {
        (
            [&] {
              SCOPED_TRACE(named.name);
              run_verbs_of_shared<typename decltype(named)::Lock>();
            }(),
            ...);
      },
      shared_list<TypeParam>());
}

TYPED_TEST_P(Seam, EveryRangeLockGoesThroughItsVerbs) {
  std::apply(
      [](auto... named) {
        (
            [&] {
              SCOPED_TRACE(named.name);
              run_verbs_of_range<typename decltype(named)::Lock>();
            }(),
            ...);
      },
      range_list<TypeParam>());
}

TYPED_TEST_P(Seam, EverySchemeGoesThroughItsVerbs) {
  AddressSpaceOptions options;
  options.frames_per_thread = 64;
  for (const std::string& name : stars_of(scheme_family, false)) {
    SCOPED_TRACE(name);
    const auto space = make_scheme<TypeParam>(choose(scheme_family, name), options);
    run_verbs_of_scheme(*space);
  }
}

// A stub must not pretend to have done what it cannot do.
TYPED_TEST_P(Seam, AWaitThatNobodyEndsAborts) {
  using P = TypeParam;
  typename P::template atomic<u32> word{1};
  EXPECT_TRUE(P::wait(word, 0));
  EXPECT_FALSE(P::wait(word, 1, P::now() + 5));
  EXPECT_DEATH(P::wait(word, 1), "sleeps with nobody to wake it");
  EXPECT_DEATH(
      {
        Ticket<P> lock;
        typename Ticket<P>::Node node;
        lock.lock(node);
        lock.lock(node);
      },
      "spins for ever, for ticket");
  EXPECT_DEATH(
      {
        Rwsem<P> lock;
        lock.lock();
        lock.lock_shared();
      },
      "sleeps with nobody to wake it, for rwsem to read");
}

REGISTER_TYPED_TEST_SUITE_P(Seam, EveryMutexGoesThroughItsVerbs, EverySharedLockGoesThroughItsVerbs,
                            EveryRangeLockGoesThroughItsVerbs, EverySchemeGoesThroughItsVerbs,
                            AWaitThatNobodyEndsAborts);

}  // namespace faultline
