// The tests that only scheme `lock_in_maple` needs. schemes_test.cpp has the tests of all schemes.
#include "locks/schemes/lock_in_maple.hpp"

#include <gtest/gtest.h>

#include <barrier>
#include <random>
#include <thread>
#include <vector>

#include "harness/native/platform.hpp"
#include "locks/address_space/tree_mm.hpp"
#include "locks/schemes/mmap_sem.hpp"
#include "locks/shared/rwsem.hpp"
#include "tests/locks/event.hpp"
#include "tests/locks/injecting_platform.hpp"

namespace faultline {
namespace {

using P = NativePlatform;
constexpr u32 rw = prot_read | prot_write;
using vmas::Words;
template <Words words, u32 slots>
using Space =
    lock_in_maple_scheme::Over<P, words, vmas::LockingMapleOf<words, slots, slots == 4 ? 1 : 256>>;
constexpr u64 base = u64{1} << 44;

// The tree alone.
template <Words words, class Platform = P>
struct Entries {
  using Spaces = Mm<Platform, vmas::LockingMapleOf<words, 4>, EntryHooks<Platform, words>>;
  using V = typename Spaces::V;
  typename Spaces::Container tree;
  V vmas[40];

  u64 waits() const {
    Events events;
    tree.append_events(events);
    return events[0].value;
  }
  // Puts VMA `i` over some pages, and leaves it unlocked.
  void put(u32 i, u64 page, u64 pages) {
    const Range range{base + page * page_size, base + (page + pages) * page_size};
    vmas[i].set_range(range);
    tree.lock(range);
    tree.insert(vmas[i]);
    tree.unlock(range);
  }
};
constexpr Range pages_of(u64 first, u64 end) {
  return {base + first * page_size, base + end * page_size};
}
// Runs `act` on a thread of its own.
template <class F>
std::thread start(u32 self, const F& act) {
  return std::thread([self, act] {
    NativeThread thread(self, 0, 0, self);
    act();
  });
}

template <class T>
class LockingMapleTest : public testing::Test {};
using BothWords = testing::Types<std::integral_constant<Words, Words::in_vmas>,
                                 std::integral_constant<Words, Words::in_nodes>>;
TYPED_TEST_SUITE(LockingMapleTest, BothWords);

TYPED_TEST(LockingMapleTest, HoldsOfAHoleWhatIsAskedForAndOfAVmaAll) {
  NativeThread thread(0, 0, 0, 1);
  Entries<TypeParam::value> entries;
  entries.put(0, 4, 4);
  const Range held = entries.tree.lock(pages_of(2, 5));
  EXPECT_EQ(held.start, pages_of(2, 8).start);
  EXPECT_EQ(held.end, pages_of(2, 8).end);
  EXPECT_EQ(entries.tree.locked().size(), 2u);
  // What lies beside it is free.
  const Range below = pages_of(1, 2), above = pages_of(8, 9);
  entries.tree.unlock(entries.tree.lock(below));
  entries.tree.unlock(entries.tree.lock(above));
  entries.tree.unlock(held);
  EXPECT_EQ(entries.tree.locked().size(), 0u);
  EXPECT_EQ(entries.tree.check(), "");
}

TYPED_TEST(LockingMapleTest, KeepsOthersOutOfALockedHoleUntilItIsUnlocked) {
  NativeThread thread(0, 0, 0, 1);
  Entries<TypeParam::value> entries;
  const Range held = entries.tree.lock(pages_of(2, 4));
  bool done = false;  // under the lock of page 3
  std::thread other = start(1, [&] {
    const Range own = entries.tree.lock(pages_of(3, 6));
    EXPECT_TRUE(done);
    entries.tree.unlock(own);
    EXPECT_EQ(entries.tree.lock_shared(base + 3 * page_size), nullptr);
  });
  while (entries.waits() == 0) std::this_thread::yield();
  done = true;
  entries.tree.unlock(held);
  other.join();
  EXPECT_EQ(entries.tree.check(), "");
}

// A thread sleeps for a page of a VMA, whose holder cuts that page off.
TYPED_TEST(LockingMapleTest, WakesThoseWhoWaitForAPartThatIsCutOff) {
  NativeThread thread(0, 0, 0, 1);
  Entries<TypeParam::value> entries;
  entries.put(0, 0, 4);
  const Range held = entries.tree.lock(pages_of(0, 4));
  std::thread other =
      start(1, [&] { EXPECT_EQ(entries.tree.lock_shared(base + 3 * page_size), nullptr); });
  while (entries.waits() == 0) std::this_thread::yield();
  entries.tree.resize(entries.vmas[0], pages_of(0, 2));
  entries.tree.unlock({held.start, pages_of(0, 2).end});
  entries.tree.unlock({pages_of(2, 4).start, held.end});
  other.join();
  EXPECT_EQ(entries.tree.check(), "");
}

// A thread sleeps for a hole, over which the holder puts a VMA.
TYPED_TEST(LockingMapleTest, WakesThoseWhoWaitForAHoleThatIsMapped) {
  NativeThread thread(0, 0, 0, 1);
  Entries<TypeParam::value> entries;
  const Range held = entries.tree.lock(pages_of(0, 4));
  std::thread other = start(1, [&] {
    auto* vma = entries.tree.lock_shared(base + 3 * page_size);
    ASSERT_EQ(vma, &entries.vmas[0]);
    entries.tree.unlock_shared(*vma);
  });
  while (entries.waits() == 0) std::this_thread::yield();
  entries.vmas[0].set_range(held);
  entries.tree.insert(entries.vmas[0]);
  entries.tree.unlock(held);
  other.join();
  EXPECT_EQ(entries.tree.check(), "");
}

// A writer that waits keeps later readers out, and all go on when the reader has left.
TYPED_TEST(LockingMapleTest, KeepsLaterReadersBehindAWaitingWriter) {
  NativeThread thread(0, 0, 0, 1);
  Entries<TypeParam::value> entries;
  entries.put(0, 0, 1);
  auto* vma = entries.tree.lock_shared(base);
  std::thread writer = start(1, [&] { entries.tree.unlock(entries.tree.lock(pages_of(0, 1))); });
  while (entries.waits() == 0) std::this_thread::yield();
  std::thread reader =
      start(2, [&] { entries.tree.unlock_shared(*entries.tree.lock_shared(base)); });
  while (entries.waits() == 1) std::this_thread::yield();
  entries.tree.unlock_shared(*vma);
  writer.join();
  reader.join();
  EXPECT_EQ(entries.tree.check(), "");
}

// Edits beside a VMA move its slot, and split its leaf, while it is held shared.
TYPED_TEST(LockingMapleTest, FindsTheLockOfAVmaWhoseSlotHasMoved) {
  NativeThread thread(0, 0, 0, 1);
  Entries<TypeParam::value> entries;
  entries.put(0, 100, 1);
  auto* vma = entries.tree.lock_shared(base + 100 * page_size);
  ASSERT_EQ(vma, &entries.vmas[0]);
  for (u32 i = 1; i < 40; ++i) entries.put(i, 2 * i + (i > 20 ? 100 : 0), 1);
  EXPECT_EQ(entries.tree.locked().size(), 1u);
  entries.tree.unlock_shared(*vma);
  EXPECT_EQ(entries.tree.check(), "");
  EXPECT_GT(entries.tree.leaves(), 10u);
}

// A VMA over several leaves has one lock, and its slots follow its start.
TYPED_TEST(LockingMapleTest, HasOneLockForAVmaOverSeveralLeaves) {
  NativeThread thread(0, 0, 0, 1);
  Entries<TypeParam::value> entries;
  for (u32 i = 0; i < 20; ++i) entries.put(i, 2 * i, 1);
  const u64 leaves = entries.tree.leaves();
  const Range range = pages_of(0, 39);
  entries.tree.lock(range);
  for (u32 i = 0; i < 20; ++i) entries.tree.erase(entries.vmas[i]);
  auto& large = entries.vmas[20];
  large.set_range(pages_of(10, 30));
  entries.tree.insert(large);
  entries.tree.resize(large, pages_of(2, 35));
  entries.tree.resize(large, pages_of(20, 33));
  EXPECT_EQ(entries.tree.leaves(), leaves);
  entries.tree.unlock(range);
  EXPECT_EQ(entries.tree.check(), "");
  EXPECT_EQ(entries.tree.count_vmas(), 1u);
  EXPECT_EQ(entries.tree.lock_shared(base + 32 * page_size), &large);
  EXPECT_EQ(entries.tree.locked().size(), 1u);
  entries.tree.unlock_shared(large);
  EXPECT_EQ(entries.tree.find_rcu(base + 19 * page_size), nullptr);
  EXPECT_EQ(entries.tree.find(base), &large);
  EXPECT_EQ(entries.tree.last(), &large);
}

TYPED_TEST(LockingMapleTest, TakesLeavesOutWhenTheirVmasHaveGone) {
  NativeThread thread(0, 0, 0, 1);
  Entries<TypeParam::value> entries;
  for (u32 i = 0; i < 40; ++i) entries.put(i, 2 * i, 1);
  EXPECT_GT(entries.tree.leaves(), 10u);
  // A leaf goes when a hole beside it is there. So the last leaves go in the second round.
  for (const bool erases : {true, false})
    for (u32 i = 0; i < 40; ++i) {
      const Range held = entries.tree.lock(pages_of(2 * i, 2 * i + 1));
      if (erases) entries.tree.erase(entries.vmas[i]);
      entries.tree.unlock(held);
    }
  EXPECT_EQ(entries.tree.leaves(), 1u);
  EXPECT_EQ(entries.tree.height(), 0u);
  EXPECT_EQ(entries.tree.check(), "");
  EXPECT_EQ(entries.tree.find_hole({lowest_address, address_space_end}, page_size), lowest_address);
}

// At each access of a thread that locks a VMA, another one cuts the page off that VMA.
TYPED_TEST(LockingMapleTest, LocksNoVmaThatHasLeftThePage) {
  NativeThread thread(0, 0, 0, 1);
  const Range page = pages_of(5, 6);
  bool more = true;
  for (u32 access = 1; more; ++access) {
    Entries<TypeParam::value, InjectingPlatform> entries;
    entries.put(0, 4, 2);
    Injection injection([&] {
      const Range held = entries.tree.lock(page);
      entries.tree.resize(entries.vmas[0], pages_of(4, 5));
      entries.tree.unlock(held);
    });
    more = injection.run(access, [&] {
      auto* vma = entries.tree.lock_shared(page.start);
      if (vma == nullptr) return;
      EXPECT_TRUE(vma->range().contains(page.start)) << access;
      entries.tree.unlock_shared(*vma);
    });
    ASSERT_EQ(entries.tree.check(), "") << access;
  }
}

using Tree = vmas::EntryTree<InjectingPlatform, 4, 256, true, vmas::RcuNodes>;
using vmas::EntryWord;

template <class T>
void replace(T& tree, Range range, u64 word) {
  const typename T::Section section;
  typename T::Leaf leaf;
  tree.lock_leaf(range.start, leaf, 2);
  tree.replace(leaf, range.start, range.end - 1, word);
}

// Locks and unlocks two pages. With `on_two_threads` another thread does the second.
template <class T>
void edit_two_pages(T& tree, u32 rounds, bool on_two_threads) {
  const auto edit = [&tree](u64 page) {
    replace(tree, pages_of(page, page + 1), EntryWord::exclusive);
    replace(tree, pages_of(page, page + 1), EntryWord::free);
  };
  for (u32 round = 0; round < rounds; ++round) {
    edit(0);
    if (on_two_threads)
      start(1, [&] { edit(100); }).join();
    else
      edit(100);
  }
}
// A leaf with one slot is not split. So a third page stays locked.
TEST(EntryTree, SplitsALeafThatTwoThreadsEditUntilEachHasItsOwn) {
  using Wide = vmas::EntryTree<P, 16, 256, true, vmas::RcuNodes>;
  NativeThread thread(0, 0, 0, 1);
  Wide tree;
  replace(tree, pages_of(50, 51), EntryWord::exclusive);
  edit_two_pages(tree, 1000, false);
  EXPECT_EQ(tree.leaves(), 1u);
  edit_two_pages(tree, 1000, true);
  const Wide::Section section;
  Wide::Leaf leaf;
  tree.lock_leaf(pages_of(0, 1).start, leaf, 0);
  EXPECT_GT(leaf.last(), pages_of(1, 2).end);
  EXPECT_LT(leaf.last(), pages_of(99, 100).start);
  tree.leave(leaf);
}

// At each access of an edit that moves a word to another slot, a thread takes a hold in the old
// one.
TEST(EntryTree, MovesAWordWithTheHoldThatIsTakenMeanwhile) {
  NativeThread thread(0, 0, 0, 1);
  alignas(64) char vma[64];
  const u64 word = reinterpret_cast<u64>(vma), address = pages_of(4, 5).start;
  bool more = true;
  for (u32 access = 1; more; ++access) {
    Tree tree;
    replace(tree, {address, address_space_end}, word);
    vmas::Locked held = vmas::Locked::gone;
    const Tree::Section section;
    Tree::Leaf leaf;
    tree.lock_leaf(base, leaf, 2);
    auto& cell = *leaf.entry(address).cell;
    Injection injection(
        [&] { held = vmas::EntryLock<InjectingPlatform>(cell, word).try_lock_shared(); });
    more = injection.run(
        access, [&] { tree.replace(leaf, base, base + page_size - 1, EntryWord::exclusive); });
    ASSERT_EQ(EntryWord::shared(tree.look(address).word), held == vmas::Locked::locked) << access;
  }
}

// At each access of a thread that edits a leaf, another one takes that leaf out of the tree.
TEST(EntryTree, EditsNoLeafThatHasLeftTheTree) {
  NativeThread thread(0, 0, 0, 1);
  bool more = true;
  for (u32 access = 1; more; ++access) {
    Tree tree;
    for (u32 i = 0; i < 8; ++i) replace(tree, pages_of(4 * i, 4 * i + 1), EntryWord::exclusive);
    for (u32 i = 0; i < 8; ++i) replace(tree, pages_of(4 * i, 4 * i + 1), EntryWord::free);
    const u64 leaves = tree.leaves();
    Injection injection([&] { tree.remove_if_empty(pages_of(9, 10).start); });
    more = injection.run(access, [&] { replace(tree, pages_of(9, 10), EntryWord::exclusive); });
    ASSERT_EQ(tree.look(pages_of(9, 10).start).word, EntryWord::exclusive) << access;
    if (access == 1) {
      ASSERT_LT(tree.leaves(), leaves);
    }
  }
}

// One random call on both address spaces. Their answers are the same.
template <class Space, class Model>
void act(Space& space, Model& model, std::mt19937& random) {
  constexpr u64 pages = 48;
  const u64 start = base + random() % pages * page_size;
  const u64 length = (1 + random() % 6) * page_size;
  const u32 prot = random() % 2 == 0 ? rw : static_cast<u32>(prot_read);
  switch (random() % 8) {
    case 0:
    case 1:
      ASSERT_EQ(space.map(start, length, prot, map_fixed).error,
                model.map(start, length, prot, map_fixed).error);
      break;
    case 2: {
      // Where it places mappings is its own affair.
      const MapResult placed = space.map(0, length, prot, 0);
      ASSERT_EQ(placed.error, Error::none);
      ASSERT_EQ(model.map(placed.address, length, prot, map_fixed).error, Error::none);
      break;
    }
    case 3:
      ASSERT_EQ(space.unmap(start, length), model.unmap(start, length));
      break;
    case 4:
      ASSERT_EQ(space.protect(start, length, prot), model.protect(start, length, prot));
      break;
    case 5:
      ASSERT_EQ(space.discard(start, length), model.discard(start, length));
      break;
    case 6:
      ASSERT_EQ(space.brk(static_cast<i64>(page_size)).address,
                model.brk(static_cast<i64>(page_size)).address);
      break;
    default:
      ASSERT_EQ(space.fault(start, Access::write), model.fault(start, Access::write));
  }
}

// At each access of a fault below a stack, another thread maps the lower end of the guard gap, and
// then unmaps what lies at its upper end. So there is something in the gap all the time.
TEST(LockInMaple, GrowsNoStackIntoAGuardGapThatIsNeverFree) {
  using Threaded = lock_in_maple_scheme::Over<InjectingPlatform, Words::in_vmas>;
  NativeThread thread(0, 0, 0, 1);
  const u64 page = base, gap = page - stack_guard_gap;
  bool more = true;
  for (u32 access = 1; more; ++access) {
    AddressSpaceOptions options;
    options.frames_per_thread = 16;
    Threaded space(options);
    space.enter();
    ASSERT_EQ(space.map(page + page_size, page_size, rw, map_fixed | map_growsdown).error,
              Error::none);
    ASSERT_EQ(space.map(page - page_size, page_size, rw, map_fixed).error, Error::none);
    Injection injection([&] {
      space.enter();
      EXPECT_EQ(space.map(gap, page_size, rw, map_fixed).error, Error::none);
      EXPECT_EQ(space.unmap(page - page_size, page_size), Error::none);
    });
    more = injection.run(access, [&] { EXPECT_EQ(space.fault(page, Access::write), Error::segv); });
    ASSERT_EQ(space.check(), "") << access;
  }
}

template <Words words, u32 slots>
void follows_mmap_sem() {
  NativeThread thread(0, 0, 0, 1);
  std::mt19937 random(1);
  for (int round = 0; round < 20; ++round) {
    Space<words, slots> space(AddressSpaceOptions{});
    MmapSem<TreeMm<P>, Rwsem<P>> model{AddressSpaceOptions{}};
    space.enter();
    model.enter();
    for (int n = 0; n < 400; ++n) {
      act(space, model, random);
      ASSERT_EQ(space.check(), "") << "round " << round << " step " << n;
      ASSERT_EQ(space.scan(), model.scan());
    }
    EXPECT_EQ(space.observe()->mappings, model.observe()->mappings);
    EXPECT_EQ(space.observe()->pages, model.observe()->pages);
  }
}

TEST(LockInMaple, AnswersOneThreadAsMmapSemDoes) {
  follows_mmap_sem<Words::in_vmas, 4>();
  follows_mmap_sem<Words::in_vmas, 16>();
  follows_mmap_sem<Words::in_nodes, 4>();
  follows_mmap_sem<Words::in_nodes, 16>();
}

// One random call, on pages that threads share.
template <class Space>
void act_among_threads(Space& space, std::mt19937& random, u64 pages) {
  constexpr u64 stack_end = base + (u64{1} << 32);
  const u64 at = base + random() % pages * page_size;
  const u64 length = (1 + random() % 6) * page_size;
  switch (random() % 16) {
    case 0:
    case 1:
    case 2:
      EXPECT_EQ(space.map(at, length, rw, map_fixed).error, Error::none);
      break;
    case 3:
      EXPECT_EQ(space.map(at, length, rw, 0).error, Error::none);
      break;
    case 4:
    case 5:
      EXPECT_EQ(space.unmap(at, length), Error::none);
      break;
    case 6:
      EXPECT_EQ(space.unmap(base, random() % 32 == 0 ? u64{1} << 33 : length), Error::none);
      break;
    case 7:
      (void)space.protect(at, length, prot_read);
      break;
    case 8:
      (void)space.discard(at, length);
      break;
    case 9:
      (void)space.brk(static_cast<i64>(length) * (random() % 2 == 0 ? 1 : -1));
      break;
    case 10: {
      const MapResult own = space.map(0, length, rw, 0);
      EXPECT_EQ(own.error, Error::none);
      EXPECT_EQ(space.fault(own.address, Access::write), Error::none);
      EXPECT_EQ(space.unmap(own.address, length), Error::none);
      break;
    }
    case 11:
      (void)space.map(stack_end - page_size, page_size, rw, map_fixed | map_growsdown);
      break;
    case 12:
    case 13:
      (void)space.fault(stack_end - (1 + random() % 64) * page_size, Access::write);
      break;
    default:
      (void)space.fault(at, Access::write);
  }
}

template <Words words, u32 slots>
void survives_threads(u64 pages) {
  NativeThread thread(0, 0, 0, 1);
  Space<words, slots> space(AddressSpaceOptions{});
  space.enter();
  constexpr u32 count = 4;
  std::barrier start(count);
  std::vector<std::thread> threads;
  for (u32 i = 0; i < count; ++i)
    threads.emplace_back([&, i] {
      NativeThread self(i + 1, i % 2, 0, i + 1);
      space.enter();
      std::mt19937 random(i);
      start.arrive_and_wait();
      for (int n = 0; n < 20000; ++n) act_among_threads(space, random, pages);
    });
  for (std::thread& one : threads) one.join();
  EXPECT_EQ(space.check(), "");
}

TEST(LockInMaple, KeepsItsTreeWholeUnderThreads) {
  survives_threads<Words::in_vmas, 4>(200);
  survives_threads<Words::in_vmas, 16>(2000);
  survives_threads<Words::in_nodes, 4>(200);
  survives_threads<Words::in_nodes, 16>(2000);
}

}  // namespace
}  // namespace faultline
