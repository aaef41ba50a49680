// A range lock in a maple tree: the held ranges stand in the kind of tree in which Linux keeps its
// VMAs, under a mutex. After Matthew Wilcox, of whose range lock no source was found. What is
// known: in 2019 he and Laurent Dufour discussed the maple tree as a way to get rid of mmap_sem
// (LWN, "How to get rid of mmap_sem"). The kernel's tree holds ranges that do not overlap, and its
// user chooses the lock around it (Documentation/core-api/maple_tree.rst).
//
// All else is a choice made here:
// - Shared holds may overlap, and slots of the tree may not. So a hold covers one or more segments,
//   each of which has a slot. A segment counts the shared holds that cover all of it, or has one
//   exclusive hold. A shared range splits the segments in which it begins and ends. When the last
//   hold that begins or ends between two segments goes, they become one. So n holds make at most
//   2n-1 segments.
// - A thread whose range is in conflict sleeps at the first segment that it met, and not at a hold,
//   because any of the segment's holds may be the last to go. It tries again once the segment has
//   no hold any more, becomes shared, is split, or goes into another one
//   (locks/range/retrying_range_lock.hpp).
// - The tree's addresses are page numbers plus `lowest_address`, since a tree of VMAs has no room
//   below that.
// - The mutex spins (`Mutex`). It is held for one operation.
//
// What the tree costs here: a hold usually copies a leaf of 256 bytes when it comes, and another
// one when it goes, and RCU frees the old ones. No reader needs that, since all hold the mutex, but
// the tree (locks/vmas/maple.hpp) has no mode without RCU, as the kernel's has. A thread prepares
// the memory for one edit before it takes the mutex. A shared range that splits or joins segments
// makes more edits. They take the thread's other free nodes, and allocate where there are none.
#pragma once

#include <algorithm>
#include <new>
#include <string>
#include <vector>

#include "locks/layout.hpp"
#include "locks/mutex/qspinlock.hpp"
#include "locks/platform.hpp"
#include "locks/range/retrying_range_lock.hpp"
#include "locks/types.hpp"
#include "locks/vmas/maple.hpp"

namespace faultline {

// The held ranges, in segments. Places are addresses of the tree.
template <class P, class Tree>
class MapleRanges {
 public:
  static constexpr bool shares = true;
  static constexpr const char* label = "range.tree";

  struct Node : RangeHold<P> {
    typename P::template data<bool> exclusive;
  };

  void reserve() { tree_.reserve(1); }

  WaiterQueue<P>* insert(Node& node, Wakes<P>& wakes) {
    const Range places = places_of(node.range());
    if (Segment* other = conflict(places, node.exclusive.load())) return &other->blocked;
    split(places.start, wakes);
    split(places.end, wakes);
    for (u64 at = places.start; at < places.end;) {
      Segment* segment = tree_.find(at);
      const u64 next = segment == nullptr ? places.end : segment->range().start;
      if (next > at) segment = &add({at, std::min(next, places.end)}, node);
      count(*segment, places, 1);
      at = segment->range().end;
    }
    return nullptr;
  }

  void erase(Node& node, Wakes<P>& wakes) {
    const Range places = places_of(node.range());
    for (u64 at = places.start; at < places.end;) {
      Segment& segment = *tree_.find(at);
      at = segment.range().end;
      count(segment, places, -1);
      if (segment.holds.load() == 0) drop(segment, wakes);
    }
    join(places.start, wakes);
    join(places.end, wakes);
  }

  // An exclusive hold is one segment.
  void downgrade(Node& node, Wakes<P>& wakes) {
    Segment& segment = *tree_.find(places_of(node.range()).start);
    node.exclusive.store(false);
    segment.exclusive.store(false);
    segment.blocked.move_to(wakes);
  }

  // A line for each segment.
  void describe(std::vector<std::string>& lines) const {
    for (const Segment* segment = tree_.first(); segment != nullptr;
         segment = tree_.next(*segment)) {
      const Range range = range_of(segment->range());
      const int holds = segment->holds.load();
      const u64 waiting = segment->blocked.size();
      lines.push_back(segment->exclusive.load()
                          ? holder_text(segment->thread.load(), range, true, waiting)
                          : holder_text(std::to_string(holds) +
                                            (holds == 1 ? " thread holds" : " threads hold"),
                                        range, false, waiting));
    }
  }

  std::string check() const {
    std::string wrong = tree_.check();
    int open = 0;                  // the holds that go on beyond the last segment
    bool next_must_begin = false;  // no hold ends with the last segment
    u64 end = 0;
    for (const Segment* segment = tree_.first(); segment != nullptr;
         segment = tree_.next(*segment)) {
      const Range range = segment->range();
      const int begins = segment->begins.load(), ends = segment->ends.load();
      if (open != 0 && range.start != end) wrong = "a hold has a gap";
      if (next_must_begin && begins == 0 && range.start == end)
        wrong = "two segments should be one";
      if (segment->holds.load() != open + begins) wrong = "a segment counts its holds wrong";
      if (segment->exclusive.load() && (begins != 1 || ends != 1 || open != 0))
        wrong = "an exclusive hold is not one segment";
      open += begins - ends;
      next_must_begin = ends == 0;
      end = range.end;
    }
    if (open != 0) wrong = "a hold has no end";
    return wrong;
  }
  u64 segments() const {
    u64 count = 0;
    for (const Segment* segment = tree_.first(); segment != nullptr; segment = tree_.next(*segment))
      ++count;
    return count;
  }
  u64 allocated_nodes() const { return tree_.allocated_nodes(); }

 private:
  // Places that the same holds cover.
  struct alignas(line_size) Segment {
    Range range() const { return {start.load(), end.load()}; }
    void set_range(Range range) {
      start.store(range.start);
      end.store(range.end);
    }

    typename P::template data<u64> start;
    typename P::template data<u64> end;
    typename P::template data<int> holds;
    typename P::template data<int> begins;  // the holds that begin where it begins
    typename P::template data<int> ends;    // the holds that end where it ends
    typename P::template data<bool> exclusive;
    typename P::template data<u32> thread;  // that of the hold, where it is exclusive
    typename P::template data<Segment*> next_free;
    WaiterQueue<P> blocked;  // the threads that sleep until the segment is dropped or changes
  };

  static Range places_of(Range range) {
    return {lowest_address + range.start / page_size, lowest_address + range.end / page_size};
  }
  static Range range_of(Range places) {
    return {(places.start - lowest_address) * page_size, (places.end - lowest_address) * page_size};
  }

  // The first segment that is in conflict, or null.
  Segment* conflict(Range places, bool exclusive) const {
    Segment* segment = tree_.find(places.start);
    while (segment != nullptr && segment->range().start < places.end) {
      if (exclusive || segment->exclusive.load()) return segment;
      segment = tree_.next(*segment);
    }
    return nullptr;
  }

  // A hold that covers the segment comes (1) or goes (-1).
  static void count(Segment& segment, Range places, int change) {
    const Range range = segment.range();
    segment.holds.store(segment.holds.load() + change);
    if (range.start == places.start) segment.begins.store(segment.begins.load() + change);
    if (range.end == places.end) segment.ends.store(segment.ends.load() + change);
  }

  // If a segment contains both `at - 1` and `at`, splits it at `at`. Such a segment is shared.
  void split(u64 at, Wakes<P>& wakes) {
    Segment* lower = tree_.find(at);
    if (lower == nullptr || lower->range().start >= at) return;
    const Range whole = lower->range();
    // A waiter's range may overlap the upper part alone.
    lower->blocked.move_to(wakes);
    tree_.resize(*lower, {whole.start, at});
    Segment& upper = add({at, whole.end}, *lower);
    upper.holds.store(lower->holds.load());
    upper.ends.store(lower->ends.load());
    lower->ends.store(0);
  }

  // Makes the segments below and above `at` one, if no hold begins or ends there.
  void join(u64 at, Wakes<P>& wakes) {
    Segment* lower = tree_.find(at - 1);
    if (lower == nullptr || lower->range().end != at || lower->ends.load() != 0) return;
    Segment* upper = tree_.find(at);
    if (upper == nullptr || upper->range().start != at || upper->begins.load() != 0) return;
    const Range whole{lower->range().start, upper->range().end};
    lower->ends.store(upper->ends.load());
    drop(*upper, wakes);
    tree_.resize(*lower, whole);
  }

  // Adds a segment that no hold covers yet, with the mode and the thread of `like`.
  template <class Like>
  Segment& add(Range places, const Like& like) {
    Segment& segment = take();
    segment.set_range(places);
    segment.holds.store(0);
    segment.begins.store(0);
    segment.ends.store(0);
    segment.exclusive.store(like.exclusive.load());
    segment.thread.store(like.thread.load());
    tree_.insert(segment);
    return segment;
  }
  void drop(Segment& segment, Wakes<P>& wakes) {
    segment.blocked.move_to(wakes);
    tree_.erase(segment);
    segment.next_free.store(free_.load());
    free_.store(&segment);
  }
  // A segment with unspecified content, but nobody waits for it.
  Segment& take() {
    if (Segment* segment = free_.load()) {
      free_.store(segment->next_free.load());
      return *segment;
    }
    auto* segment = new (P::allocate(sizeof(Segment), alignof(Segment))) Segment();
    P::label(segment, "range.segment");
    return *segment;
  }

  typename Tree::template Container<P, Segment> tree_;
  typename P::template data<Segment*> free_;
};

template <class P, template <class> class Mutex = Qspinlock, class Tree = vmas::Maple>
class MapleRangeLock
    : public RetryingRangeLock<P, GuardedRanges<P, MapleRanges<P, Tree>, Mutex<P>>> {
 public:
  // For tests, with all threads at rest.
  u64 segments() const { return this->held().ranges().segments(); }
  u64 allocated_nodes() const { return this->held().ranges().allocated_nodes(); }
};

}  // namespace faultline
