#include "workloads/replay_plan.hpp"

#include <algorithm>
#include <map>
#include <numeric>
#include <stdexcept>
#include <string>

namespace faultline {
namespace {

constexpr u64 block = u64{1} << 21;

// Frames that a pool may hold beyond its share, for each thread that may hold them.
constexpr u64 frames_astray = 64;

u64 block_floor(u64 address) {
  return address & ~(block - 1);
}
u64 block_ceil(u64 address) {
  return block_floor(address + block - 1);
}

bool in_heap(const Trace& trace, const Range& range) {
  return range.start >= trace.heap.start && range.end <= trace.heap.end;
}

// The 2 MiB blocks that the trace touches outside its heap, as sorted ranges. At least one
// untouched block lies between any two ranges.
std::vector<Range> touched_blocks(const Trace& trace) {
  std::vector<Range> ranges;
  auto add = [&](const Range& range) {
    if (!in_heap(trace, range)) ranges.push_back({block_floor(range.start), block_ceil(range.end)});
  };
  for (const TraceMapping& mapping : trace.preamble) add(mapping.range);
  for (const TraceOperation& operation : trace.operations) add(operation.range());
  std::sort(ranges.begin(), ranges.end(),
            [](const Range& a, const Range& b) { return a.start < b.start; });
  std::vector<Range> joined;
  for (const Range& range : ranges) {
    if (joined.empty() || joined.back().end < range.start)
      joined.push_back(range);
    else
      joined.back().end = std::max(joined.back().end, range.end);
  }
  return joined;
}

// The new place of each run of touched blocks. The runs are packed from `base` on, with one empty
// block between two.
class Relocation {
 public:
  Relocation(const Trace& trace, u64 base, u64 heap) : trace_(trace), heap_(heap), end_(base) {
    for (const Range& range : touched_blocks(trace)) {
      if (end_ != base) end_ += block;
      moves_[range.start] = end_;
      end_ += range.length();
    }
  }
  u64 end() const { return end_; }
  u64 operator()(u64 address, const Range& range) const {
    if (in_heap(trace_, range)) return heap_ + (address - trace_.heap.start);
    const auto move = std::prev(moves_.upper_bound(address));
    return move->second + (address - move->first);
  }

 private:
  const Trace& trace_;
  u64 heap_;
  u64 end_;
  std::map<u64, u64> moves_;
};

// The replaying thread of each recorded thread.
std::vector<u32> fold(const Trace& trace, u32 threads) {
  std::vector<u32> place(trace.threads.size());
  std::iota(place.begin(), place.end(), 0U);
  if (threads == place.size()) return place;
  std::vector<u64> weight(place.size());
  for (const TraceOperation& operation : trace.operations) ++weight[operation.thread];
  std::vector<u32> busiest_first = place;
  std::stable_sort(busiest_first.begin(), busiest_first.end(),
                   [&](u32 a, u32 b) { return weight[a] > weight[b]; });
  std::vector<u64> load(threads);
  for (u32 recorded : busiest_first) {
    const auto least = std::min_element(load.begin(), load.end());
    place[recorded] = static_cast<u32>(least - load.begin());
    *least += weight[recorded];
  }
  return place;
}

// Walks through the operations in recorded order. For every page it remembers the thread that last
// changed the page's layout and the threads that have used the page since.
class Ordering {
 public:
  explicit Ordering(ReplayPlan& plan) : plan_(plan), known_(plan.threads.size()) {
    for (auto& known : known_) known.resize(plan.threads.size());
    for (const TraceMapping& mapping : plan.preamble) change(mapping.range, {}, true);
  }

  void add(const TraceOperation& operation, u32 thread) {
    ReplayThread& own = plan_.threads[thread];
    thread_ = thread;
    const u32 needs_begin = static_cast<u32>(own.needs.size());
    const ReplayNeed me{thread, static_cast<u32>(own.steps.size()) + 1};
    if (operation.is_fault() || operation.kind == TraceKind::discard) {
      use(operation.range(), me);
    } else {
      const bool maps = operation.kind != TraceKind::unmap && operation.kind != TraceKind::shrink;
      change(operation.range(), me, maps);
    }
    if (operation.moves_break()) {
      need(last_break_);
      last_break_ = me;
    }
    own.steps.push_back({operation.kind, false, operation.prot, operation.flags, operation.address,
                         operation.length, needs_begin, static_cast<u32>(own.needs.size())});
  }

  // The thread that mapped or changed a range last gets what is still mapped of it at the end.
  void leave() {
    for (const auto& [start, segment] : segments_) {
      const Range range{start, segment.end};
      if (!segment.mapped || in_heap(range)) continue;
      auto& leftovers = plan_.threads[segment.changed.thread].leftovers;
      if (!leftovers.empty() && leftovers.back().end == start)
        leftovers.back().end = range.end;
      else
        leftovers.push_back(range);
    }
  }

 private:
  struct Segment {
    u64 end = 0;
    bool mapped = false;
    ReplayNeed changed;  // the last change; no steps: before the replay
    // the last step of each thread that has used the page since the change
    std::vector<ReplayNeed> users;
  };
  using Segments = std::map<u64, Segment>;

  bool in_heap(const Range& range) const {
    return range.start >= plan_.heap.start && range.end <= plan_.heap.end;
  }

  void need(const ReplayNeed& other) {
    if (other.steps == 0 || other.thread == thread_) return;
    u32& known = known_[thread_][other.thread];
    if (known >= other.steps) return;
    known = other.steps;
    plan_.threads[thread_].needs.push_back(other);
    plan_.threads[other.thread].steps[other.steps - 1].awaited = true;
  }

  Segments::iterator first_in(const Range& range) {
    auto at = segments_.upper_bound(range.start);
    if (at != segments_.begin() && std::prev(at)->second.end > range.start) --at;
    return at;
  }

  void use(const Range& range, const ReplayNeed& me) {
    for (auto at = first_in(range); at != segments_.end() && at->first < range.end; ++at) {
      need(at->second.changed);
      auto& users = at->second.users;
      const auto mine = std::find_if(users.begin(), users.end(), [&](const ReplayNeed& user) {
        return user.thread == me.thread;
      });
      if (mine == users.end())
        users.push_back(me);
      else
        mine->steps = me.steps;
    }
  }

  void change(const Range& range, const ReplayNeed& me, bool mapped) {
    cut(range.start);
    cut(range.end);
    const auto begin = segments_.lower_bound(range.start);
    const auto end = segments_.lower_bound(range.end);
    for (auto at = begin; at != end; ++at) {
      need(at->second.changed);
      for (const ReplayNeed& user : at->second.users) need(user);
    }
    segments_.erase(begin, end);
    segments_[range.start] = {range.end, mapped, me, {}};
  }

  void cut(u64 address) {
    const auto at = first_in({address, address + 1});
    if (at == segments_.end() || at->first >= address) return;
    Segment upper = at->second;
    at->second.end = address;
    segments_[address] = std::move(upper);
  }

  ReplayPlan& plan_;
  u32 thread_ = 0;
  // known_[a][b]: the number of steps of b for which thread a has waited already.
  std::vector<std::vector<u32>> known_;
  ReplayNeed last_break_;
  Segments segments_;
};

// A map takes a VMA, and every edge of a range may cut one in two.
u64 vmas_taken(const ReplayThread& thread) {
  u64 vmas = 0;
  for (const ReplayStep& step : thread.steps) {
    const bool fault = step.kind == TraceKind::read_fault || step.kind == TraceKind::write_fault;
    if (!fault && step.kind != TraceKind::discard) vmas += step.kind == TraceKind::map ? 3 : 2;
  }
  return vmas;
}

u64 faults(const ReplayThread& thread) {
  return static_cast<u64>(
      std::count_if(thread.steps.begin(), thread.steps.end(), [](const ReplayStep& step) {
        return step.kind == TraceKind::read_fault || step.kind == TraceKind::write_fault;
      }));
}

}  // namespace

u64 relocated_span(const Trace& trace) {
  return Relocation(trace, 0, 0).end();
}

Trace relocate(const Trace& trace, u64 base, u64 span, u64 heap) {
  const Relocation moved(trace, base, heap);
  if (moved.end() - base > span)
    throw std::invalid_argument("a trace that spans " + std::to_string(moved.end() - base) +
                                " bytes: expected at most " + std::to_string(span));
  Trace result = trace;
  for (TraceMapping& mapping : result.preamble) {
    const u64 start = moved(mapping.range.start, mapping.range);
    mapping.range = {start, start + mapping.range.length()};
  }
  for (TraceOperation& operation : result.operations)
    operation.address = moved(operation.address, operation.range());
  result.heap = {heap, heap + trace.heap.length()};
  return result;
}

ReplayPlan plan_replay(const Trace& trace, u32 threads) {
  if (threads == 0 || threads > trace.threads.size())
    throw std::invalid_argument("a replay on " + std::to_string(threads) +
                                " threads: expected 1 to the " +
                                std::to_string(trace.threads.size()) + " that were recorded");
  ReplayPlan plan;
  plan.threads.resize(threads);
  plan.preamble = trace.preamble;
  plan.heap = trace.heap;
  const std::vector<u32> place = fold(trace, threads);
  Ordering ordering(plan);
  for (const TraceOperation& operation : trace.operations)
    ordering.add(operation, place[operation.thread]);
  ordering.leave();
  for (const ReplayThread& thread : plan.threads) {
    plan.frames_per_thread = std::max(plan.frames_per_thread, faults(thread));
    plan.vmas_per_thread = std::max(plan.vmas_per_thread, vmas_taken(thread));
  }
  plan.frames_per_thread += frames_astray * (threads + 1);
  plan.vmas_per_thread += trace.preamble.size() + 1;
  return plan;
}

}  // namespace faultline
