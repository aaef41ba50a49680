#include "workloads/replay_plan.hpp"

#include <map>
#include <optional>
#include <random>
#include <stdexcept>

#include "tests/workloads/trace_files.hpp"

namespace faultline {
namespace {

// The plainest address space: which ranges are mapped with which protection.
class PlainSpace {
 public:
  void set(const Range& range, std::optional<u32> prot) {
    cut(range.start);
    cut(range.end);
    ranges_.erase(ranges_.lower_bound(range.start), ranges_.lower_bound(range.end));
    if (prot) ranges_[range.start] = {range.end, *prot};
  }
  bool permits(u64 address, u32 prot) const {
    const Held* held = at(address);
    return held != nullptr && (held->prot & prot) == prot;
  }
  bool covers(Range range) const {
    for (const Held* held; range.start < range.end; range.start = held->end)
      if ((held = at(range.start)) == nullptr) return false;
    return true;
  }
  bool empty(const Range& range) const {
    const auto after = ranges_.lower_bound(range.start);
    return at(range.start) == nullptr && (after == ranges_.end() || after->first >= range.end);
  }
  bool empty() const { return ranges_.empty(); }

 private:
  struct Held {
    u64 end;
    u32 prot;
  };
  const Held* at(u64 address) const {
    auto after = ranges_.upper_bound(address);
    if (after == ranges_.begin() || address >= std::prev(after)->second.end) return nullptr;
    return &std::prev(after)->second;
  }
  void cut(u64 address) {
    auto after = ranges_.upper_bound(address);
    if (after == ranges_.begin()) return;
    const auto it = std::prev(after);
    if (it->first == address || it->second.end <= address) return;
    ranges_[address] = it->second;
    it->second.end = address;
  }
  std::map<u64, Held> ranges_;
};

// Plays a plan in one of the orders that it allows.
class Simulation {
 public:
  Simulation(const ReplayPlan& plan, u32 seed)
      : plan_(plan), random_(seed), done_(plan.threads.size()), break_(plan.heap.start) {
    for (const TraceMapping& mapping : plan.preamble) space_.set(mapping.range, mapping.prot);
  }

  // Runs threads at random, each as far as chance and its needs let it. Empty, or what went wrong.
  std::string run() {
    u64 left = 0;
    for (const ReplayThread& thread : plan_.threads) left += thread.steps.size();
    for (u32 idle = 0; left != 0;) {
      const u32 thread = static_cast<u32>(random_() % done_.size());
      const u64 burst = u64{1} << (random_() % 12);
      u64 played = 0;
      while (played < burst && ready(thread)) {
        if (!play(plan_.threads[thread].steps[done_[thread]]))
          return "step " + std::to_string(done_[thread]) + " of thread " + std::to_string(thread);
        ++done_[thread];
        ++played;
      }
      left -= played;
      idle = played == 0 ? idle + 1 : 0;
      if (idle > 10'000) return "no thread can go on";
    }
    return tear_down();
  }

 private:
  bool ready(u32 thread) const {
    const ReplayThread& own = plan_.threads[thread];
    if (done_[thread] == own.steps.size()) return false;
    const ReplayStep& step = own.steps[done_[thread]];
    for (u32 i = step.needs_begin; i != step.needs_end; ++i) {
      const ReplayNeed& need = own.needs[i];
      EXPECT_TRUE(plan_.threads[need.thread].steps[need.steps - 1].awaited);
      if (done_[need.thread] < need.steps) return false;
    }
    return true;
  }

  bool play(const ReplayStep& step) {
    const Range range{step.address, step.address + step.length};
    switch (step.kind) {
      case TraceKind::read_fault:
        return space_.permits(step.address, prot_read);
      case TraceKind::write_fault:
        return space_.permits(step.address, prot_write);
      case TraceKind::map:
        if ((step.flags & map_fixed) == 0 && !space_.empty(range)) return false;
        space_.set(range, step.prot);
        return true;
      case TraceKind::unmap:
        space_.set(range, std::nullopt);
        return true;
      case TraceKind::protect:
        if (!space_.covers(range)) return false;
        space_.set(range, step.prot);
        return true;
      case TraceKind::discard:
        return space_.covers(range);
      case TraceKind::grow:
        if (break_ != range.start || !space_.empty(range)) return false;
        break_ = range.end;
        space_.set(range, prot_read | prot_write);
        return true;
      case TraceKind::shrink:
        if (break_ != range.end) return false;
        break_ = range.start;
        space_.set(range, std::nullopt);
        return true;
    }
    return false;
  }

  std::string tear_down() {
    for (const ReplayThread& thread : plan_.threads)
      for (const Range& range : thread.leftovers) {
        if (!space_.covers(range)) return "a leftover that is not mapped";
        space_.set(range, std::nullopt);
      }
    space_.set({plan_.heap.start, plan_.heap.end + 1}, std::nullopt);
    return space_.empty() ? "" : "something is left after the round's end";
  }

  const ReplayPlan& plan_;
  std::mt19937 random_;
  std::vector<usize> done_;
  u64 break_;
  PlainSpace space_;
};

std::string simulate(const ReplayPlan& plan, u32 seeds) {
  for (u32 seed = 0; seed < seeds; ++seed)
    if (const std::string error = Simulation(plan, seed).run(); !error.empty())
      return "seed " + std::to_string(seed) + ": " + error;
  return "";
}

TEST(ReplayPlan, LetsNoFaultPassTheMapThatMadeItsVma) {
  const ReplayPlan plan =
      plan_replay(trace_of(map_at(1, "0x7f0000000000", "0x4000") + fault(2, "0x7f0000001000")), 2);
  ASSERT_EQ(plan.threads[1].needs.size(), 1U);
  EXPECT_EQ(plan.threads[1].needs[0].thread, 0U);
  EXPECT_EQ(plan.threads[1].needs[0].steps, 1U);
  EXPECT_TRUE(plan.threads[0].steps[0].awaited);
  EXPECT_EQ(simulate(plan, 20), "");
}

TEST(ReplayPlan, LetsNoUnmapPassTheFaultsBeforeIt) {
  const ReplayPlan plan =
      plan_replay(trace_of(map_at(1, "0x7f0000000000", "0x4000") + fault(2, "0x7f0000001000") +
                           fault(2, "0x7f0000002000") + unmap_at(1, "0x7f0000000000", "0x4000") +
                           map_at(2, "0x7f0000002000", "0x1000")),
                  2);
  ASSERT_EQ(plan.threads[0].needs.size(), 1U);
  EXPECT_EQ(plan.threads[0].needs[0].steps, 2U);
  EXPECT_EQ(simulate(plan, 20), "");
}

TEST(ReplayPlan, LetsFaultsOfOneVmaRunFreely) {
  std::string text = map_at(1, "0x7f0000000000", "0x10000");
  for (u32 i = 0; i < 10; ++i) text += fault(1 + i % 2, "0x7f000000" + std::to_string(1000 + i));
  const ReplayPlan plan = plan_replay(trace_of(text), 2);
  EXPECT_EQ(plan.threads[0].needs.size(), 0U);
  EXPECT_EQ(plan.threads[1].needs.size(), 1U);
}

TEST(ReplayPlan, KeepsTheMovesOfTheBreakInOrder) {
  auto brk = [](u32 tid, const std::string& to) {
    return enter(tid, "brk", "brk: " + to) + leave(tid, "brk", to);
  };
  const Trace trace =
      trace_of(enter(1, "brk", "brk: 0x0") + leave(1, "brk", "0x5600000000") +
               brk(1, "0x5600001000") + brk(2, "0x5600004000") + brk(1, "0x5600009000") +
               fault(2, "0x5600008000") + brk(2, "0x5600002000"));
  EXPECT_EQ(simulate(plan_replay(trace, 2), 50), "");
}

TEST(ReplayPlan, FoldsBusiestFirstAndKeepsTheRecordedOrderWithinAThread) {
  std::string text = map_at(1, "0x7f0000000000", "0x100000");
  for (u32 i = 0; i < 6; ++i) text += fault(2, "0x7f00000" + std::to_string(20 + i) + "00");
  for (u32 i = 0; i < 3; ++i) text += fault(3, "0x7f00000" + std::to_string(30 + i) + "00");
  const ReplayPlan plan = plan_replay(trace_of(text), 2);
  ASSERT_EQ(plan.threads.size(), 2U);
  EXPECT_EQ(plan.threads[0].steps.size(), 6U);  // thread 2
  ASSERT_EQ(plan.threads[1].steps.size(), 4U);  // threads 1 and 3
  EXPECT_EQ(plan.threads[1].steps[0].kind, TraceKind::map);
}

TEST(ReplayPlan, RefusesNoThreadsAndMoreThanWereRecorded) {
  const Trace trace = trace_of(map_at(1, "0x7f0000000000", "0x1000"));
  EXPECT_THROW(plan_replay(trace, 0), std::invalid_argument);
  EXPECT_THROW(plan_replay(trace, 2), std::invalid_argument);
}

class EveryTrace : public testing::TestWithParam<const char*> {
 protected:
  std::string path() const { return recorded_trace(GetParam()); }
};

TEST_P(EveryTrace, ReplaysInAnyOrderThatThePlanAllows) {
  const Trace trace = read_trace(path());
  for (u32 threads : {static_cast<u32>(trace.threads.size()), 4U, 2U, 1U})
    EXPECT_EQ(simulate(plan_replay(trace, threads), 5), "") << threads << " threads";
}

TEST_P(EveryTrace, MeansTheSameAfterItsRelocation) {
  const Trace trace = read_trace(path());
  constexpr u64 base = u64{1} << 44;
  const u64 span = relocated_span(trace);
  EXPECT_LT(span, u64{1} << 36);
  const Trace moved = relocate(trace, base, span, u64{1} << 40);
  ASSERT_EQ(moved.operations.size(), trace.operations.size());
  for (usize i = 0; i < moved.operations.size(); ++i) {
    const TraceOperation& operation = moved.operations[i];
    if (operation.address >= moved.heap.start && operation.address < moved.heap.end) continue;
    ASSERT_GE(operation.address, base);
    ASSERT_LE(operation.range().end, base + span);
    ASSERT_EQ(operation.address % (u64{1} << 21), trace.operations[i].address % (u64{1} << 21));
  }
  EXPECT_EQ(simulate(plan_replay(moved, 3), 3), "");
  EXPECT_THROW(relocate(trace, base, span - 1, u64{1} << 40), std::invalid_argument);
}

INSTANTIATE_TEST_SUITE_P(Traces, EveryTrace, testing::Values("pack", "javac", "zstd"),
                         [](const auto& parameter) { return std::string(parameter.param); });

}  // namespace
}  // namespace faultline
