// Every scheme against the oracle: the same operations on one thread, and on several.
#include <gtest/gtest.h>

#include <barrier>
#include <thread>

#include "harness/native/platform.hpp"
#include "harness/native/registry.hpp"
#include "harness/torture/space_turn.hpp"

namespace faultline {

namespace {

using P = NativePlatform;
constexpr u32 rw = prot_read | prot_write;

AddressSpaceOptions options_for(u32 threads) {
  AddressSpaceOptions options;
  options.threads = threads;
  options.frames_per_thread = 512;
  return options;
}

class EveryScheme : public testing::TestWithParam<std::string> {
 protected:
  bool simulated() const { return !scheme_.entry().kernel; }
  std::unique_ptr<AddressSpace> make(u32 threads = 1) {
    return make_scheme<P>(scheme_, options_for(threads));
  }
  const Chosen scheme_ = choose(scheme_family, GetParam());
  NativeThread thread_{0, 0, 0, 1};
};

TEST_P(EveryScheme, ServesFaultsInsideAMappingAndRefusesThemOutside) {
  auto space = make();
  space->enter();
  const u64 base = space->fixed_base() + 64 * page_size;
  ASSERT_EQ(space->map(base, 4 * page_size, rw, map_fixed).address, base);
  EXPECT_EQ(space->fault(base, Access::write), Error::none);
  EXPECT_EQ(space->fault(base + 3 * page_size + 17, Access::read), Error::none);
  EXPECT_EQ(space->fault(base + 4 * page_size, Access::read), Error::segv);
  EXPECT_EQ(space->fault(base - 1, Access::write), Error::segv);
  EXPECT_TRUE(space->walk(base));
  EXPECT_EQ(space->unmap(base, 4 * page_size), Error::none);
  EXPECT_FALSE(space->walk(base));
  EXPECT_EQ(space->fault(base, Access::read), Error::segv);
  EXPECT_EQ(space->check(), "");
}

TEST_P(EveryScheme, HoldsAccessesToTheProtection) {
  auto space = make();
  space->enter();
  const u64 base = space->fixed_base() + 64 * page_size;
  ASSERT_EQ(space->map(base, 4 * page_size, rw, map_fixed).error, Error::none);
  EXPECT_EQ(space->fault(base + page_size, Access::write), Error::none);
  EXPECT_EQ(space->protect(base + page_size, page_size, prot_read), Error::none);
  EXPECT_EQ(space->fault(base + page_size, Access::write), Error::segv);
  EXPECT_EQ(space->fault(base + page_size, Access::read), Error::none);
  EXPECT_EQ(space->fault(base, Access::write), Error::none);
  EXPECT_EQ(space->fault(base + 2 * page_size, Access::write), Error::none);
  EXPECT_EQ(space->protect(base, 4 * page_size, prot_none), Error::none);
  EXPECT_EQ(space->fault(base, Access::read), Error::segv);
  EXPECT_EQ(space->protect(base, 4 * page_size, rw), Error::none);
  EXPECT_EQ(space->fault(base + page_size, Access::write), Error::none);
  EXPECT_EQ(space->unmap(base, 4 * page_size), Error::none);
  EXPECT_EQ(space->check(), "");
}

TEST_P(EveryScheme, UnmapsTheMiddleOfAMappingAndLeavesItsEnds) {
  auto space = make();
  space->enter();
  const u64 base = space->fixed_base() + 64 * page_size;
  ASSERT_EQ(space->map(base, 6 * page_size, rw, map_fixed).error, Error::none);
  for (u64 page = 0; page < 6; ++page)
    EXPECT_EQ(space->fault(base + page * page_size, Access::write), Error::none);
  EXPECT_EQ(space->unmap(base + 2 * page_size, 2 * page_size), Error::none);
  EXPECT_EQ(space->fault(base + page_size, Access::write), Error::none);
  EXPECT_EQ(space->fault(base + 2 * page_size, Access::write), Error::segv);
  EXPECT_EQ(space->fault(base + 4 * page_size, Access::write), Error::none);
  EXPECT_EQ(space->check(), "");
  EXPECT_EQ(space->map(base, 6 * page_size, prot_read, map_fixed).address, base);
  EXPECT_EQ(space->fault(base + page_size, Access::write), Error::segv);
  EXPECT_EQ(space->unmap(base, 6 * page_size), Error::none);
  EXPECT_EQ(space->check(), "");
}

TEST_P(EveryScheme, AnswersBadArgumentsAsTheKernelDoes) {
  auto space = make();
  space->enter();
  const u64 base = space->fixed_base() + 64 * page_size;
  EXPECT_EQ(space->map(0, 0, rw, 0).error, Error::inval);
  EXPECT_EQ(space->map(base + 1, page_size, rw, map_fixed).error, Error::inval);
  EXPECT_EQ(space->map(0, u64{1} << 48, rw, 0).error, Error::nomem);
  EXPECT_EQ(space->unmap(base + 1, page_size), Error::inval);
  EXPECT_EQ(space->unmap(base, 0), Error::inval);
  EXPECT_EQ(space->unmap(base, page_size), Error::none);
  EXPECT_EQ(space->protect(base, page_size, prot_read), Error::nomem);
  EXPECT_EQ(space->discard(base, page_size), Error::nomem);
  EXPECT_EQ(space->discard(base + 1, page_size), Error::inval);
  EXPECT_EQ(space->protect(base, 0, prot_read), Error::none);
  EXPECT_EQ(space->discard(base, 0), Error::none);
  const u64 last = address_space_end - 2 * page_size;  // the kernel reserves the last page
  EXPECT_EQ(space->unmap(last, u64{1} << 48), Error::inval);
  EXPECT_EQ(space->protect(last, u64{1} << 48, prot_read), Error::nomem);
  EXPECT_EQ(space->discard(last, u64{1} << 48), Error::nomem);
  EXPECT_EQ(space->check(), "");
}

TEST_P(EveryScheme, LetsReadWhatItLetsWrite) {
  auto space = make();
  space->enter();
  const u64 base = space->fixed_base() + 64 * page_size;
  ASSERT_EQ(space->map(base, 2 * page_size, prot_write, map_fixed).error, Error::none);
  EXPECT_EQ(space->fault(base, Access::read), Error::none);
  EXPECT_EQ(space->fault(base + page_size, Access::write), Error::none);
  EXPECT_EQ(space->check(), "");
  EXPECT_EQ(space->protect(base, page_size, prot_read), Error::none);
  EXPECT_EQ(space->fault(base, Access::write), Error::segv);
  EXPECT_EQ(space->protect(base, page_size, prot_write), Error::none);
  EXPECT_EQ(space->fault(base, Access::read), Error::none);
  EXPECT_EQ(space->unmap(base, 2 * page_size), Error::none);
  EXPECT_EQ(space->check(), "");
}

TEST_P(EveryScheme, PlacesMappingsWithoutAHintApart) {
  auto space = make();
  space->enter();
  std::vector<Range> ranges;
  // 64 GiB are more than a thread has for itself (OwnRegion).
  for (u64 pages : {u64{1}, u64{5}, u64{512}, u64{1} << 24, u64{3}}) {
    const MapResult result = space->map(0, pages * page_size, rw, 0);
    ASSERT_EQ(result.error, Error::none);
    const Range fresh{result.address, result.address + pages * page_size};
    for (const Range& other : ranges) EXPECT_FALSE(fresh.overlaps(other));
    ranges.push_back(fresh);
    EXPECT_EQ(space->fault(fresh.end - 1, Access::write), Error::none);
  }
  for (const Range& range : ranges)
    EXPECT_EQ(space->unmap(range.start, range.length()), Error::none);
  EXPECT_EQ(space->check(), "");
}

TEST_P(EveryScheme, DiscardDropsPagesAndKeepsTheMapping) {
  auto space = make();
  space->enter();
  const u64 base = space->fixed_base() + 64 * page_size;
  ASSERT_EQ(space->map(base, 2 * page_size, rw, map_fixed).error, Error::none);
  EXPECT_EQ(space->fault(base, Access::write), Error::none);
  EXPECT_EQ(space->discard(base, 2 * page_size), Error::none);
  EXPECT_EQ(space->walk(base), !simulated());  // on linux the look-up faults the page in
  EXPECT_EQ(space->fault(base, Access::write), Error::none);
  EXPECT_EQ(space->unmap(base, 2 * page_size), Error::none);
  EXPECT_EQ(space->check(), "");
}

TEST_P(EveryScheme, MovesTheBreakUpAndDown) {
  auto space = make();
  space->enter();
  const u64 start = space->brk(0).address;
  EXPECT_EQ(space->brk(3 * page_size).address, start + 3 * page_size);
  EXPECT_EQ(space->fault(start + 2 * page_size, Access::write), Error::none);
  EXPECT_EQ(space->brk(-static_cast<i64>(2 * page_size)).address, start + page_size);
  EXPECT_EQ(space->fault(start + 2 * page_size, Access::write), Error::segv);
  EXPECT_EQ(space->fault(start, Access::write), Error::none);
  EXPECT_EQ(space->brk(-static_cast<i64>(2 * page_size)).error, Error::inval);
  EXPECT_EQ(space->brk(-static_cast<i64>(page_size)).address, start);
  EXPECT_EQ(space->check(), "");
}

TEST_P(EveryScheme, LeavesTheBreakWhereItIsIfAMappingIsInTheWay) {
  if (GetParam() == "linux") GTEST_SKIP() << "the process has a break of its own";
  auto space = make();
  space->enter();
  const u64 start = space->brk(0).address;
  const u64 in_the_way = page_ceil(start) + 4 * page_size;
  ASSERT_EQ(space->map(in_the_way, page_size, rw, map_fixed).error, Error::none);
  EXPECT_NE(space->brk(8 * page_size).error, Error::none);
  EXPECT_EQ(space->brk(0).address, start);
  EXPECT_EQ(space->unmap(in_the_way, page_size), Error::none);
  EXPECT_EQ(space->check(), "");
}

TEST_P(EveryScheme, GrowsAStackByItsFaults) {
  auto space = make();
  space->enter();
  const u64 base = space->fixed_base() + 64 * page_size;
  ASSERT_EQ(space->map(base, 2 * page_size, rw, map_fixed | map_growsdown).error, Error::none);
  EXPECT_EQ(space->fault(base - page_size, Access::write), Error::none);
  EXPECT_EQ(space->fault(base - 5 * page_size, Access::write), Error::none);
  EXPECT_EQ(space->fault(base - 3 * page_size, Access::read), Error::none);
  EXPECT_EQ(space->unmap(base - 5 * page_size, 7 * page_size), Error::none);
  EXPECT_EQ(space->fault(base - page_size, Access::write), Error::segv);
  EXPECT_EQ(space->check(), "");
}

TEST_P(EveryScheme, ReportsNoFrameLeftAsNomem) {
  if (!simulated()) GTEST_SKIP() << "the machine's memory is not ours to exhaust";
  auto space = make();
  space->enter();
  const u64 base = space->fixed_base() + 64 * page_size;
  constexpr u64 pages = 32 << 10;
  ASSERT_EQ(space->map(base, pages * page_size, rw, map_fixed).error, Error::none);
  u64 page = 0;
  for (; page < 512; ++page)
    ASSERT_EQ(space->fault(base + page * page_size, Access::write), Error::none);
  // A scheme that delays frames has more of them.
  Error error = Error::none;
  for (; error == Error::none && page < pages; ++page)
    error = space->fault(base + page * page_size, Access::write);
  EXPECT_EQ(error, Error::nomem);
  EXPECT_EQ(space->check(), "");
  EXPECT_EQ(space->unmap(base, pages * page_size), Error::none);
  EXPECT_EQ(space->check(), "");
}

constexpr u32 threads = 4;

// Runs work(0) to work(3), each on a thread that has entered the space. All start together.
template <class F>
void at_once(AddressSpace& space, F&& work) {
  std::barrier start(threads);
  std::vector<std::thread> running;
  for (u32 i = 0; i < threads; ++i)
    running.emplace_back([&, i] {
      NativeThread registered(i + 1, i % 2, 0, i);
      space.enter();
      start.arrive_and_wait();
      work(i);
    });
  for (std::thread& thread : running) thread.join();
}

TEST_P(EveryScheme, HoldsTheOracleUnderThreads) {
  if (scheme_.max_threads() == 1) GTEST_SKIP() << "for one thread only";
  auto space = make(threads);
  at_once(*space, [&](u32) {
    for (int turn = 0; turn < 400; ++turn) ASSERT_EQ(torture::space_turn(*space, !simulated()), "");
  });
  EXPECT_EQ(space->check(), "");
}

TEST_P(EveryScheme, HoldsTheOracleWithAPageTableACpu) {
  if (scheme_.max_threads() == 1 || !simulated()) GTEST_SKIP() << "not of this scheme";
  AddressSpaceOptions options = options_for(threads + 1);
  options.page_table = page_table_per_cpu;
  auto space = make_scheme<P>(scheme_, options);
  at_once(*space, [&](u32) {
    for (int turn = 0; turn < 400; ++turn) ASSERT_EQ(torture::space_turn(*space, !simulated()), "");
  });
  EXPECT_EQ(space->check(), "");
}

TEST_P(EveryScheme, GrowsAStackUnderTheFaultsOfThreads) {
  if (scheme_.max_threads() == 1) GTEST_SKIP() << "for one thread only";
  auto space = make(threads);
  space->enter();
  constexpr u64 depth = 256 * page_size;
  for (int stack = 0; stack < 20; ++stack) {
    const u64 base = space->fixed_base() + (u64{64} << 20);
    ASSERT_EQ(space->map(base, page_size, rw, map_fixed | map_growsdown).error, Error::none);
    // Each thread in turn gets the lowest pages so far.
    at_once(*space, [&](u32 self) {
      for (u64 at = (self + 1) * page_size; at <= depth; at += threads * page_size)
        EXPECT_EQ(space->fault(base - at, Access::write), Error::none);
    });
    EXPECT_EQ(space->fault(base - depth, Access::read), Error::none);
    EXPECT_EQ(space->unmap(base - depth, depth + page_size), Error::none);
    EXPECT_EQ(space->check(), "");
  }
}

// Each thread lowers the break by less than it has raised it, so no thread finds the break at its
// start.
TEST_P(EveryScheme, MovesTheBreakForThreadsAtOnce) {
  if (scheme_.max_threads() == 1) GTEST_SKIP() << "for one thread only";
  auto space = make(threads);
  space->enter();
  const u64 start = space->brk(0).address;
  at_once(*space, [&](u32) {
    for (int round = 0; round < 100; ++round) {
      const MapResult up = space->brk(3 * page_size);
      EXPECT_EQ(up.error, Error::none);
      EXPECT_NE(space->fault(up.address - 1, Access::write), Error::nomem);
      EXPECT_EQ(space->brk(-static_cast<i64>(2 * page_size)).error, Error::none);
    }
  });
  EXPECT_EQ(space->brk(0).address, start + threads * 100 * page_size);
  EXPECT_EQ(space->fault(start, Access::write), Error::none);
  EXPECT_EQ(space->fault(start + threads * 100 * page_size, Access::write), Error::segv);
  EXPECT_EQ(space->check(), "");
}

std::string identifier(const testing::TestParamInfo<std::string>& scheme) {
  std::string name = scheme.param;
  for (char& c : name)
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  return name;
}

INSTANTIATE_TEST_SUITE_P(Schemes, EveryScheme, testing::ValuesIn(stars_of(scheme_family, true)),
                         identifier);

}  // namespace
}  // namespace faultline
