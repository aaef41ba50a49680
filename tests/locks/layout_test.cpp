// The words that share a line under each layout, shown by addresses and by the reasons of simulated
// transfers.
#include "locks/layout.hpp"

#include "harness/native/platform.hpp"
#include "locks/address_space/frames.hpp"
#include "locks/any.hpp"
#include "locks/shared/rwsem.hpp"
#include "locks/shared/vma_refcount.hpp"
#include "tests/harness/sim_threads.hpp"

namespace faultline {
namespace {

using P = SimPlatform;
constexpr RwsemPolicy as_linux{.layout = Layout::linux_6_18};
constexpr RwsemPolicy packed{.layout = Layout::packed};

// The members in the order of a scheme's declaration.
template <class Platform, RwsemPolicy policy>
struct MmapLock {
  [[no_unique_address]] Rwsem<Platform, policy> rwsem;
  [[no_unique_address]] RefcountHooks<Platform, policy.layout> hooks;
};

template <class Platform>
constexpr bool hooks_lie_on_the_rwsems_last_line = sizeof(MmapLock<Platform, as_linux>) ==
                                                       sizeof(Rwsem<Platform, as_linux>) &&
                                                   sizeof(MmapLock<Platform, packed>) >
                                                       sizeof(Rwsem<Platform, packed>);
static_assert(hooks_lie_on_the_rwsems_last_line<NativePlatform>);
static_assert(hooks_lie_on_the_rwsems_last_line<SimPlatform>);

static_assert(sizeof(VmaRefcount<NativePlatform>::Hot) == line_size);
static_assert(alignof(VmaRefcount<NativePlatform>::Hot) == line_size);
static_assert(sizeof(VmaRefcount<NativePlatform, Layout::packed>::Hot) == sizeof(u32));

TEST(Layout, ItsNamesAreReadAsTheyAreWritten) {
  for (const Layout layout : {Layout::linux_6_18, Layout::packed})
    EXPECT_EQ(layout_of(to_string(layout)), layout);
  EXPECT_EQ(to_string(Layout{}), "linux-6.18");
  EXPECT_EQ(layout_of("linux-6.1"), std::nullopt);
}

// The same behind a virtual interface, as the simulator's schemes have it.
struct VirtualMmapLock {
  AnyShared<P> rwsem = AnyShared<P>::of<Rwsem<P, as_linux>>();
  RefcountHooks<P, Layout::linux_6_18, AnyShared<P>::Behind&> hooks{rwsem};
};

class SimLayout : public SimTest {
 protected:
  template <RwsemPolicy policy>
  static sim::Counts counts(u64 seed = 1) {
    return counts_of<MmapLock<P, policy>>(seed);
  }
  // Threads write-lock for a while, and one thread reads mm_lock_seq as each fault does.
  template <class MmapLock>
  static sim::Counts counts_of(u64 seed = 1) {
    return run_loop<MmapLock>(
               sim::Machine::load("e7-8870"), 12, 200'000,
               [](MmapLock& mmap_lock, u32 thread) {
                 if (thread == 0) {
                   mmap_lock.hooks.owner().sequence.load(std::memory_order_acquire);
                   P::work(50);
                   return;
                 }
                 mmap_lock.rwsem.lock();
                 P::work(300);
                 mmap_lock.rwsem.unlock();
                 // Without a pause the same thread locks again before a spinner has read the owner,
                 // so that `count` never moves.
                 P::work(100);
               },
               seed)
        .counts;
  }
  static u64 false_sharing(const sim::Counts& counts, const char* label) {
    return counts.of(label).because(sim::Reason::false_sharing);
  }
};

TEST_F(SimLayout, CountSharesNoLineAsInTheKernelAndSharesOneWithTheOwnerWhenPacked) {
  const auto shared_falsely = [](const sim::Counts& counts) {
    return false_sharing(counts, "rwsem.count") + false_sharing(counts, "rwsem.owner");
  };
  const sim::Counts apart = counts<as_linux>();
  EXPECT_GT(apart.of("rwsem.count").total(), 0u);
  EXPECT_EQ(false_sharing(apart, "rwsem.count"), 0u);
  EXPECT_GT(shared_falsely(counts<packed>()), shared_falsely(apart));
}

TEST_F(SimLayout, ThoseWhoQueueForTheLockInvalidateTheSequenceAsInTheKernel) {
  EXPECT_GT(false_sharing(counts<as_linux>(), "mm.mm_lock_seq"), 0u);
  EXPECT_EQ(false_sharing(counts<packed>(), "mm.mm_lock_seq"), 0u);
  EXPECT_GT(false_sharing(counts_of<VirtualMmapLock>(), "mm.mm_lock_seq"), 0u);
}

// Thread 0 makes two neighbouring frames. Each of two other threads pins and unpins one of them.
template <Layout layout>
struct NeighbouringFrames {
  Violations<P> violations;
  Frames<P> frames{2, {}, false, false, layout, violations};
  P::atomic<FrameNumber> numbers[2] = {};

  void run(u32 thread) {
    if (thread == 0) return make();
    const FrameNumber number = numbers[thread - 1].load(std::memory_order_acquire);
    if (number != no_frame && frames.pin(number)) frames.unpin(number);
    P::work(50);
  }
  void make() {
    if (numbers[0].load(std::memory_order_relaxed) != no_frame) return P::work(1000);
    frames.enter();
    for (auto& number : numbers) number.store(frames.take(), std::memory_order_release);
  }
};

template <Layout layout>
u64 false_sharing_of_frames() {
  using Pair = NeighbouringFrames<layout>;
  const LoopResult result = run_loop<Pair>(sim::Machine::load("e7-8870"), 3, 100'000,
                                           [](Pair& pair, u32 thread) { pair.run(thread); });
  return result.counts.of("frame").because(sim::Reason::false_sharing);
}

TEST_F(SimLayout, NeighbouringFramesShareALineOnlyWhenPacked) {
  EXPECT_EQ(false_sharing_of_frames<Layout::linux_6_18>(), 0u);
  EXPECT_GT(false_sharing_of_frames<Layout::packed>(), 100u);
}

TEST_F(SimLayout, TheSameSeedGivesTheSameTransfers) {
  for (const char* label : {"rwsem.count", "rwsem.owner", "rwsem.osq"})
    EXPECT_EQ(counts<as_linux>(3).of(label).total(), counts<as_linux>(3).of(label).total());
}

}  // namespace
}  // namespace faultline
