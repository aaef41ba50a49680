// What the checker compares of an address space beside the answers of calls.
#include "harness/check/common/seen.hpp"

#include <gtest/gtest.h>

#include "harness/check/common/space_calls.hpp"
#include "harness/check/common/space_model.hpp"

namespace faultline::check {
namespace {

constexpr u64 page(u64 number) {
  return space_base + number * page_size;
}
// Two mappings with a hole between them, and one beside the second.
Observation observation(u64 first, u64 second, u64 third) {
  Observation seen;
  seen.mappings = {{{page(0), page(1)}, prot_read, 0, first},
                   {{page(2), page(3)}, prot_read, 0, second},
                   {{page(3), page(4)}, prot_write, 0, third}};
  return seen;
}
Program without_merging() {
  Program program;
  program.merge = false;
  return program;
}
bool matches(const Observation& own, const Observation& model, const Program& program = {},
             bool faulted = true) {
  return seen_of(own, program).matches(seen_of(model, program), faulted, program.merge);
}

TEST(Seen, ComparesWhichMappingsShareAnIdentityAndNotItsNumber) {
  EXPECT_TRUE(matches(observation(7, 7, 9), observation(1, 1, 2)));
  EXPECT_FALSE(matches(observation(7, 7, 9), observation(1, 2, 2)));
  EXPECT_FALSE(matches(observation(7, 0, 9), observation(1, 2, 3)));
}

TEST(Seen, WithoutMergingMappingsMayShareLess) {
  const Program program = without_merging();
  EXPECT_TRUE(matches(observation(1, 2, 3), observation(1, 1, 1), program));
  EXPECT_FALSE(matches(observation(1, 1, 1), observation(1, 2, 3), program));
  EXPECT_FALSE(matches(observation(1, 0, 3), observation(1, 2, 3), program));
}

// Threads place mappings in regions of their own, where those of one thread merge.
TEST(Seen, CountsThePagesOfMappingsThatThreadsPlaceApart) {
  Program program;
  program.apart = program.places_apart = true;
  constexpr u64 far = u64{1} << 45, further = u64{1} << 46;
  const auto seen = [](std::initializer_list<Observation::Mapping> mappings) {
    Observation one;
    one.mappings = mappings;
    return one;
  };
  const Observation merged = seen({{{far, far + 2 * page_size}, prot_read, 0, 0}});
  EXPECT_TRUE(matches(seen({{{far, far + page_size}, prot_read, 0, 0},
                            {{further, further + page_size}, prot_read, 0, 0}}),
                      merged, program));
  EXPECT_FALSE(matches(seen({{{far, far + page_size}, prot_read, 0, 0},
                             {{further, further + page_size}, prot_write, 0, 0}}),
                       merged, program));
  EXPECT_FALSE(matches(seen({{{far, far + page_size}, prot_read, 0, 0}}), merged, program));
}

TEST(Seen, ComparesBoundsProtectionFlagsAndTheBreak) {
  const Observation model = observation(1, 2, 3);
  for (const auto& change : std::initializer_list<void (*)(Observation&)>{
           [](Observation& seen) { seen.mappings[1].range.start -= page_size; },
           [](Observation& seen) { seen.mappings[1].prot = prot_none; },
           [](Observation& seen) { seen.mappings[1].flags = map_growsdown; },
           [](Observation& seen) { seen.mappings.pop_back(); },
           [](Observation& seen) { seen.program_break += page_size; },
           [](Observation& seen) { seen.runs = true; }}) {
    Observation own = model;
    change(own);
    EXPECT_FALSE(matches(own, model));
    EXPECT_FALSE(matches(own, model, without_merging()));
  }
}

TEST(Seen, ComparesPagesOnceEachHasBeenFaulted) {
  Observation own = observation(1, 2, 3);
  own.pages = {{page(0), prot_read}};
  EXPECT_FALSE(matches(own, observation(1, 2, 3)));
  EXPECT_TRUE(matches(own, observation(1, 2, 3), {}, false));
}

TEST(Seen, WhatMayStayApartIsComparedJoined) {
  Observation own = observation(1, 2, 3), model = observation(1, 2, 3);
  own.mappings[2].prot = prot_read;
  model.mappings[1].range.end = page(4);
  model.mappings.pop_back();
  Program apart;
  apart.apart = true;
  EXPECT_TRUE(matches(own, model, apart));
  EXPECT_FALSE(matches(own, model));
}

TEST(Seen, OfRunsThatLieFarAwayOnlyTheLengthsCount) {
  Observation own, model;
  own.runs = model.runs = true;
  own.mappings = {{{page(100), page(102)}, prot_read, 0, 1}};
  model.mappings = {{{page(200), page(202)}, prot_read, 0, 2}};
  EXPECT_TRUE(matches(own, model));
  model.mappings[0].range.end = page(203);
  EXPECT_FALSE(matches(own, model));
}

TEST(Counted, AThreadAloneCountsNoWait) {
  std::string wrong;
  const Counted counted =
      Counted::between({{"vma_lock.fallback_missed", 1}, {"rwsem.sleeps", 2}},
                       {{"vma_lock.fallback_missed", 3}, {"rwsem.sleeps", 2}}, wrong);
  EXPECT_EQ(wrong, "");
  EXPECT_TRUE(counted.matches(Counted::between({}, {{"model.outside", 2}}, wrong)));
  EXPECT_FALSE(counted.matches(Counted::between({}, {{"model.outside", 3}}, wrong)));
  Counted::between({{"rwsem.sleeps", 2}}, {{"rwsem.sleeps", 3}}, wrong);
  EXPECT_EQ(wrong, "a thread that ran alone has counted a wait: rwsem.sleeps");
}

TEST(Counted, KindsOfAnEventAddUp) {
  EXPECT_EQ(wrong_counts({{"vma_lock.fallback_missed", 2}, {"vma_lock.fallback_moved", 1}}, 3), "");
  EXPECT_NE(wrong_counts({{"vma_lock.fallback_missed", 2}, {"vma_lock.fallback_moved", 2}}, 3), "");
  EXPECT_NE(wrong_counts({{"rwsem.write_slow", 2}, {"rwsem.writer_queued", 1}}, 3), "");
}

TEST(SpaceModel, TellsWhatAnObserverSees) {
  SpaceModel model(SpaceModel::Counts::merged, true);
  model.map(page(0), 3 * page_size, prot_read | prot_write, map_fixed | map_growsdown);
  model.fault(page(1), Access::write);
  model.protect(page(2), page_size, prot_read);
  const auto seen = model.observe();
  ASSERT_EQ(seen->mappings.size(), 2U);
  EXPECT_EQ(seen->mappings[0].range.end, page(2));
  EXPECT_EQ(seen->mappings[1].prot, prot_read);
  EXPECT_EQ(seen->mappings[1].flags, map_growsdown);
  EXPECT_EQ(seen->mappings[0].identity, seen->mappings[1].identity);
  ASSERT_EQ(seen->pages.size(), 1U);
  EXPECT_EQ(seen->pages[0].address, page(1));
  EXPECT_EQ(seen->program_break, break_start);
}

TEST(SpaceModel, TellsRunsByMapCallAndByTheirFirstWrites) {
  SpaceModel model(SpaceModel::Counts::runs, true);
  model.map(page(0), 2 * page_size, prot_read | prot_write, map_fixed);
  model.map(page(2), page_size, prot_read | prot_write, map_fixed);
  model.fault(page(1), Access::write);
  const auto seen = model.observe();
  ASSERT_EQ(seen->mappings.size(), 3U);
  EXPECT_FALSE(seen->mappings[0].written);
  EXPECT_TRUE(seen->mappings[1].written);
  EXPECT_EQ(seen->mappings[0].identity, seen->mappings[1].identity);
  EXPECT_NE(seen->mappings[1].identity, seen->mappings[2].identity);
}

}  // namespace
}  // namespace faultline::check
