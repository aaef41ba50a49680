// The radix tree whose slots are locks: exclusion, folding, and expansion while other threads wait.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "harness/native/platform.hpp"
#include "locks/address_space/radix_tree.hpp"
#include "tests/locks/event.hpp"

namespace faultline {
namespace {

using P = NativePlatform;
using SmallTree = RadixTree<P, 2, 3>;             // 64 pages: every range cuts slots
using Sv6Sized = RadixTree<P, 3, 3, Sv6Slot, 2>;  // 256 pages, 4 in a leaf
constexpr u64 value_unit = RadixWord::control_bits + 1;

template <class Tree>
std::vector<u64> values(const Tree& tree, u64 first, u64 end) {
  std::vector<u64> seen;
  tree.for_each(first, end, [&](u64 value, u64 slot_first, u64 slot_end) {
    for (u64 page = std::max(first, slot_first); page < std::min(end, slot_end); ++page)
      seen.push_back(value / value_unit);
    return true;
  });
  return seen;
}

TEST(RadixTree, FillsExactlyTheLockedRange) {
  NativeThread thread(0, 0, 0, 1);
  SmallTree tree;
  tree.lock(3, 21);
  tree.fill(3, 21, 7 * value_unit);
  tree.unlock(3, 21);
  EXPECT_EQ(values(tree, 2, 5), (std::vector<u64>{0, 7, 7}));
  EXPECT_EQ(values(tree, 19, 23), (std::vector<u64>{7, 7, 0, 0}));
  EXPECT_TRUE(tree.locked().empty());
}

TEST(RadixTree, LeavesMayHaveOtherSlotsThanNodes) {
  static_assert(sizeof(WordSlot<P>) == 8 && sizeof(Sv6Slot<P>) == 48);
  static_assert(RadixTree<P, 9, 5, Sv6Slot, 6>::leaf_pages == 64);
  NativeThread thread(0, 0, 0, 1);
  Sv6Sized tree;
  tree.lock(30, 101);
  EXPECT_EQ(tree.locked(), (std::vector<std::pair<u64, u64>>{{30, 101}}));
  tree.fill(30, 101, 7 * value_unit);
  tree.unlock(30, 101);
  EXPECT_EQ(values(tree, 28, 33), (std::vector<u64>{0, 0, 7, 7, 7}));
  EXPECT_EQ(values(tree, 99, 103), (std::vector<u64>{7, 7, 0, 0}));
  EXPECT_TRUE(tree.locked().empty());
}

TEST(RadixTree, LocksAWholeSubtreeByOneFoldedSlot) {
  NativeThread thread(0, 0, 0, 1);
  SmallTree tree;
  tree.lock(16, 32);
  tree.fill(16, 32, 5 * value_unit);
  tree.unlock(16, 32);
  EXPECT_EQ(event(tree, "lock_in_tree.expansions"), 0u);
  u64 first = 0;
  u64 end = 0;
  EXPECT_EQ(tree.lock_folded(20, first, end), 5 * value_unit);
  EXPECT_EQ(first, 16u);
  EXPECT_EQ(end, 32u);
  tree.narrow_to(20, 21);
  tree.fill(20, 21, 6 * value_unit);
  tree.unlock(20, 21);
  EXPECT_EQ(values(tree, 19, 22), (std::vector<u64>{5, 6, 5}));
  EXPECT_TRUE(tree.locked().empty());
}

TEST(RadixTree, NoticesASlotLeftLocked) {
  NativeThread thread(0, 0, 0, 1);
  SmallTree tree;
  tree.lock(9, 10);
  tree.lock(14, 33);
  EXPECT_EQ(tree.locked(), (std::vector<std::pair<u64, u64>>{{9, 10}, {14, 33}}));
  tree.unlock(9, 10);
  tree.unlock(14, 33);
  EXPECT_TRUE(tree.locked().empty());
}

// Threads lock random ranges. A shadow word for each page shows whether two threads were in at the
// same time. `really`: take the lock. Answers whether two were.
bool overlap_seen(bool really, u32 rounds) {
  constexpr u32 threads = 6;
  SmallTree tree;
  std::atomic<u32> shadow[SmallTree::pages] = {};
  std::atomic<bool> overlapped{false};
  std::vector<std::thread> running;
  for (u32 i = 0; i < threads; ++i)
    running.emplace_back([&, i] {
      NativeThread registered(i, i % 2, 0, i);
      for (u32 round = 0; round < rounds && (really || !overlapped); ++round) {
        const u64 a = P::random() % SmallTree::pages;
        const u64 b = P::random() % SmallTree::pages;
        const u64 first = a < b ? a : b;
        const u64 end = (a < b ? b : a) + 1;
        if (really) tree.lock(first, end);
        for (u64 page = first; page < end; ++page)
          if (shadow[page].fetch_add(1) != 0) overlapped = true;
        if (round % 8 == 0) std::this_thread::yield();
        for (u64 page = first; page < end; ++page) shadow[page].fetch_sub(1);
        if (really) tree.unlock(first, end);
      }
    });
  for (std::thread& thread : running) thread.join();
  EXPECT_TRUE(tree.locked().empty());
  return overlapped;
}

TEST(RadixTree, KeepsOverlappingRangesApartWhileSlotsAreExpanded) {
  for (int trees = 0; trees < 20; ++trees) EXPECT_FALSE(overlap_seen(true, 300));
}

TEST(RadixTree, TheCheckerSeesThreadsThatDoNotLock) {
  EXPECT_TRUE(overlap_seen(false, 100'000));
}

// One thread locks a whole folded slot. Another waits for page 5 of it, until `let_go`.
template <class F>
void with_a_waiter(SmallTree& tree, F&& let_go) {
  u64 first = 0;
  u64 end = 0;
  tree.lock_folded(0, first, end);
  std::atomic<bool> locked{false};
  std::thread waiter([&] {
    NativeThread other(1, 1, 0, 2);
    tree.lock(5, 6);
    locked = true;
    tree.unlock(5, 6);
  });
  while (event(tree, "lock_in_tree.waits") == 0) std::this_thread::yield();
  EXPECT_FALSE(locked);
  let_go(first, end);
  waiter.join();
  EXPECT_TRUE(locked);
}

TEST(RadixTree, ASlotExpandedWhileOneWaitsIsDescendedInto) {
  NativeThread thread(0, 0, 0, 1);
  for (int round = 0; round < 50; ++round) {
    SmallTree tree;
    // Page 5 is free, although page 0 is still held, so the wait was not necessary.
    with_a_waiter(tree, [&](u64, u64) { tree.narrow_to(0, 1); });
    tree.unlock(0, 1);
    EXPECT_EQ(event(tree, "lock_in_tree.false_conflicts"), 1u);
  }
}

TEST(RadixTree, ASlotUnlockedWhileOneWaitsIsTaken) {
  NativeThread thread(0, 0, 0, 1);
  for (int round = 0; round < 50; ++round) {
    SmallTree tree;
    with_a_waiter(tree, [&](u64 first, u64 end) { tree.unlock(first, end); });
    EXPECT_EQ(event(tree, "lock_in_tree.false_conflicts"), 0u);
  }
}

}  // namespace
}  // namespace faultline
