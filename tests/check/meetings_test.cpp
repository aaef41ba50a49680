// The table of calls that met: which calls share a range, and which empty cells are errors.
#include "harness/check/common/meetings.hpp"

#include <gtest/gtest.h>

namespace faultline::check {
namespace {

constexpr usize of(Call call) {
  return static_cast<usize>(call);
}

bool meet(const Act& one, const Act& other, bool at_top = false) {
  Meetings all;
  Program program;
  program.at_top = at_top;
  all.begin_execution(program);
  const Meetings::Scope first(all, one, 0);
  const Meetings::Scope second(all, other, 1);
  return (all.met()[of(one.call)] >> of(other.call) & 1) != 0 &&
         (all.met()[of(other.call)] >> of(one.call) & 1) != 0;
}

Meetings::Met everything() {
  Meetings::Met met;
  met.fill(~u32{0});
  return met;
}

TEST(Meetings, CallsMeetOnPagesThatBothName) {
  const Act unmap{.call = Call::unmap, .first = 0, .end = 2};
  EXPECT_TRUE(meet(unmap, {.call = Call::walk, .first = 1, .end = 2}));
  EXPECT_FALSE(meet(unmap, {.call = Call::walk, .first = 2, .end = 3}));
  EXPECT_TRUE(meet(unmap, {.call = Call::scan, .first = 3, .end = 4}));
  EXPECT_FALSE(meet(unmap, {.call = Call::raise_break}));
}

TEST(Meetings, ACallThatIsRefusedMeetsNone) {
  const Act unmap{.call = Call::unmap, .first = 0, .end = 2};
  EXPECT_FALSE(meet(unmap, {.call = Call::protect, .end = 2, .skew = 1}));
  EXPECT_FALSE(meet(unmap, {.call = Call::protect, .first = 1, .end = 1}));
  EXPECT_TRUE(meet(unmap, {.call = Call::map_hinted, .end = 2, .skew = 1}));
}

TEST(Meetings, APlacementReachesPagesAtTheTopAlone) {
  const Act unmap{.call = Call::unmap, .first = 0, .end = 2};
  const Act place{.call = Call::place};
  EXPECT_FALSE(meet(unmap, place));
  EXPECT_TRUE(meet(unmap, place, true));
  EXPECT_TRUE(meet(place, Act(place)));
}

TEST(Meetings, AnEmptyCellIsToldAndIsAnError) {
  Meetings::Met met = everything();
  met[of(Call::unmap)] &= ~(1U << of(Call::map));
  bool all_met = true;
  EXPECT_EQ(table_of({{"mmap_sem", everything()}}, all_met).find("FAILED"), std::string::npos);
  EXPECT_TRUE(all_met);
  const std::string text = table_of({{"refcount", everything()}, {"mmap_sem", met}}, all_met);
  EXPECT_NE(text.find("FAILED: mmap_sem: map and unmap have not met"), std::string::npos) << text;
  EXPECT_FALSE(all_met);
}

TEST(Meetings, AnExcusedCellIsNoError) {
  Meetings::Met met = everything();
  met[of(Call::place)] &= ~(1U << of(Call::map));
  bool all_met = true;
  table_of({{"lock_in_tree", met}}, all_met);
  EXPECT_TRUE(all_met);
  table_of({{"range_lock", met}}, all_met);
  EXPECT_FALSE(all_met);
}

}  // namespace
}  // namespace faultline::check
