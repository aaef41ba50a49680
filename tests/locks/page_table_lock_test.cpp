// The tests that only scheme `page_table_lock` needs: which nodes a call locks, creates and
// removes. schemes_test.cpp has the tests of all schemes.
#include "locks/schemes/page_table_lock.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <thread>
#include <utility>
#include <vector>

#include "harness/native/platform.hpp"
#include "tests/locks/event.hpp"

namespace faultline {
namespace {

using P = NativePlatform;
using Ranges = std::vector<std::pair<u64, u64>>;
using Nodes = PageTableNodes<P, 2, 3>;  // 64 pages in nodes of 4 entries
constexpr u64 unit = RadixWord::control_bits + 1;
constexpr u32 rw = prot_read | prot_write;

std::vector<u64> values(const Nodes& nodes, u64 first, u64 end) {
  std::vector<u64> seen;
  nodes.for_each(first, end, [&](u64 value, u64 entry_first, u64 entry_end) {
    for (u64 page = std::max(first, entry_first); page < std::min(end, entry_end); ++page)
      seen.push_back(value / unit);
    return true;
  });
  return seen;
}

class PageTableNodesTest : public ::testing::Test {
 protected:
  void fill(u64 first, u64 end, u64 value) {
    nodes_.lock(first, end);
    nodes_.fill(first, end, value * unit);
    nodes_.unlock(first, end);
  }
  u64 created() const { return event(nodes_, "page_table_lock.nodes_created"); }
  u64 removed() const { return event(nodes_, "page_table_lock.nodes_removed"); }

  NativeThread thread_{0, 0, 0, 1};
  Nodes nodes_;
};

TEST_F(PageTableNodesTest, LocksTheLowestNodeThatCoversTheRange) {
  nodes_.lock(5, 6);
  EXPECT_EQ(nodes_.locked(), (Ranges{{4, 8}}));
  nodes_.unlock(5, 6);
  nodes_.lock(4, 8);
  EXPECT_EQ(nodes_.locked(), (Ranges{{4, 8}}));
  nodes_.unlock(4, 8);
  nodes_.lock(8, 16);
  EXPECT_EQ(nodes_.locked(), (Ranges{{0, 16}}));
  nodes_.unlock(8, 16);
  nodes_.lock(15, 17);
  EXPECT_EQ(nodes_.locked(), (Ranges{{0, 64}, {0, 16}}));
  nodes_.unlock(15, 17);
  EXPECT_TRUE(nodes_.locked().empty());
}

TEST_F(PageTableNodesTest, LocksTheNodesBelowThatTheRangeTouchesAndNoOthers) {
  for (u64 page : {1, 5, 9}) fill(page, page + 1, 1);
  EXPECT_EQ(created(), 4u);
  nodes_.lock(3, 8);
  EXPECT_EQ(nodes_.locked(), (Ranges{{0, 16}, {0, 4}, {4, 8}}));
  nodes_.unlock(3, 8);
  EXPECT_TRUE(nodes_.locked().empty());
  EXPECT_EQ(created(), 4u);
}

// A stack grows beside a guard gap, which must stay a hole meanwhile.
TEST_F(PageTableNodesTest, AdjacentRangesAreLockedFromTheFirstEdgeToTheLast) {
  nodes_.lock_adjacent(std::array<u64, 4>{14, 21, 22, 23});
  EXPECT_EQ(nodes_.locked(), (Ranges{{0, 64}}));
  nodes_.unlock(14, 23);
  EXPECT_TRUE(nodes_.locked().empty());
}

TEST_F(PageTableNodesTest, ANewNodeInheritsWhatItsParentsEntrySays) {
  fill(0, 64, 7);
  EXPECT_EQ(created(), 0u);
  fill(21, 22, 3);
  EXPECT_EQ(created(), 2u);
  EXPECT_EQ(values(nodes_, 19, 24), (std::vector<u64>{7, 7, 3, 7, 7}));
  EXPECT_EQ(values(nodes_, 0, 19), std::vector<u64>(19, 7));
  EXPECT_EQ(values(nodes_, 24, 64), std::vector<u64>(40, 7));
}

// The edges of the range cut two entries; the new nodes are locked until the range is.
TEST_F(PageTableNodesTest, ANodeThatAFillCreatesIsLocked) {
  nodes_.lock(2, 14);
  nodes_.fill(2, 14, 5 * unit);
  EXPECT_EQ(created(), 3u);
  EXPECT_EQ(nodes_.locked(), (Ranges{{0, 16}, {0, 4}, {12, 16}}));
  nodes_.unlock(2, 14);
  EXPECT_TRUE(nodes_.locked().empty());
  EXPECT_EQ(values(nodes_, 0, 4), (std::vector<u64>{0, 0, 5, 5}));
  EXPECT_EQ(values(nodes_, 12, 17), (std::vector<u64>{5, 5, 0, 0, 0}));
}

TEST_F(PageTableNodesTest, AnEditSplitsOnlyWhatItChanges) {
  fill(0, 16, 2);
  const u64 before = created();
  nodes_.lock(3, 9);
  nodes_.edit(3, 9, [](u64 value) { return value; });
  EXPECT_EQ(created(), before);
  nodes_.edit(3, 9, [](u64 value) { return value + unit; });
  nodes_.unlock(3, 9);
  EXPECT_EQ(created(), before + 2);
  EXPECT_EQ(values(nodes_, 2, 10), (std::vector<u64>{2, 3, 3, 3, 3, 3, 3, 2}));
}

TEST_F(PageTableNodesTest, AFillOfANodesWholeSpanRemovesItAndWhatIsBelow) {
  for (u64 page : {17, 21, 33}) fill(page, page + 1, 1);
  EXPECT_EQ(created(), 5u);
  fill(16, 48, 4);
  EXPECT_EQ(removed(), 5u);
  EXPECT_EQ(values(nodes_, 15, 49), [] {
    std::vector<u64> all(34, 4);
    all.front() = all.back() = 0;
    return all;
  }());
  EXPECT_TRUE(nodes_.locked().empty());
  fill(18, 19, 6);
  EXPECT_EQ(values(nodes_, 17, 20), (std::vector<u64>{4, 6, 4}));
}

// The second thread waits for a node that the first one removes.
TEST_F(PageTableNodesTest, AThreadThatWaitedForARemovedNodeBeginsAnew) {
  fill(5, 6, 1);
  nodes_.lock(0, 16);
  std::atomic<bool> comes{false};
  std::thread waiter([&] {
    NativeThread thread(1, 0, 0, 2);
    comes = true;
    EXPECT_EQ(nodes_.lock_page(5), 9 * unit);
    nodes_.fill(5, 6, 10 * unit);
    nodes_.unlock(5, 6);
  });
  while (!comes) std::this_thread::yield();
  nodes_.fill(0, 16, 9 * unit);
  nodes_.unlock(0, 16);
  waiter.join();
  EXPECT_EQ(values(nodes_, 4, 7), (std::vector<u64>{9, 10, 9}));
  EXPECT_LE(event(nodes_, "page_table_lock.stray_retries"), 1u);
}

TEST_F(PageTableNodesTest, TheBreakIsLockedApartFromTheNodes) {
  nodes_.lock_break(0);
  nodes_.lock(0, 64);
  nodes_.unlock(0, 64);
  nodes_.unlock_break(0);
  nodes_.lock_break(0);
  EXPECT_TRUE(nodes_.locked().empty());
  nodes_.unlock_break(0);
}

// Threads that write their own pages of one node, while another one replaces larger spans.
TEST_F(PageTableNodesTest, NoUpdateIsLostWhileNodesComeAndGo) {
  constexpr u64 rounds = 3000;
  std::atomic<u64> lost{0};
  std::vector<std::thread> threads;
  for (u32 i = 1; i <= 3; ++i)
    threads.emplace_back([&, i] {
      NativeThread thread(i, 0, 0, 4);
      for (u64 round = 0; round < rounds; ++round) {
        const u64 page = 4 * i;
        if (i == 3) {
          nodes_.lock(0, 16);
          nodes_.fill(0, 16, 0);
          nodes_.unlock(0, 16);
          continue;
        }
        const u64 value = nodes_.lock_page(page);
        nodes_.fill(page, page + 1, value + unit);
        nodes_.edit(page, page + 1, [&](u64 now) {
          if (now != value + unit) ++lost;
          return now;
        });
        nodes_.unlock(page, page + 1);
      }
    });
  for (std::thread& one : threads) one.join();
  EXPECT_EQ(lost, 0u);
  EXPECT_TRUE(nodes_.locked().empty());
}

class PageTableLockTest : public ::testing::Test {
 protected:
  PageTableLockTest() { space_.enter(); }

  NativeThread thread_{0, 0, 0, 1};
  PageTableLock<P> space_{AddressSpaceOptions{}};
};

TEST_F(PageTableLockTest, FaultsInTwoMegabytesShareANode) {
  const u64 base = space_.fixed_base();
  constexpr u64 node = 512 * page_size;
  ASSERT_EQ(space_.map(base, 2 * node, rw, map_fixed).error, Error::none);
  const u64 before = event(space_, "page_table_lock.nodes_created");
  EXPECT_EQ(space_.fault(base + 3 * page_size, Access::write), Error::none);
  EXPECT_EQ(space_.fault(base + 4 * page_size, Access::write), Error::none);
  EXPECT_EQ(event(space_, "page_table_lock.nodes_created"), before + 1);
  EXPECT_EQ(space_.fault(base + node, Access::write), Error::none);
  EXPECT_EQ(event(space_, "page_table_lock.nodes_created"), before + 2);
  EXPECT_EQ(space_.unmap(base, 2 * node), Error::none);
  EXPECT_EQ(event(space_, "page_table_lock.nodes_removed"), 2u);
  EXPECT_EQ(space_.fault(base, Access::read), Error::segv);
  EXPECT_EQ(space_.check(), "");
}

// The range of the growth reaches from the guard gap to the stack, across nodes.
TEST_F(PageTableLockTest, AStackGrowsAcrossNodes) {
  constexpr u64 node = 512 * page_size;
  const u64 top = space_.fixed_base() + 4 * node;
  ASSERT_EQ(space_.map(top, page_size, rw, map_fixed | map_growsdown).error, Error::none);
  EXPECT_EQ(space_.fault(top - node - page_size, Access::write), Error::none);
  EXPECT_EQ(event(space_, "page_table_lock.stack_growth"), 1u);
  EXPECT_EQ(space_.scan(), 1u);
  EXPECT_EQ(space_.fault(top - page_size, Access::write), Error::none);
  EXPECT_EQ(event(space_, "page_table_lock.stack_growth"), 1u);
  EXPECT_EQ(space_.check(), "");
}

TEST_F(PageTableLockTest, TheBreakMovesWithinTheNodeOfItsOwnPages) {
  for (const i64 pages : {3, -2, 600, -601})
    EXPECT_EQ(space_.brk(pages * static_cast<i64>(page_size)).error, Error::none);
  EXPECT_EQ(space_.scan(), 0u);
  EXPECT_EQ(space_.check(), "");
}

}  // namespace
}  // namespace faultline
