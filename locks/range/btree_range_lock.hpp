// A range lock in a B+tree: the ranges that threads hold stand in a B+tree under a mutex, each
// entry of an inner node with the greatest end below it. After Dave Chinner's range lock for the
// I/O path of XFS (2019), of which no source was found. What is known: ranges in a B-tree under a
// mutex instead of Bueso's red-black tree under a spinlock, since a node holds many ranges next to
// each other and a walk meets few nodes; later with optimistic lock coupling instead of the mutex.
//
// All else is a choice made here:
// - 16 entries a node. A full node splits in halves, and a node is freed when it is empty, without
//   merging before. Nodes are taken from a list of free ones, which the mutex guards.
// - Entries are in the order of their starts; those of one start are in the order of the callers'
//   nodes, since shared ranges may begin at one address.
// - A thread whose range is in conflict sleeps until the first range that it met is released,
//   downgraded or shrunk, and then tries again (locks/range/retrying_range_lock.hpp).
// - The mutex spins (`Mutex`). It is held for one operation on the tree.
#pragma once

#include <string>
#include <vector>

#include "locks/mutex/qspinlock.hpp"
#include "locks/platform.hpp"
#include "locks/range/range_btree.hpp"
#include "locks/range/retrying_range_lock.hpp"
#include "locks/types.hpp"

namespace faultline {

// The held ranges. `fan_out` is the number of entries of a node of the tree.
template <class P, u32 fan_out>
class BtreeRanges {
 public:
  static constexpr bool shares = true;
  static constexpr const char* label = "range.tree";

  struct Node : RangeHold<P> {
    typename P::template data<bool> exclusive;
    WaiterQueue<P> blocked;  // the threads that sleep until this range is released
  };

  void reserve() {}

  WaiterQueue<P>* insert(Node& node, Wakes<P>&) {
    const bool exclusive = node.exclusive.load();
    Node* other = tree_.first_overlap(
        node.range(), [&](const Node& held) { return exclusive || held.exclusive.load(); });
    if (other != nullptr) return &other->blocked;
    tree_.insert(node);
    return nullptr;
  }
  void erase(Node& node, Wakes<P>& wakes) {
    tree_.erase(node);
    node.blocked.move_to(wakes);
  }
  void downgrade(Node& node, Wakes<P>& wakes) {
    node.exclusive.store(false);
    node.blocked.move_to(wakes);
  }

  // A line for each held range.
  void describe(std::vector<std::string>& lines) const {
    tree_.for_each([&](const Node& node) {
      lines.push_back(holder_text(node.thread.load(), node.range(), node.exclusive.load(),
                                  node.blocked.size()));
    });
  }

  std::string check() const { return tree_.check(); }
  u32 height() const { return tree_.height(); }

 private:
  RangeBtree<P, Node, fan_out> tree_;
};

template <class P, template <class> class Mutex = Qspinlock, u32 fan_out = 16>
class BtreeRangeLock
    : public RetryingRangeLock<P, GuardedRanges<P, BtreeRanges<P, fan_out>, Mutex<P>>> {
 public:
  // For tests.
  u32 height() const { return this->held().ranges().height(); }
};

}  // namespace faultline
