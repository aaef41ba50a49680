// The sleeping lock in the VMA: who sleeps on it, and what keeps the VMA meanwhile.
#include "locks/schemes/vma_rwlock.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "harness/native/platform.hpp"
#include "locks/shared/rwsem.hpp"
#include "locks/vmas/maple.hpp"
#include "locks/vmas/sorted_array.hpp"
#include "tests/locks/event.hpp"

namespace faultline {
namespace {

using P = NativePlatform;
using Hooks = SleepingHooks<P>;
using State = Hooks::State;
constexpr u32 rw = prot_read | prot_write;

// A fault finds its VMA under RCU, so a container that cannot be searched under RCU is refused.
template <class Vmas>
concept Composes = requires {
  typename VmaLocked<Mm<P, Vmas, Hooks>, Rwsem<P>>;
};
static_assert(Composes<vmas::Maple>);
static_assert(!Composes<vmas::SortedArray>);

// The lock of a VMA, outside a VMA.
struct Parts {
  State::Hot hot;
  State::MostlyRead mostly_read;
  State state{hot, mostly_read};
};

TEST(VmaSleepingLock, IsHeldUntilTheSectionCloses) {
  NativeThread thread(0, 0, 0, 1);
  Hooks hooks;
  Parts first, second;
  hooks.open();
  first.state.attach(hooks.owner());
  second.state.attach(hooks.owner());
  EXPECT_EQ(first.state.pin(hooks.owner()), PinResult::referred);
  hooks.close();
  ASSERT_EQ(first.state.pin(hooks.owner()), PinResult::pinned);
  first.state.unpin(hooks.owner());
  EXPECT_FALSE(first.state.put());
  hooks.open();
  first.state.start_write(hooks.owner());
  first.state.start_write(hooks.owner());  // an edit within an edit
  EXPECT_EQ(first.state.pin(hooks.owner()), PinResult::referred);
  EXPECT_FALSE(first.state.put());
  ASSERT_EQ(second.state.pin(hooks.owner()), PinResult::pinned);
  second.state.unpin(hooks.owner());
  hooks.close();
  ASSERT_EQ(first.state.pin(hooks.owner()), PinResult::pinned);
  first.state.unpin(hooks.owner());
}

TEST(VmaSleepingLock, OfADetachedVmaIsFreeWhileTheSectionIsOpen) {
  NativeThread thread(0, 0, 0, 1);
  Hooks hooks;
  Parts parts[3];
  hooks.open();
  for (Parts& one : parts) one.state.attach(hooks.owner());
  parts[1].state.detach(hooks.owner());
  EXPECT_TRUE(parts[1].hot.lock.try_lock_shared());
  parts[1].hot.lock.unlock_shared();
  EXPECT_EQ(parts[1].state.pin(hooks.owner()), PinResult::detached);
  for (int other : {0, 2}) EXPECT_FALSE(parts[other].hot.lock.try_lock_shared());
  hooks.close();
  for (int other : {0, 2}) {
    EXPECT_EQ(parts[other].state.pin(hooks.owner()), PinResult::pinned);
    parts[other].state.unpin(hooks.owner());
  }
}

// A thread that sleeps on the lock of a VMA after its try has failed.
class Sleeper {
 public:
  Sleeper(Parts& parts, Hooks& hooks)
      : thread_([&] {
          NativeThread other(1, 1, 0, 2);
          result_ = parts.state.sleep(hooks.owner(), last_);
          if (result_ == PinResult::pinned) parts.state.unpin(hooks.owner());
        }) {}
  PinResult result() {
    thread_.join();
    return result_;
  }
  bool dropped_the_last() const { return last_; }

 private:
  PinResult result_ = PinResult::foreign;
  bool last_ = false;
  std::thread thread_;
};

TEST(VmaSleepingLock, AReaderSleepsUntilTheWriterHasLeft) {
  NativeThread thread(0, 0, 0, 1);
  Hooks hooks;
  Parts parts;
  hooks.open();
  parts.state.attach(hooks.owner());
  ASSERT_EQ(parts.state.pin(hooks.owner()), PinResult::referred);
  Sleeper sleeper(parts, hooks);
  hooks.close();
  EXPECT_EQ(sleeper.result(), PinResult::pinned);
  EXPECT_FALSE(sleeper.dropped_the_last());
  EXPECT_EQ(parts.hot.references.load(std::memory_order_relaxed), 1u);
}

TEST(VmaSleepingLock, TheLastOfAddressSpaceAndSleepersReturnsTheVma) {
  NativeThread thread(0, 0, 0, 1);
  Hooks hooks;
  Parts parts;
  hooks.open();
  parts.state.attach(hooks.owner());
  ASSERT_EQ(parts.state.pin(hooks.owner()), PinResult::referred);
  parts.state.detach(hooks.owner());
  EXPECT_FALSE(parts.state.put());  // the address space
  hooks.close();
  Sleeper sleeper(parts, hooks);
  EXPECT_EQ(sleeper.result(), PinResult::detached);
  EXPECT_TRUE(sleeper.dropped_the_last());
  // In the pool nobody gets a reference, whoever holds the lock.
  parts.hot.lock.lock();
  EXPECT_EQ(parts.state.pin(hooks.owner()), PinResult::detached);
  parts.hot.lock.unlock();
  EXPECT_EQ(parts.hot.references.load(std::memory_order_relaxed), 0u);
}

TEST(VmaSleepingLock, AVmaOfAnotherAddressSpaceIsRefused) {
  NativeThread thread(0, 0, 0, 1);
  Hooks first, second;
  Parts parts;
  second.open();
  parts.state.attach(second.owner());
  ASSERT_EQ(parts.state.pin(first.owner()), PinResult::referred);
  second.close();
  bool last = true;
  EXPECT_EQ(parts.state.sleep(first.owner(), last), PinResult::detached);
  EXPECT_FALSE(last);
  EXPECT_EQ(parts.state.pin(first.owner()), PinResult::detached);
  ASSERT_EQ(parts.state.pin(second.owner()), PinResult::pinned);
  parts.state.unpin(second.owner());
}

// Readers and a writer sleep on one lock, and nobody is forgotten.
TEST(VmaRwsem, SleepingReadersAndWritersWakeOneAnother) {
  NativeThread thread(0, 0, 0, 1);
  VmaRwsem<P> lock;
  constexpr u32 readers = 3, rounds = 2000;
  u64 word = 0;
  std::vector<std::thread> threads;
  for (u32 i = 1; i <= readers; ++i)
    threads.emplace_back([&, i] {
      NativeThread other(i, i, 0, 2);
      u64 seen = 0;
      for (u32 round = 0; round < rounds; ++round) {
        lock.lock_shared();
        EXPECT_GE(word, seen);
        seen = word;
        lock.unlock_shared();
      }
    });
  for (u32 round = 0; round < rounds; ++round) {
    lock.lock();
    ++word;
    lock.unlock();
  }
  for (std::thread& one : threads) one.join();
  EXPECT_EQ(word, rounds);
}

class VmaRwlock : public testing::Test {
 protected:
  using Space = VmaLocked<Mm<P, vmas::Maple, Hooks>, Rwsem<P>>;
  VmaRwlock() { space_->enter(); }
  u64 page(u64 number) const { return space_->fixed_base() + number * page_size; }
  void map(u64 first, u64 pages, u32 prot = rw, u32 flags = 0) {
    ASSERT_EQ(space_->map(page(first), pages * page_size, prot, map_fixed | flags).error,
              Error::none);
  }
  // Whether a fault on the page is served without the big lock.
  bool is_served_alone(u64 number, Access access = Access::write) {
    const u64 before = fallbacks();
    EXPECT_EQ(space_->fault(page(number), access), Error::none);
    return fallbacks() == before;
  }
  u64 fallbacks() const {
    Events events;
    space_->append_events(events);
    u64 count = 0;
    for (const EventCount& one : events)
      if (one.name.starts_with("vma_lock.fallback_")) count += one.value;
    return count;
  }

  NativeThread thread_{0, 0, 0, 1};
  std::shared_ptr<Space::VmaPool> pool_ = std::make_shared<Space::VmaPool>();
  std::unique_ptr<Space> space_ = std::make_unique<Space>(AddressSpaceOptions{}, pool_);
};

// Each edit must unlock what it has locked, or the fault would sleep for ever.
TEST_F(VmaRwlock, ServesFaultsAloneAfterEachEdit) {
  map(0, 8);
  EXPECT_TRUE(is_served_alone(0));
  EXPECT_EQ(event(*space_, "vma_lock.anon_vma_tried"), 1u);
  ASSERT_EQ(space_->protect(page(2), page_size, prot_read), Error::none);  // splits
  EXPECT_TRUE(is_served_alone(1));
  EXPECT_TRUE(is_served_alone(2, Access::read));
  EXPECT_TRUE(is_served_alone(3));
  ASSERT_EQ(space_->protect(page(2), page_size, rw), Error::none);  // merges
  for (u64 number : {1, 2, 3}) EXPECT_TRUE(is_served_alone(number));
  ASSERT_EQ(space_->unmap(page(4), page_size), Error::none);
  EXPECT_TRUE(is_served_alone(3));
  EXPECT_TRUE(is_served_alone(5));
  map(4, 1);  // extends the VMA below and merges it with the one above
  for (u64 number : {3, 4, 5}) EXPECT_TRUE(is_served_alone(number));
  map(600, 1, rw, map_growsdown);
  EXPECT_EQ(space_->fault(page(599), Access::write), Error::none);
  EXPECT_TRUE(is_served_alone(600));
  map(700, 1, rw, map_file);
  EXPECT_TRUE(is_served_alone(700, Access::read));
  EXPECT_EQ(event(*space_, "vma_lock.sleeps"), 0u);
  EXPECT_EQ(space_->check(), "");
}

// Gives the test an open edit.
class EditedSpace : public VmaLocked<Mm<P, vmas::Maple, Hooks>, Rwsem<P>> {
 public:
  using VmaLocked::VmaLocked;
  using V = Mm::V;

  V& begin_edit(u64 address) {
    lock_exclusive();
    V& vma = *mm_.find(address);
    hooks_.start_write(vma);
    return vma;
  }
  void detach(Range range) { mm_.detach(range, detached_); }
  void end_edit(Range range) {
    mm_.zap(range);
    unlock_exclusive();
    mm_.release(detached_);
  }

 private:
  Mm::Detached detached_;
};

// A fault that has found its VMA locked by a writer.
struct FaultBesideEdit {
  FaultBesideEdit(EditedSpace& space, u64 address)
      : vma(space.begin_edit(address)), thread([&, address] {
          NativeThread other(1, 1, 0, 2);
          space.enter();
          answer = space.fault(address, Access::write);
        }) {
    while (vma.hot.references.load(std::memory_order_relaxed) == 1) std::this_thread::yield();
  }
  EditedSpace::V& vma;
  Error answer = Error::inval;
  std::thread thread;
};

// A space with one VMA of two pages.
struct VmaRwlockFault : testing::Test {
  void SetUp() override {
    space.enter();
    range = {space.fixed_base(), space.fixed_base() + 2 * page_size};
    ASSERT_EQ(space.map(range.start, range.length(), rw, map_fixed).error, Error::none);
  }
  NativeThread registered{0, 0, 0, 1};
  EditedSpace space{AddressSpaceOptions{}};
  Range range;
};

TEST_F(VmaRwlockFault, SleepsOnItsVmaUntilTheEditIsComplete) {
  ASSERT_EQ(space.fault(range.start + page_size, Access::write), Error::none);
  FaultBesideEdit fault(space, range.start);
  EXPECT_FALSE(space.walk(range.start));
  space.end_edit({0, 0});
  fault.thread.join();
  EXPECT_EQ(fault.answer, Error::none);
  EXPECT_EQ(event(space, "vma_lock.sleeps"), 1u);
  EXPECT_EQ(event(space, "vma_lock.retry_detached"), 0u);
  EXPECT_EQ(event(space, "vma_lock.fallback_missed"), 0u);
  EXPECT_EQ(event(space, "vma_lock.fallback_anon_vma"), 0u);
  EXPECT_EQ(fault.vma.hot.references.load(std::memory_order_relaxed), 1u);
  EXPECT_EQ(space.check(), "");
}

TEST_F(VmaRwlockFault, AsksAgainWhetherItsVmaIsStillThere) {
  FaultBesideEdit fault(space, range.start);
  space.detach(range);
  space.end_edit(range);
  fault.thread.join();
  EXPECT_EQ(fault.answer, Error::segv);
  EXPECT_EQ(event(space, "vma_lock.sleeps"), 1u);
  EXPECT_EQ(event(space, "vma_lock.retry_detached"), 1u);
  EXPECT_EQ(fault.vma.hot.references.load(std::memory_order_relaxed), 0u);
  EXPECT_EQ(space.check(), "");
}

TEST_F(VmaRwlockFault, LooksItsVmaUpAgainWhereThatHasShrunk) {
  const Range upper{range.start + page_size, range.end};
  FaultBesideEdit fault(space, upper.start);
  space.detach(upper);
  space.end_edit(upper);
  fault.thread.join();
  EXPECT_EQ(fault.answer, Error::segv);
  EXPECT_EQ(event(space, "vma_lock.retry_moved"), 1u);
}

TEST_F(VmaRwlock, ReturnsEachVmaToThePool) {
  auto* next = pool_->take();
  pool_->give(next);
  map(0, 2);
  EXPECT_TRUE(is_served_alone(0));
  ASSERT_EQ(space_->unmap(page(0), 2 * page_size), Error::none);
  EXPECT_EQ(pool_->take(), next);
  pool_->give(next);
  map(0, 2);
  space_.reset();
  EXPECT_EQ(pool_->take(), next);
}

}  // namespace
}  // namespace faultline
