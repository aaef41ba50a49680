#include "harness/check/weak_memory/explorer.hpp"

#include <algorithm>
#include <cstdlib>

#include "locks/random.hpp"

namespace faultline::check {

Explorer::Explorer(const SearchOptions& options, Path replay)
    : options_(options), replay_(std::move(replay)), trace_(most_events) {
  // The room is reserved here, since nothing may be allocated while the checked threads run.
  nodes_.reserve(8 * most_events);
  path_.reserve(8 * most_events);
}

void Explorer::begin() {
  depth_ = event_count_ = preemptions_ = deviations_ = 0;
  clocks_ = {};
  for (Footprint& next : next_) next.clear();
  fresh_ = ready_ = bit(options_.threads) - 1;
  finished_ = asleep_ = 0;
  blind_ = too_long_ = false;
  path_.clear();
  // Each execution has a seed of its own.
  random_ = options_.seed += golden_gamma;
  one_leaves_in_ = 2U << 2 * random_below(3);
}

bool Explorer::advance() {
  if (blind_) ++redundant_executions_;
  if (options_.search == Search::random) return true;
  for (; !nodes_.empty(); nodes_.pop_back()) {
    Node& node = nodes_.back();
    fresh_from_ = static_cast<u32>(nodes_.size()) - 1;
    if (node.count != 0) {
      if (++node.chosen < node.count) return true;
      continue;
    }
    node.done |= bit(node.chosen);
    const u32 left = node.wanted & node.enabled & ~(node.done | node.asleep);
    if (left != 0) {
      node.chosen = lowest(left);
      return true;
    }
  }
  return false;
}

u32 Explorer::pick(u32 current) {
  if (fresh_ != 0) return lowest(fresh_);
  if (event_count_ == most_events || path_.size() + 64 > path_.capacity()) {
    too_long_ = true;
    return nobody;
  }
  if (ready_ == 0) return nobody;
  u32 thread = 0;
  if (options_.search == Search::replay)
    thread = path_.size() < replay_.size() ? replay_[path_.size()] : lowest(ready_);
  else if (options_.search == Search::exhaustive)
    thread = pick_exhaustive(current);
  else
    thread = options_.search == Search::bounded ? pick_bounded(current) : pick_random(current);
  if (options_.search != Search::exhaustive) ++event_count_;
  path_.push_back(static_cast<u8>(thread));
  return thread;
}

u32 Explorer::pick_exhaustive(u32 current) {
  const u32 awake = ready_ & ~asleep_;
  if (!blind_ && awake == 0) blind_ = true;
  if (blind_) {
    const u32 thread = ready(current) ? current : lowest(ready_);
    perform(thread, false);
    return thread;
  }
  if (depth_ == nodes_.size()) {
    const u32 first = (awake & bit(current)) != 0 ? current : lowest(awake);
    nodes_.push_back({first, 0, ready_, bit(first), 0, asleep_});
  }
  const Node& node = nodes_[depth_];
  const u32 thread = node.chosen;
  const u32 resting = (node.asleep | node.done) & ~bit(thread);
  perform(thread, true);
  ++depth_;
  // A thread stays asleep until an operation conflicts with the thread's own, since earlier
  // executions have run that operation from this state.
  asleep_ = 0;
  for (u32 left = resting; left != 0; left &= left - 1) {
    const u32 sleeper = lowest(left);
    if (!next_[sleeper].conflicts_with(next_[thread])) asleep_ |= bit(sleeper);
  }
  return thread;
}

// Records the operation as an event, ordered after the events that it conflicts with.
void Explorer::perform(u32 thread, bool counted) {
  std::array<u32, 32> events;
  const usize count = conflicting(thread, events);
  if (counted && depth_ >= fresh_from_) look_for_races(thread, events, count);
  Clock& clock = clocks_[thread];
  for (usize i = 0; i < count; ++i)
    for (u32 other = 0; other < most_threads; ++other)
      clock[other] = std::max(clock[other], trace_[events[i] - 1].clock[other]);
  ++clock[thread];
  trace_[event_count_] = {clock, depth_, static_cast<u8>(thread)};
  ++event_count_;
  for (const Footprint::Touch& touch : next_[thread]) {
    if (touch.writes) {
      touch.object->write = event_count_;
      if (touch.takes) touch.object->taken = event_count_;
      touch.object->reads = {};
    } else {
      touch.object->reads[thread] = event_count_;
    }
  }
}

// The last events of other threads with which the thread's next operation conflicts.
usize Explorer::conflicting(u32 thread, std::array<u32, 32>& events) const {
  usize count = 0;
  const auto add = [&](u32 event) {
    if (event == 0 || trace_[event - 1].thread == thread || count == events.size()) return;
    if (std::find(events.data(), events.data() + count, event) == events.data() + count)
      events[count++] = event;
  };
  for (const Footprint::Touch& touch : next_[thread]) {
    add(touch.object->write);
    if (touch.writes)
      for (u32 event : touch.object->reads) add(event);
  }
  return count;
}

// Finds races: earlier conflicting events that no event in between orders before this operation.
void Explorer::look_for_races(u32 thread, const std::array<u32, 32>& events, usize count) {
  for (usize i = 0; i < count; ++i) {
    const Event& first = trace_[events[i] - 1];
    if (before(first, clocks_[thread])) continue;
    Clock clock = clocks_[thread];
    bool ordered = false;
    for (usize j = 0; j < count; ++j) {
      if (j == i) continue;
      const Event& other = trace_[events[j] - 1];
      if (before(first, other.clock)) {
        ordered = true;
        break;
      }
      for (u32 k = 0; k < most_threads; ++k) clock[k] = std::max(clock[k], other.clock[k]);
    }
    if (!ordered) reverse(events[i], thread, clock);
  }
  // The unlock that let this thread take a mutex cannot come later, but the other thread's lock
  // can.
  for (const Footprint::Touch& touch : next_[thread]) {
    const u32 taken = touch.takes ? touch.object->taken : 0;
    if (taken != 0 && !before(trace_[taken - 1], clocks_[thread]))
      reverse(taken, thread, clocks_[thread]);
  }
}

// Makes a later execution try another thread in the place of event `first`. That thread leads to
// the next operation of `thread` without `first`: it is an initial of the events that do not happen
// after `first`. `clock` is the clock of that operation without `first`.
void Explorer::reverse(u32 first, u32 thread, Clock clock) {
  const Event& event = trace_[first - 1];
  Node& node = nodes_[event.node];
  Clock begun{};  // the first such event of each thread, by the thread's own count; 0: none
  u32 initials = 0;
  const auto is_initial = [&](u32 candidate, const Clock& its) {
    for (u32 other = 0; other < most_threads; ++other)
      if (other != candidate && begun[other] != 0 && its[other] >= begun[other]) return false;
    return true;
  };
  for (u32 i = first; i < event_count_; ++i) {
    const Event& later = trace_[i];
    if (begun[later.thread] != 0 || before(event, later.clock)) continue;
    if (is_initial(later.thread, later.clock)) initials |= bit(later.thread);
    begun[later.thread] = later.clock[later.thread];
  }
  if (begun[thread] == 0 && is_initial(thread, clock)) initials |= bit(thread);
  initials &= node.enabled;  // a thread that became ready only through `first` cannot run before it
  if (initials == 0 || (initials & node.wanted) != 0) return;
  node.wanted |= (initials & bit(thread)) != 0 ? bit(thread) : bit(lowest(initials));
}

u32 Explorer::pick_bounded(u32 current) {
  // The choice of the first thread is not a preemption.
  const bool goes_on = ready(current) && event_count_ != 0;
  if (goes_on && (preemptions_ == options_.preemptions || ready_ == bit(current))) return current;
  if (ready_ == bit(lowest(ready_))) return lowest(ready_);
  if (depth_ == nodes_.size()) {
    const u32 first = goes_on ? current : lowest(ready_);
    nodes_.push_back({first, 0, ready_, ready_, 0, 0});
  }
  const u32 thread = nodes_[depth_++].chosen;
  if (goes_on && thread != current) ++preemptions_;
  return thread;
}

// The current thread continues with a probability that the execution has drawn, so that long
// stretches of one thread occur too.
u32 Explorer::pick_random(u32 current) {
  if (ready(current) && random_below(one_leaves_in_) != 0) return current;
  const u32 skipped = random_below(static_cast<u32>(__builtin_popcount(ready_)));
  u32 left = ready_;
  for (u32 i = 0; i < skipped; ++i) left &= left - 1;
  return lowest(left);
}

u32 Explorer::choose(u32 limit) {
  u32 chosen = 0;
  switch (options_.search) {
    case Search::replay:
      chosen = path_.size() < replay_.size() ? replay_[path_.size()] : 0;
      break;
    case Search::random:
      chosen = random_below(2) == 0 ? 0 : random_below(limit);
      break;
    case Search::bounded:
    case Search::exhaustive:
    case Search::priorities:  // this search has no Explorer
      if (blind_ || limit == 1) break;
      if (options_.search == Search::bounded && deviations_ == options_.deviations) break;
      if (depth_ == nodes_.size()) nodes_.push_back({0, limit, 0, 0, 0, 0});
      chosen = nodes_[depth_++].chosen;
      if (chosen != 0) ++deviations_;
      break;
  }
  path_.push_back(static_cast<u8>(chosen));
  return chosen;
}

u32 Explorer::random_below(u32 limit) {
  return static_cast<u32>((xorshift64_star(random_) >> 32) % limit);
}

}  // namespace faultline::check
