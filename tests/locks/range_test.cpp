#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <chrono>
#include <functional>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "harness/native/platform.hpp"
#include "harness/torture/lock_turns.hpp"
#include "locks/range/list.hpp"
#include "locks/range/nesting.hpp"
#include "locks/schemes/full_range.hpp"
#include "locks/shared/concept.hpp"
#include "tests/locks/event.hpp"
#include "tests/locks/stress.hpp"

namespace faultline {
namespace {

using P = NativePlatform;
using stress::Milliseconds;
using Tree = TreeRangeLock<P>;
static_assert(RangeLock<Tree>);
static_assert(SharedLock<FullRange<P, Tree>>);

using Shadow = torture::GuardedPages<true>;
constexpr u64 pages = Shadow::pages;

Range page_range(u64 first, u64 count) {
  return {first * page_size, (first + count) * page_size};
}

// Runs `body(thread)` on registered threads first..first+count-1, which more than fill two CPUs.
// The threads start together, since a short body would otherwise end before the next thread has
// begun. Bodies that repeat themselves do so until their rounds or their time are used up: with
// more threads than CPUs spinning locks can be slow, especially on a busy machine.
void run_threads(u32 first, u32 count, const std::function<void(u32)>& body) {
  std::barrier start(count);
  std::vector<std::thread> threads;
  for (u32 id = first; id < first + count; ++id)
    threads.emplace_back([&body, &start, id] {
      NativeThread self(id, id % 2, 0, id + 1);
      start.arrive_and_wait();
      body(id);
    });
  for (auto& thread : threads) thread.join();
}

// Lets other threads find the lock held, which a yield need not do.
void dawdle() {
  std::this_thread::sleep_for(std::chrono::microseconds(20));
}

class TimeLimit {
 public:
  bool passed() const { return P::now() > end_; }

 private:
  u64 end_ = P::now() + 333'000'000;
};

template <class Lock>
u32 count_lines(const Lock& lock, const std::string& word) {
  u32 count = 0;
  for (const std::string& line : lock.describe()) count += line.find(word) != std::string::npos;
  return count;
}

template <class Lock>
void until_waiting(const Lock& lock, u32 waiters) {
  while (count_lines(lock, "waits") < waiters) std::this_thread::yield();
}

// Eight threads that take turns at a lock (harness/torture/lock_turns.hpp).
template <class Turns>
void take_turns(Turns& turns) {
  run_threads(1, 8, [&](u32) {
    const TimeLimit limit;
    for (u32 step = 0; step < 1500 && !limit.passed(); ++step) turns.turn();
  });
}

class TreeRangeLockStress : public ::testing::TestWithParam<torture::RangeMix> {};

TEST_P(TreeRangeLockStress, NoConflictingRangesAreHeldAtOnce) {
  NativeThread self(0, 0, 0, 1);
  Tree lock;
  torture::RangeTurns<Tree> turns(lock, GetParam());
  take_turns(turns);
  // Repeats the stress if the machine was too busy for threads to meet.
  for (int run = 0; run < 20 && event(lock, "range.waits") == 0; ++run) take_turns(turns);
  turns.settle();
  EXPECT_EQ(turns.violations(), 0u);
  EXPECT_EQ(turns.probe(), "");
  EXPECT_GT(event(lock, "range.waits"), 0u);
}

using torture::RangeMix;
INSTANTIATE_TEST_SUITE_P(Mixes, TreeRangeLockStress,
                         ::testing::Values(RangeMix{}, RangeMix{.longest = pages},
                                           RangeMix{.longest = 2, .exclusive = 100},
                                           RangeMix{.exclusive = 5}));

// Locks only the first page of the requested range. The checker must notice that.
class FirstPageOnly {
 public:
  using Node = Tree::Node;
  void lock(Node& node, Range range, bool exclusive) { tree_.lock(node, cut(range), exclusive); }
  bool try_lock(Node& node, Range range, bool exclusive) {
    return tree_.try_lock(node, cut(range), exclusive);
  }
  void unlock(Node& node) { tree_.unlock(node); }
  void downgrade(Node& node) { tree_.downgrade(node); }
  void downgrade_range(Node&, Range) {}
  void append_events(Events& events) const { tree_.append_events(events); }
  std::vector<std::string> describe() const { return tree_.describe(); }

 private:
  static Range cut(Range range) { return {range.start, range.start + page_size}; }
  Tree tree_;
};
static_assert(RangeLock<FirstPageOnly>);

TEST(RangeTurns, CatchALockThatForgetsThePagesAfterTheFirst) {
  NativeThread self(0, 0, 0, 1);
  FirstPageOnly lock;
  torture::RangeTurns<FirstPageOnly, false> turns(lock, {.longest = pages});
  for (int run = 0; run < 20 && turns.violations() == 0; ++run) take_turns(turns);
  EXPECT_GT(turns.violations(), 0u);
}

const auto range_locks = range_list<P>();

// What each range lock of the list must do.
template <class Lock>
class EveryRangeLock : public ::testing::Test {
 protected:
  // Locks the range if that is possible at once, and releases it.
  bool is_free(u64 first, u64 count, bool exclusive) {
    typename Lock::Node node;
    const bool free = lock_.try_lock(node, page_range(first, count), exclusive);
    if (free) lock_.unlock(node);
    return free;
  }

  NativeThread self_{0, 0, 0, 1};
  Lock lock_;
};
TYPED_TEST_SUITE(EveryRangeLock, decltype(stress::types_of(range_locks)),
                 stress::Names<range_locks>);

TYPED_TEST(EveryRangeLock, HoldsNoConflictingRangesAtOnceAndForgetsNobody) {
  const stress::Report report = stress::hammer(this->lock_, {.threads = 3});
  EXPECT_EQ(report.violations, 0u);
  EXPECT_GT(report.operations, 0u);
}

TYPED_TEST(EveryRangeLock, AdmitsDisjointRangesAndOverlappingReadersIfItSharesAtAll) {
  typename TypeParam::Node write, read;
  allow_nesting(this->lock_);
  this->lock_.lock(write, page_range(0, 2), true);
  ASSERT_TRUE(this->lock_.try_lock(read, page_range(2, 4), false));
  EXPECT_EQ(this->is_free(4, 3, false), shares_ranges<TypeParam>);
  EXPECT_FALSE(this->is_free(1, 1, false));
  EXPECT_FALSE(this->is_free(5, 2, true));
  this->lock_.unlock(write);
  EXPECT_TRUE(this->is_free(0, 2, false));
  this->lock_.unlock(read);
  EXPECT_TRUE(this->is_free(0, 6, true));
}

TYPED_TEST(EveryRangeLock, AdmitsReadersAloneAfterADowngrade) {
  typename TypeParam::Node node;
  this->lock_.lock(node, page_range(0, 3), true);
  EXPECT_FALSE(this->is_free(2, 2, false));
  this->lock_.downgrade(node);
  EXPECT_EQ(this->is_free(2, 2, false), shares_ranges<TypeParam>);
  EXPECT_FALSE(this->is_free(2, 2, true));
  this->lock_.unlock(node);
  EXPECT_TRUE(this->is_free(0, 4, true));
}

TYPED_TEST(EveryRangeLock, KeepsOutOnlyWhatOverlapsAShrunkHold) {
  for (const bool exclusive : {true, false}) {
    typename TypeParam::Node node;
    this->lock_.lock(node, page_range(0, 8), exclusive);
    this->lock_.downgrade_range(node, page_range(2, 3));
    EXPECT_TRUE(this->is_free(0, 2, true));
    EXPECT_TRUE(this->is_free(5, 3, true));
    EXPECT_EQ(this->is_free(4, 1, false), shares_ranges<TypeParam> && !exclusive);
    EXPECT_FALSE(this->is_free(4, 2, true));
    this->lock_.unlock(node);
    EXPECT_TRUE(this->is_free(0, 8, true));
  }
}

TYPED_TEST(EveryRangeLock, NamesNoHolderWhenAllIsReleased) {
  typename TypeParam::Node node;
  this->lock_.lock(node, page_range(3, 1), true);
  EXPECT_EQ(this->lock_.describe().size(), 1u);
  this->lock_.unlock(node);
  EXPECT_TRUE(this->lock_.describe().empty());
}

// A thread that locks, reports that it has locked, and unlocks when told to.
template <class Lock>
class HolderOf {
 public:
  HolderOf(Lock& lock, u32 id, Range range, bool exclusive)
      : thread_([=, this, &lock] {
          NativeThread self(id, id % 2, 0, id + 1);
          typename Lock::Node node;
          lock.lock(node, range, exclusive);
          holds_.store(true);
          while (!leave_.load()) std::this_thread::yield();
          lock.unlock(node);
        }) {}
  ~HolderOf() {
    leave();
    thread_.join();
  }
  void leave() { leave_.store(true); }
  void await() {
    while (!holds_.load()) std::this_thread::yield();
  }
  bool holds() const { return holds_.load(); }

 private:
  std::atomic<bool> holds_{false};
  std::atomic<bool> leave_{false};
  std::thread thread_;
};
using Holder = HolderOf<Tree>;

TEST(KaraRangeLock, ATryInsideTheHullSucceedsWhereNothingOverlaps) {
  NativeThread self(0, 0, 0, 1);
  KaraRangeLock<P> lock;
  KaraRangeLock<P>::Node low, high, node;
  lock.lock(low, page_range(0, 2), false);
  lock.lock(high, page_range(8, 2), true);
  EXPECT_FALSE(lock.try_lock(node, page_range(1, 2), false));
  ASSERT_TRUE(lock.try_lock(node, page_range(2, 6), true));
  lock.unlock(node);
  EXPECT_EQ(event(lock, "range.trylock_spurious"), 0u);
  lock.downgrade(high);
  EXPECT_EQ(lock.describe(),
            (std::vector<std::string>{"thread 0 holds [0x0, 0x2000) exclusive",
                                      "thread 0 holds [0x8000, 0xa000) exclusive"}));
  lock.unlock(low);
  lock.unlock(high);
}

// One thread holds many ranges. A try of the lock fails only if a held range is in conflict.
template <class Lock>
class HeldByOne {
 public:
  explicit HeldByOne(Lock& lock) : lock_(lock) {}

  void step() {
    if (random_() % 3 != 0 || held_.empty()) return acquire();
    const usize i = random_() % held_.size();
    Held& held = *held_[i];
    const u64 kind = random_() % 4;
    if (kind == 0) {
      const u64 count = held.range.length() / page_size;
      const u64 skip = random_() % count;
      held.range = {held.range.start + skip * page_size,
                    held.range.start + (skip + 1 + random_() % (count - skip)) * page_size};
      lock_.downgrade_range(held.node, held.range);
    } else if (kind == 1 && held.exclusive) {
      lock_.downgrade(held.node);
      held.exclusive = !shares_ranges<Lock>;
    } else {
      lock_.unlock(held.node);
      held_.erase(held_.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
  void release_all() {
    for (auto& held : held_) lock_.unlock(held->node);
    held_.clear();
  }
  usize size() const { return held_.size(); }
  // The places between two neighbouring edges of ranges that some range covers.
  usize segments() const {
    std::set<u64> edges;
    for (const auto& held : held_) edges.insert({held->range.start, held->range.end});
    usize count = 0;
    for (auto at = edges.begin(); at != edges.end() && std::next(at) != edges.end(); ++at)
      count += std::any_of(held_.begin(), held_.end(), [&](const auto& held) {
        return held->range.overlaps({*at, *std::next(at)});
      });
    return count;
  }

 private:
  struct Held {
    typename Lock::Node node;
    Range range;
    bool exclusive;
  };

  void acquire() {
    auto held = std::make_unique<Held>();
    held->range = page_range(random_() % 1000, 1 + random_() % 3);
    held->exclusive = random_() % 2 == 0 || !shares_ranges<Lock>;
    const bool free = std::none_of(held_.begin(), held_.end(), [&](const auto& other) {
      return other->range.overlaps(held->range) && (other->exclusive || held->exclusive);
    });
    ASSERT_EQ(lock_.try_lock(held->node, held->range, held->exclusive), free);
    if (free) held_.push_back(std::move(held));
  }

  Lock& lock_;
  std::vector<std::unique_ptr<Held>> held_;
  std::mt19937_64 random_{7};
};

template <class Lock>
void hold_many(Lock& lock) {
  NativeThread self(0, 0, 0, 1);
  HeldByOne<Lock> one(lock);
  usize most = 0;
  for (u32 step = 0; step < 5000 && !testing::Test::HasFatalFailure(); ++step) {
    one.step();
    most = std::max(most, one.size());
    ASSERT_EQ(lock.check(), "");
  }
  EXPECT_GT(most, 150u);
  if constexpr (requires { lock.segments(); })
    EXPECT_EQ(lock.describe().size(), one.segments());
  else
    EXPECT_EQ(lock.describe().size(), one.size());
  one.release_all();
  EXPECT_EQ(lock.check(), "");
  EXPECT_TRUE(lock.describe().empty());
}

// Threads that wait for one range. All get theirs once `let_go` has been called.
template <class Lock, class F>
void wait_for_one(Lock& lock, bool exclusive, const F& let_go) {
  NativeThread self(0, 0, 0, 1);
  typename Lock::Node node;
  lock.lock(node, page_range(0, pages), true);
  std::vector<std::unique_ptr<HolderOf<Lock>>> waiters;
  for (u32 id = 1; id <= 40; ++id)
    waiters.push_back(std::make_unique<HolderOf<Lock>>(lock, id, page_range(id, 1), exclusive));
  while (count_lines(lock, "before 40 that wait") == 0) std::this_thread::yield();
  let_go(node);
  for (auto& waiter : waiters) waiter->await();
}

TEST(SkiplistRangeLock, HoldsManyRanges) {
  SkiplistRangeLock<P> lock;
  hold_many(lock);
}

TEST(SkiplistRangeLock, OneUnlockWakesAllWhoWaitForTheRange) {
  SkiplistRangeLock<P> lock;
  wait_for_one(lock, true, [&](auto& node) { lock.unlock(node); });
  EXPECT_EQ(event(lock, "range.waits"), 40u);
}

TEST(SkiplistRangeLock, AShrunkHoldLetsGoWhoWaitedForWhatWasGivenUp) {
  SkiplistRangeLock<P> lock;
  SkiplistRangeLock<P>::Node other;
  wait_for_one(lock, true, [&](auto& node) {
    lock.downgrade_range(node, page_range(0, 1));
    EXPECT_FALSE(lock.try_lock(other, page_range(0, 1), true));
    while (count_lines(lock, "holds") < 41) std::this_thread::yield();
    lock.unlock(node);
  });
}

TEST(BtreeRangeLock, HoldsManyRanges) {
  BtreeRangeLock<P> lock;
  hold_many(lock);
  EXPECT_EQ(lock.height(), 0u);
}

TEST(BtreeRangeLock, HoldsManyRangesInSmallNodes) {
  BtreeRangeLock<P, Qspinlock, 2> smallest;
  hold_many(smallest);
  BtreeRangeLock<P, Qspinlock, 3> small;
  hold_many(small);
}

TEST(BtreeRangeLock, ATreeOfManyRangesIsLow) {
  NativeThread self(0, 0, 0, 1);
  BtreeRangeLock<P> lock;
  std::vector<BtreeRangeLock<P>::Node> nodes(1000);
  for (u64 i = 0; i < nodes.size(); ++i) lock.lock(nodes[i], page_range(i * 7 % 1000, 1), true);
  EXPECT_EQ(lock.check(), "");
  EXPECT_GE(lock.height(), 2u);
  EXPECT_LE(lock.height(), 3u);
  for (auto& node : nodes) lock.unlock(node);
  EXPECT_EQ(lock.height(), 0u);
}

TEST(BtreeRangeLock, OneUnlockWakesAllWhoWaitForTheRange) {
  BtreeRangeLock<P> lock;
  wait_for_one(lock, true, [&](auto& node) { lock.unlock(node); });
  EXPECT_EQ(event(lock, "range.waits"), 40u);
}

TEST(BtreeRangeLock, ADowngradeLetsSharedWaitersIn) {
  BtreeRangeLock<P> lock;
  BtreeRangeLock<P>::Node other;
  wait_for_one(lock, false, [&](auto& node) {
    lock.downgrade(node);
    EXPECT_FALSE(lock.try_lock(other, page_range(0, 1), true));
    while (count_lines(lock, "holds") < 41) std::this_thread::yield();
    lock.unlock(node);
  });
}

using Maple = MapleRangeLock<P>;

TEST(MapleRangeLock, HoldsManyRanges) {
  Maple lock;
  hold_many(lock);
}

TEST(MapleRangeLock, HoldsManyRangesInSmallNodes) {
  MapleRangeLock<P, Qspinlock, vmas::MapleOf<3, 3>> lock;
  hold_many(lock);
}

TEST(MapleRangeLock, HoldsTheWholeAddressSpace) {
  NativeThread self(0, 0, 0, 1);
  Maple lock;
  Maple::Node node, other;
  lock.lock(node, whole_address_space, false);
  lock.lock(other, {address_space_end - page_size, address_space_end}, false);
  EXPECT_EQ(lock.check(), "");
  EXPECT_EQ(lock.describe(),
            (std::vector<std::string>{"1 thread holds [0x0, 0x7ffffffff000) shared",
                                      "2 threads hold [0x7ffffffff000, 0x800000000000) shared"}));
  lock.unlock(other);
  EXPECT_EQ(lock.segments(), 1u);
  lock.unlock(node);
  EXPECT_EQ(lock.segments(), 0u);
}

TEST(MapleRangeLock, SharedHoldsSplitEachOtherAndBecomeOneSegmentAgain) {
  NativeThread self(0, 0, 0, 1);
  Maple lock;
  Maple::Node wide, low, high, other;
  lock.lock(wide, page_range(0, 10), false);
  lock.lock(low, page_range(2, 3), false);
  lock.lock(high, page_range(5, 2), false);
  EXPECT_EQ(lock.describe(), (std::vector<std::string>{"1 thread holds [0x0, 0x2000) shared",
                                                       "2 threads hold [0x2000, 0x5000) shared",
                                                       "2 threads hold [0x5000, 0x7000) shared",
                                                       "1 thread holds [0x7000, 0xa000) shared"}));
  lock.unlock(low);
  EXPECT_EQ(lock.segments(), 3u);
  lock.unlock(high);
  EXPECT_EQ(lock.segments(), 1u);
  EXPECT_FALSE(lock.try_lock(other, page_range(9, 1), true));
  lock.unlock(wide);
  ASSERT_TRUE(lock.try_lock(other, page_range(0, 10), true));
  EXPECT_EQ(lock.describe(), std::vector<std::string>{"thread 0 holds [0x0, 0xa000) exclusive"});
  lock.unlock(other);
}

TEST(MapleRangeLock, OneUnlockWakesAllWhoWaitForTheRange) {
  Maple lock;
  wait_for_one(lock, true, [&](auto& node) { lock.unlock(node); });
  EXPECT_EQ(event(lock, "range.waits"), 40u);
}

TEST(MapleRangeLock, ADowngradeLetsSharedWaitersIn) {
  Maple lock;
  Maple::Node other;
  wait_for_one(lock, false, [&](auto& node) {
    lock.downgrade(node);
    EXPECT_FALSE(lock.try_lock(other, page_range(0, 1), true));
    while (count_lines(lock, "2 threads hold") < 40) std::this_thread::yield();
    lock.unlock(node);
  });
}

// A thread that waits for `range`, with which a held range is in conflict.
struct MapleWaiter {
  MapleWaiter(Maple& lock, Range range) : holder(lock, 1, range, true) {
    while (count_lines(lock, "before 1 that wait") == 0) std::this_thread::yield();
  }
  HolderOf<Maple> holder;
};

TEST(MapleRangeLock, AWaiterGetsItsPartOfASegmentThatWasSplit) {
  NativeThread self(0, 0, 0, 1);
  Maple lock;
  Maple::Node wide, low;
  lock.lock(wide, page_range(0, 10), false);
  MapleWaiter waiter(lock, page_range(5, 1));
  lock.lock(low, page_range(0, 3), false);
  lock.unlock(wide);
  waiter.holder.await();
  lock.unlock(low);
}

TEST(MapleRangeLock, AWaiterGetsItsPartOfTwoSegmentsThatBecameOne) {
  NativeThread self(0, 0, 0, 1);
  Maple lock;
  Maple::Node wide, high;
  lock.lock(wide, page_range(0, 4), false);
  lock.lock(high, page_range(2, 2), false);
  MapleWaiter waiter(lock, page_range(3, 1));
  lock.unlock(high);
  EXPECT_EQ(lock.segments(), 1u);
  lock.unlock(wide);
  waiter.holder.await();
}

TEST(MapleRangeLock, AWaiterSleepsUntilTheLastHoldOfItsSegmentGoes) {
  NativeThread self(0, 0, 0, 1);
  Maple lock;
  Maple::Node nodes[3];
  for (auto& node : nodes) lock.lock(node, page_range(0, 1), false);
  MapleWaiter waiter(lock, page_range(0, 1));
  for (auto& node : nodes) {
    lock.unlock(node);
    // Time for a waiter that has been woken too early to try again.
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  waiter.holder.await();
  EXPECT_EQ(event(lock, "range.retries"), 0u);
}

using Olc = BtreeOlcRangeLock<P>;
using SmallOlc = BtreeOlcRangeLock<P, Qspinlock, 4>;

TEST(BtreeOlcRangeLock, HoldsManyRanges) {
  Olc lock;
  hold_many(lock);
  EXPECT_EQ(lock.height(), 0u);
}

TEST(BtreeOlcRangeLock, HoldsManyRangesInSmallBlocks) {
  BtreeOlcRangeLock<P, Qspinlock, 2> smallest;
  hold_many(smallest);
  BtreeOlcRangeLock<P, Qspinlock, 3> odd;
  hold_many(odd);
  SmallOlc small;
  hold_many(small);
}

TEST(BtreeOlcRangeLock, OneUnlockWakesAllWhoWaitForTheRange) {
  Olc lock;
  wait_for_one(lock, true, [&](auto& node) { lock.unlock(node); });
  EXPECT_EQ(event(lock, "range.waits"), 40u);
}

TEST(BtreeOlcRangeLock, ADowngradeLetsSharedWaitersIn) {
  Olc lock;
  Olc::Node other;
  wait_for_one(lock, false, [&](auto& node) {
    lock.downgrade(node);
    EXPECT_FALSE(lock.try_lock(other, page_range(0, 1), true));
    while (count_lines(lock, "holds") < 41) std::this_thread::yield();
    lock.unlock(node);
  });
}

TEST(BtreeOlcRangeLock, AShrunkHoldLetsGoWhoWaitedForWhatWasGivenUp) {
  Olc lock;
  Olc::Node other;
  wait_for_one(lock, true, [&](auto& node) {
    lock.downgrade_range(node, page_range(0, 1));
    EXPECT_FALSE(lock.try_lock(other, page_range(0, 1), true));
    while (count_lines(lock, "holds") < 41) std::this_thread::yield();
    lock.unlock(node);
  });
}

// Blocks that one thread takes come back from the other one.
TEST(BtreeOlcRangeLock, BlocksAreUsedAgainWhereOneThreadInsertsAndAnotherErases) {
  SmallOlc lock;
  std::vector<SmallOlc::Node> nodes(200);
  u64 blocks = 0;
  for (u32 turn = 0; turn < 10; ++turn) {
    run_threads(1, 1, [&](u32) {
      for (u64 i = 0; i < nodes.size(); ++i) lock.lock(nodes[i], page_range(i, 1), true);
    });
    run_threads(2, 1, [&](u32) {
      for (auto& node : nodes) lock.unlock(node);
    });
    if (turn == 0) blocks = lock.blocks();
  }
  EXPECT_GT(blocks, 100u);
  EXPECT_EQ(lock.blocks(), blocks);
  EXPECT_EQ(lock.check(), "");
}

TEST(BtreeOlcRangeLock, ARangeOverMoreThan64BlocksIsTakenAlone) {
  NativeThread self(0, 0, 0, 1);
  SmallOlc lock;
  std::vector<SmallOlc::Node> nodes(200);
  for (u64 i = 0; i < nodes.size(); ++i) lock.lock(nodes[i], page_range(i, 1), false);
  EXPECT_LT(lock.height(), 8u);
  SmallOlc::Node all;
  EXPECT_FALSE(lock.try_lock(all, page_range(0, 200), true));
  EXPECT_EQ(event(lock, "range.alone"), 0u);
  ASSERT_TRUE(lock.try_lock(all, page_range(0, 200), false));
  EXPECT_EQ(event(lock, "range.alone"), 1u);
  EXPECT_EQ(event(lock, "range.restarts"), 0u);
  EXPECT_EQ(lock.check(), "");
  lock.unlock(all);
  for (auto& node : nodes) lock.unlock(node);
  EXPECT_EQ(lock.check(), "");
}

// Four threads hold up to ten ranges each, some of them over many blocks.
TEST(BtreeOlcRangeLock, ThreadsThatHoldManyRangesExcludeOneAnother) {
  SmallOlc lock;
  Shadow shadow;
  run_threads(1, 4, [&](u32 id) {
    struct Held {
      SmallOlc::Node node;
      Range range;
      bool exclusive;
    };
    std::vector<std::unique_ptr<Held>> held;
    std::mt19937_64 random(id);
    const auto acquire = [&] {
      const u64 first = random() % pages;
      const u64 most = random() % 8 == 0 ? pages - first : std::min<u64>(3, pages - first);
      auto mine = std::make_unique<Held>();
      mine->range = page_range(first, 1 + random() % most);
      mine->exclusive = random() % 4 == 0;
      if (!lock.try_lock(mine->node, mine->range, mine->exclusive)) return;
      shadow.enter(mine->range, mine->exclusive);
      shadow.touch(mine->range, mine->exclusive);
      held.push_back(std::move(mine));
    };
    const auto release = [&](usize i) {
      Held& mine = *held[i];
      shadow.leave(mine.range, mine.exclusive);
      const u64 count = mine.range.length() / page_size;
      if (count > 1 && random() % 4 == 0) {
        const u64 given_up = (1 + random() % (count - 1)) * page_size;
        if (random() % 2 == 0)
          mine.range.start += given_up;
        else
          mine.range.end -= given_up;
        shadow.enter(mine.range, mine.exclusive);
        return lock.downgrade_range(mine.node, mine.range);
      }
      lock.unlock(mine.node);
      held.erase(held.begin() + static_cast<std::ptrdiff_t>(i));
    };
    const TimeLimit limit;
    while (!limit.passed())
      if (held.empty() || (held.size() < 10 && random() % 2 == 0))
        acquire();
      else
        release(random() % held.size());
    while (!held.empty()) release(0);
  });
  EXPECT_EQ(shadow.violations(), 0u);
  EXPECT_EQ(lock.check(), "");
  EXPECT_EQ(lock.height(), 0u);
}

using Segments = SegmentRangeLock<P>;

TEST(SegmentRangeLock, PagesOfOneSegmentConflictThoughTheyAreFarApart) {
  NativeThread self(0, 0, 0, 1);
  Segments lock;
  Segments::Node node, other;
  lock.lock(node, page_range(255, 2), true);  // segments 0 and 255
  EXPECT_FALSE(lock.try_lock(other, page_range(0, 1), false));
  EXPECT_FALSE(lock.try_lock(other, page_range(511, 1), false));
  ASSERT_TRUE(lock.try_lock(other, page_range(1, 254), true));
  lock.unlock(other);
  lock.downgrade_range(node, page_range(256, 1));
  ASSERT_TRUE(lock.try_lock(other, page_range(255, 1), true));
  lock.unlock(other);
  lock.unlock(node);
  EXPECT_TRUE(lock.describe().empty());
}

TEST(SegmentRangeLock, ALongRangeLocksEachSegmentOnce) {
  NativeThread self(0, 0, 0, 1);
  Segments lock;
  Segments::Node node, other;
  lock.lock(node, page_range(100, 1000), true);
  EXPECT_EQ(lock.describe(), std::vector<std::string>{"segments 0 to 255: a writer"});
  lock.downgrade_range(node, page_range(300, 2));
  EXPECT_EQ(lock.describe(), std::vector<std::string>{"segments 44 to 45: a writer"});
  ASSERT_TRUE(lock.try_lock(other, page_range(46, 254), true));
  lock.unlock(other);
  lock.unlock(node);
  EXPECT_TRUE(lock.describe().empty());
}

// Ranges of up to 16 pages that begin at any of 64: most wrap, and many cover all segments. Threads
// that took the segments in the order of the pages would wait for each other in a circle.
TEST(SegmentRangeLock, RangesThatWrapDoNotDeadlock) {
  SegmentRangeLock<P, CasRwLock, 8> lock;
  const stress::Report report = stress::hammer(lock, {.threads = 4, .duration = Milliseconds(500)});
  EXPECT_EQ(report.violations, 0u);
  EXPECT_GT(report.operations, 0u);
  EXPECT_TRUE(lock.describe().empty());
}

TEST(SegmentRangeLock, AFailedTryReleasesWhatItHasLocked) {
  NativeThread self(0, 0, 0, 1);
  Segments lock;
  for (const bool exclusive : {true, false}) {
    Segments::Node node, other;
    lock.lock(node, page_range(2, 1), true);
    EXPECT_FALSE(lock.try_lock(other, page_range(0, 4), exclusive));
    EXPECT_EQ(lock.describe(), std::vector<std::string>{"segments 2 to 2: a writer"});
    lock.unlock(node);
  }
}

TEST(TreeRangeLock, TryLockFailsOnConflictAndSpuriouslyInsideTheHull) {
  NativeThread self(0, 0, 0, 1);
  Tree lock;
  Tree::Node low, high, node;
  lock.lock(low, page_range(0, 2), false);
  lock.lock(high, page_range(8, 2), true);
  // a shared range beside a shared range
  EXPECT_TRUE(lock.try_lock(node, page_range(1, 2), false));
  lock.unlock(node);
  EXPECT_TRUE(lock.try_lock(node, page_range(10, 1), true));  // beyond the hull
  lock.unlock(node);
  EXPECT_EQ(event(lock, "range.trylock_failed"), 0u);
  EXPECT_FALSE(lock.try_lock(node, page_range(7, 2), false));
  EXPECT_FALSE(lock.try_lock(node, page_range(1, 1), true));
  EXPECT_EQ(event(lock, "range.trylock_failed"), 2u);
  EXPECT_EQ(event(lock, "range.trylock_spurious"), 0u);
  EXPECT_FALSE(lock.try_lock(node, page_range(4, 1), true));  // nothing overlaps
  EXPECT_EQ(event(lock, "range.trylock_failed"), 3u);
  EXPECT_EQ(event(lock, "range.trylock_spurious"), 1u);
  lock.unlock(low);
  lock.unlock(high);
}

TEST(TreeRangeLock, DowngradeAdmitsSharedWaitersAndKeepsExclusiveOnesOut) {
  NativeThread self(0, 0, 0, 1);
  Tree lock;
  Tree::Node node;
  lock.lock(node, page_range(0, 4), true);
  Holder shared(lock, 1, page_range(1, 1), false);
  until_waiting(lock, 1);
  Holder exclusive(lock, 2, page_range(3, 4), true);
  until_waiting(lock, 2);
  lock.downgrade(node);
  shared.await();
  EXPECT_FALSE(exclusive.holds());
  EXPECT_EQ(count_lines(lock, "thread 2 waits"), 1u);
  lock.unlock(node);
  exclusive.await();
}

TEST(TreeRangeLock, DowngradeRangeAdmitsWaitersForWhatWasGivenUp) {
  NativeThread self(0, 0, 0, 1);
  Tree lock;
  Tree::Node node;
  lock.lock(node, page_range(0, 8), true);
  Holder below(lock, 1, page_range(0, 2), true);
  until_waiting(lock, 1);
  Holder above(lock, 2, page_range(6, 4), false);
  until_waiting(lock, 2);
  Holder inside(lock, 3, page_range(3, 1), false);
  until_waiting(lock, 3);
  lock.downgrade_range(node, page_range(2, 3));
  below.await();
  above.await();
  EXPECT_FALSE(inside.holds());
  EXPECT_EQ(lock.check(), "");
  EXPECT_EQ(lock.describe()[1], "thread 0 holds [0x2000, 0x5000) exclusive");
  lock.unlock(node);
  inside.await();
}

TEST(TreeRangeLock, ADowngradedHoldReleasesItsExclusiveWaitersOnce) {
  NativeThread self(0, 0, 0, 1);
  Tree lock;
  Tree::Node first, second;
  lock.lock(first, page_range(0, 2), true);
  lock.lock(second, page_range(2, 2), false);
  Holder exclusive(lock, 1, page_range(0, 4), true);
  until_waiting(lock, 1);
  lock.downgrade(first);
  lock.downgrade_range(first, page_range(1, 1));
  lock.unlock(first);
  EXPECT_EQ(count_lines(lock, "thread 1 waits for [0x0, 0x4000) exclusive, behind 1"), 1u);
  lock.unlock(second);
  exclusive.await();
}

TEST(TreeRangeLock, ConflictingWaitersAreServedInOrderOfArrival) {
  constexpr u32 waiters = 7;
  NativeThread self(0, 0, 0, 1);
  Tree lock;
  Tree::Node node;
  lock.lock(node, page_range(0, 4), true);
  std::vector<u32> order;
  std::vector<std::thread> threads;
  for (u32 id = 1; id <= waiters; ++id) {
    threads.emplace_back([&, id] {
      NativeThread registered(id, id % 2, 0, id);
      Tree::Node own;
      lock.lock(own, page_range(id % 2, 3), true);
      order.push_back(id);
      lock.unlock(own);
    });
    until_waiting(lock, id);
  }
  lock.unlock(node);
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(order, (std::vector<u32>{1, 2, 3, 4, 5, 6, 7}));
}

TEST(TreeRangeLock, AWaiterBlocksALaterArrivalThatNoHolderConflictsWith) {
  NativeThread self(0, 0, 0, 1);
  Tree lock;
  Tree::Node node;
  lock.lock(node, page_range(0, 2), true);
  Holder middle(lock, 1, page_range(1, 3), true);
  until_waiting(lock, 1);
  EXPECT_EQ(event(lock, "range.false_conflicts"), 0u);
  Holder beyond(lock, 2, page_range(3, 2), true);
  until_waiting(lock, 2);
  EXPECT_EQ(event(lock, "range.false_conflicts"), 1u);
  EXPECT_EQ(event(lock, "range.waits"), 2u);
  Tree::Node apart;
  lock.lock(apart, page_range(5, 1), true);  // touches, does not overlap
  lock.unlock(apart);
  lock.unlock(node);
  middle.await();
  EXPECT_FALSE(beyond.holds());
  middle.leave();
}

TEST(TreeRangeLock, AStreamOfReadersDoesNotStarveAWriter) {
  NativeThread self(0, 0, 0, 1);
  Tree lock;
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    NativeThread registered(9, 0, 0, 9);
    const TimeLimit limit;
    for (int turn = 0; turn < 200 && !limit.passed(); ++turn) {
      Tree::Node node;
      lock.lock(node, page_range(0, pages), true);
      lock.unlock(node);
    }
    stop.store(true);
  });
  run_threads(1, 7, [&](u32) {
    while (!stop.load()) {
      Tree::Node node;
      lock.lock(node, page_range(0, 2), false);
      std::this_thread::yield();
      lock.unlock(node);
    }
  });
  writer.join();
  EXPECT_EQ(lock.describe(), std::vector<std::string>{});
}

TEST(TreeRangeLock, OneUnlockWakesAnyNumberOfWaiters) {
  NativeThread self(0, 0, 0, 1);
  Tree lock;
  Tree::Node node;
  lock.lock(node, page_range(0, pages), true);
  std::vector<std::unique_ptr<Holder>> readers;
  for (u32 id = 1; id <= 40; ++id)
    readers.push_back(std::make_unique<Holder>(lock, id, page_range(id, 2), false));
  until_waiting(lock, 40);
  lock.unlock(node);
  for (auto& reader : readers) reader->await();
}

// Every hand-over is a sleep and a wake-up. If one wake-up is lost, the test does not end.
TEST(TreeRangeLock, NoWakeUpIsLostWhenEightThreadsShareAPage) {
  constexpr u32 turns = 2000;
  NativeThread self(0, 0, 0, 1);
  Tree lock;
  u64 plain = 0;
  std::atomic<u64> entries{0};
  run_threads(1, 8, [&](u32) {
    const TimeLimit limit;
    for (u32 turn = 0; turn < turns && !limit.passed(); ++turn) {
      entries.fetch_add(1);
      Tree::Node node;
      lock.lock(node, page_range(0, 1), true);
      ++plain;
      if (turn % 64 == 0) dawdle();
      lock.unlock(node);
    }
  });
  EXPECT_EQ(plain, entries.load());
  EXPECT_GT(event(lock, "range.sleeps"), 0u);
}

TEST(FullRange, ExcludesAsAReaderWriterSemaphoreDoes) {
  NativeThread self(0, 0, 0, 1);
  FullRange<P, Tree> lock;
  Shadow shadow;
  const Range all = page_range(0, 4);
  std::atomic<u64> written{0};
  run_threads(1, 8, [&](u32 id) {
    std::mt19937_64 random(id);
    const TimeLimit limit;
    for (int step = 0; step < 1000 && !limit.passed(); ++step) {
      const bool exclusive = random() % 2 == 0;
      const bool attempt = random() % 4 == 0;
      if (attempt) {
        if (!(exclusive ? lock.try_lock() : lock.try_lock_shared())) continue;
      } else {
        exclusive ? lock.lock() : lock.lock_shared();
      }
      shadow.enter(all, exclusive);
      shadow.touch(all, exclusive);
      if (step % 16 == 0) dawdle();
      shadow.leave(all, exclusive);
      if (exclusive) written.fetch_add(4);
      const bool downgraded = exclusive && random() % 2 == 0;
      if (downgraded) {
        lock.downgrade();
        shadow.enter(all, false);
        shadow.touch(all, false);
        shadow.leave(all, false);
      }
      exclusive && !downgraded ? lock.unlock() : lock.unlock_shared();
    }
  });
  EXPECT_EQ(shadow.violations(), 0u);
  EXPECT_EQ(shadow.writes(), written.load());
  EXPECT_EQ(lock.describe(), "");
  lock.lock();
  EXPECT_EQ(lock.describe(), "thread 0 holds [0x0, 0x800000000000) exclusive");
  lock.unlock();
}

}  // namespace
}  // namespace faultline
