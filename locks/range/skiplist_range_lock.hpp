// A range lock in a skip list: the ranges that threads hold stand in a skip list under a spinlock.
// It is exclusive only: a shared request excludes as an exclusive one does, and a downgrade changes
// nothing. Sources: Xiang Song, Jicheng Shi, Ran Liu, Jian Yang and Haibo Chen, "Parallelizing Live
// Migration of Virtual Machines", VEE 2013, and its authors' kernel (github.com/classicsong/
// Range-Lock, kernel/range_lock.c, 0b185e710b74). This is a new implementation of the algorithm.
//
// Held ranges are disjoint, so a range is free if the last one that begins below it ends there, and
// the next one begins above it. As in the source, three of four nodes have one level, three of four
// of the others two, and so on; the list gains one level at a time. No order of arrival holds: a
// range in conflict is tried again, and whoever comes first gets it.
//
// It runs in workload lock_loop alone. A scheme with a range lock is about page faults that do not
// exclude one another, so no scheme may choose it.
//
// How it differs from its source:
// - There a thread whose range is in conflict yields the CPU and tries again. Here it sleeps until
//   a range that it met is released or shrinks, and then tries again
//   (locks/range/retrying_range_lock.hpp).
// - There a range has two nodes from the kernel's allocator, one for its start and one for its end.
//   Here it has one, the caller's.
// - 4 levels, not 16, since a thread holds few ranges at a time. The highest level has about one of
//   64 held ranges.
// - The source has no operation that shrinks a hold.
#pragma once

#include <string>
#include <vector>

#include "locks/mutex/qspinlock.hpp"
#include "locks/platform.hpp"
#include "locks/range/retrying_range_lock.hpp"
#include "locks/skip_heights.hpp"
#include "locks/types.hpp"

namespace faultline {

// The held ranges.
template <class P>
class SkiplistRanges {
  static constexpr u32 most_levels = 4;

 public:
  static constexpr bool shares = false;
  static constexpr const char* label = "range.list";

  struct Node;

 private:
  struct Links {
    typename P::template data<Node*> next[most_levels];
  };

 public:
  struct Node : RangeHold<P> {
    typename P::template data<u32> height;  // how many levels the node is linked at
    WaiterQueue<P> blocked;                 // the threads that sleep until this range is released
    Links links;
  };

  SkiplistRanges() { levels_.store(1); }

  void reserve() {}

  WaiterQueue<P>* insert(Node& node, Wakes<P>&) {
    const Range range = node.range();
    Way way = way_to(range.start);
    if (Node* other = conflict(way, range)) return &other->blocked;
    link(node, way);
    return nullptr;
  }
  void erase(Node& node, Wakes<P>& wakes) {
    unlink(node);
    node.blocked.move_to(wakes);
  }

  // A line for each held range.
  void describe(std::vector<std::string>& lines) const {
    for (const Node* node = head_.next[0].load(); node != nullptr;
         node = node->links.next[0].load())
      lines.push_back(holder_text(node->thread.load(), node->range(), true, node->blocked.size()));
  }

  std::string check() const {
    u64 end = 0;
    for (const Node* node = head_.next[0].load(); node != nullptr;
         node = node->links.next[0].load()) {
      if (node->start.load() >= node->end.load() || node->start.load() < end)
        return "ranges are not sorted and disjoint";
      end = node->end.load();
    }
    for (u32 level = 0; level < most_levels; ++level) {
      const Node* at = head_.next[level].load();
      if (level >= levels_.load() && at != nullptr) return "an unused level has a node";
      for (const Node* node = head_.next[0].load(); node != nullptr;
           node = node->links.next[0].load()) {
        if (node->height.load() <= level) continue;
        if (node != at) return "a level passes over a node, or leads to one of another level";
        at = node->links.next[level].load();
      }
      if (at != nullptr) return "a level leads to a node that is not in the list";
    }
    return "";
  }

 private:
  // At each level in use, the links of the last node that begins below an address, or the head's.
  struct Way {
    Links* links[most_levels];
    Node* below = nullptr;  // the last node of all that begins below
  };
  Way way_to(u64 start) {
    Way way;
    Links* links = &head_;
    for (u32 level = levels_.load(); level-- > 0;) {
      for (Node* next = links->next[level].load(); next != nullptr && next->start.load() < start;
           next = links->next[level].load()) {
        links = &next->links;
        way.below = next;
      }
      way.links[level] = links;
    }
    return way;
  }

  // A held range that overlaps, or null.
  Node* conflict(const Way& way, Range range) const {
    if (way.below != nullptr && way.below->end.load() > range.start) return way.below;
    Node* above = way.links[0]->next[0].load();
    return above != nullptr && above->start.load() < range.end ? above : nullptr;
  }

  void link(Node& node, Way& way) {
    u32 height = heights_.draw(most_levels);
    if (const u32 used = levels_.load(); height > used) {
      height = used + 1;
      way.links[used] = &head_;
      levels_.store(height);
    }
    node.height.store(height);
    for (u32 level = 0; level < height; ++level) {
      node.links.next[level].store(way.links[level]->next[level].load());
      way.links[level]->next[level].store(&node);
    }
  }

  void unlink(Node& node) {
    const Way way = way_to(node.start.load());
    for (u32 level = 0; level < node.height.load(); ++level)
      way.links[level]->next[level].store(node.links.next[level].load());
    u32 used = levels_.load();
    while (used > 1 && head_.next[used - 1].load() == nullptr) --used;
    levels_.store(used);
  }

  typename P::template data<u32> levels_;  // in use, at least one
  SkipHeights<P> heights_;
  Links head_;
};

template <class P, template <class> class Spinlock = Qspinlock>
using SkiplistRangeLock = RetryingRangeLock<P, GuardedRanges<P, SkiplistRanges<P>, Spinlock<P>>>;

}  // namespace faultline
