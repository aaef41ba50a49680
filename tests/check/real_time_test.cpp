// The judge of an execution: what the calls answer must fit their real-time order.
#include "harness/check/common/real_time.hpp"

#include <gtest/gtest.h>

#include "harness/check/common/space_calls.hpp"
#include "harness/check/common/space_model.hpp"

namespace faultline::check {
namespace {

constexpr auto against_time = "only against their real-time order";
constexpr u32 segv = static_cast<u32>(Error::segv);
constexpr u32 nomem = static_cast<u32>(Error::nomem);

constexpr Act on_pages(Call call, u8 first, u8 end) {
  return {.call = call, .first = first, .end = end};
}
constexpr Act fault_on(u8 page) {
  return on_pages(Call::fault_write, page, page + 1);
}

// One execution of a program, on a space that a model stands for.
class Execution {
 public:
  explicit Execution(Program program) : program_(std::move(program)) {
    program_.sequential = sequential_histories(program_);
    prepare_space(space_, program_);
  }

  void begin(u32 thread) { answers_.begin(thread); }
  void end(u32 thread, u32 answer) { answers_.add(thread, answer); }
  // The call takes effect between begin() and end().
  u32 take_effect(u32 thread, const Act& act) { return call_space(space_, program_, act, thread); }
  void call(u32 thread, const Act& act) {
    begin(thread);
    end(thread, take_effect(thread, act));
  }
  std::string verdict() { return answers_.judge(space_, program_); }

 private:
  Program program_;
  SpaceModel space_{SpaceModel::Counts::merged, true};
  Answers answers_;
};

const Act map_page = on_pages(Call::map, 2, 3);
const Program map_and_fault{{{map_page}, {fault_on(2)}}};

TEST(RealTime, AFaultMayNotMissAMappingWhoseMapHasReturned) {
  Execution execution(map_and_fault);
  execution.call(0, map_page);
  execution.begin(1);
  execution.end(1, segv);
  EXPECT_EQ(execution.verdict(),
            "only against their real-time order do the calls give these answers, as in: thread 1: "
            "write fault [2, 3); thread 0: map [2, 3)");
}

TEST(RealTime, AFaultMayMissAMappingWhoseMapIsAtWork) {
  Execution execution(map_and_fault);
  execution.begin(0);
  execution.begin(1);
  const u32 answer = execution.take_effect(0, map_page);
  execution.end(1, segv);
  execution.end(0, answer);
  EXPECT_EQ(execution.verdict(), "");
}

TEST(RealTime, WhereItIsUnknownAnyOrderOfTheCallsWillDo) {
  Execution execution(map_and_fault);
  execution.end(0, execution.take_effect(0, map_page));
  execution.end(1, segv);
  EXPECT_EQ(execution.verdict(), "");
}

TEST(RealTime, AnAnswerThatNoOrderGivesIsToldApart) {
  Execution execution(map_and_fault);
  execution.call(0, map_page);
  execution.begin(1);
  execution.end(1, nomem);
  EXPECT_EQ(execution.verdict(), "no interleaving of the calls gives these answers");
}

TEST(RealTime, CallsOfOneHistoryMayComeInAnyOfItsOrders) {
  for (const u32 first : {0U, 1U}) {
    Execution execution({{{fault_on(0)}, {fault_on(1)}}});
    execution.call(first, fault_on(first == 0 ? 0 : 1));
    execution.call(1 - first, fault_on(first == 0 ? 1 : 0));
    EXPECT_EQ(execution.verdict(), "");
  }
}

// Page 1 is faulted in behind the discard, then page 2 ahead of it.
std::string verdict_on_discard(bool by_page) {
  Program program{{{fault_on(1)}, {fault_on(2)}, {on_pages(Call::discard, 1, 3)}}};
  program.before = {map_page};
  program.discards_by_page = by_page;
  Execution execution(program);
  execution.begin(2);
  execution.take_effect(2, on_pages(Call::discard, 1, 2));
  execution.call(0, fault_on(1));
  execution.call(1, fault_on(2));
  execution.end(2, execution.take_effect(2, on_pages(Call::discard, 2, 3)));
  return execution.verdict();
}

TEST(RealTime, ADiscardTakesEffectPageByPageOnlyWhereItsSchemeSaysSo) {
  EXPECT_EQ(verdict_on_discard(true), "");
  EXPECT_EQ(verdict_on_discard(false).find(against_time), 0U);
}

TEST(RealTime, NoEditOfItsRangeComesBetweenThePartsOfADiscard) {
  Program program{
      {{on_pages(Call::discard, 0, 2)}, {fault_on(0), fault_on(1)}, {on_pages(Call::unmap, 1, 2)}}};
  program.discards_by_page = true;
  Execution execution(program);
  execution.begin(0);
  execution.take_effect(0, on_pages(Call::discard, 0, 1));
  execution.call(1, fault_on(0));
  execution.call(2, on_pages(Call::unmap, 1, 2));
  execution.end(0, execution.take_effect(0, on_pages(Call::discard, 1, 2)));
  execution.call(1, fault_on(1));
  EXPECT_NE(execution.verdict(), "");
}

// The walk finds the page although the unmap has taken it away.
std::string verdict_on_walk(bool overlaps) {
  const Act unmap = on_pages(Call::unmap, 0, 1);
  Act walk = on_pages(Call::walk, 0, 1);
  walk.races = true;
  Execution execution({{{unmap}, {walk}}});
  execution.begin(0);
  if (overlaps) execution.begin(1);
  execution.end(0, execution.take_effect(0, unmap));
  if (!overlaps) execution.begin(1);
  execution.end(1, 1);
  return execution.verdict();
}

TEST(RealTime, AWalkMayFindWhatACallTakesAwayUntilThatCallReturns) {
  EXPECT_EQ(verdict_on_walk(true), "");
  EXPECT_EQ(verdict_on_walk(false).find(against_time), 0U);
}

}  // namespace
}  // namespace faultline::check
