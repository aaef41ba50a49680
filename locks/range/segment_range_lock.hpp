// A segment lock: the space is cut into segments of a fixed size, each with a reader-writer lock of
// its own. To lock a range is to lock its segments in ascending order. Source: the second of the
// two range locks of pNOVA, which has a variable for each segment (June-hyung Kim, Jangwoong Kim,
// Hyeongu Kang, Chang-Gyu Lee, Sungyong Park and Youngjae Kim, "pNOVA: Optimizing Shared File I/O
// Operations of NVM File System on Manycore Servers", APSys 2019, doi 10.1145/3343737.3343748).
//
// Disjoint ranges share nothing but a segment that holds a part of both. A range costs one
// acquisition for each of its segments, so the lock of a whole space is the dearest one. The lock
// of a segment spins, and no order of arrival holds among ranges: a long range waits at one segment
// while it holds those below, and who waits for those waits for it (a convoy).
//
// How it differs from its source:
// - The number of segments is fixed, since an address space has 2^47 bytes. Page n belongs to
//   segment n modulo that number, so pages that lie a multiple of it apart conflict, and so do more
//   threads than segments in lock_loop:ranges=disjoint. A longer range locks each segment once.
// - The lock of a segment is CasRwLock, in which a waiting writer keeps new readers out.
#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "locks/events.hpp"
#include "locks/layout.hpp"
#include "locks/promise.hpp"
#include "locks/shared/cas_rw_lock.hpp"
#include "locks/shared/concept.hpp"
#include "locks/types.hpp"

namespace faultline {

// `SegmentLock`, a SharedLock with an atomic downgrade, is the lock of each segment; its describe()
// says "free" when nobody holds it. All memory orders are those of SegmentLock: a thread that locks
// a range after another has released an overlapping one acquires the segment that the other
// released. 256 segments are one for each slot of lock_loop's ranges.
template <class P, template <class> class SegmentLock = CasRwLock, u32 segment_count = 256>
class SegmentRangeLock {
 public:
  static constexpr u64 segment_size = page_size;
  static_assert(SharedLock<SegmentLock<P>> && SegmentLock<P>::atomic_downgrade);
  // Whoever takes a segment's lock first gets it.
  static constexpr Promise promise = no_promise;

  // Only the thread that holds the range uses its node.
  class Node {
   public:
    Node() = default;

   private:
    friend class SegmentRangeLock;
    Range range = {};
    bool exclusive = false;
  };

  SegmentRangeLock() { label(); }
  SegmentRangeLock(const SegmentRangeLock&) = delete;
  SegmentRangeLock& operator=(const SegmentRangeLock&) = delete;

  // A caller that names the lock as a whole calls this again afterwards.
  void label() { P::label(&segments_, "range.segments"); }

  // `range` is not empty. A thread that already holds a range must not lock another: both may need
  // the same segment, and two such threads may wait for each other.
  void lock(Node& node, Range range, bool exclusive) {
    node.range = range;
    node.exclusive = exclusive;
    for_each_segment(range, [&](u32 index) {
      exclusive ? lock_of(index).lock() : lock_of(index).lock_shared();
      return true;
    });
  }

  // Fails where a segment's lock does: when a range in conflict holds the segment, though it may
  // not overlap, or when a writer waits there for its readers.
  bool try_lock(Node& node, Range range, bool exclusive) {
    node.range = range;
    node.exclusive = exclusive;
    u32 taken = 0;
    const bool all = for_each_segment(range, [&](u32 index) {
      if (!(exclusive ? lock_of(index).try_lock() : lock_of(index).try_lock_shared())) return false;
      ++taken;
      return true;
    });
    if (all) return true;
    for_each_segment(range, [&](u32 index) {
      if (taken == 0) return false;
      --taken;
      release(index, exclusive);
      return true;
    });
    return false;
  }

  void unlock(Node& node) {
    for_each_segment(node.range, [&](u32 index) {
      release(index, node.exclusive);
      return true;
    });
  }

  // Each segment turns to shared on its own, and none is free in between.
  void downgrade(Node& node) {
    for_each_segment(node.range, [&](u32 index) {
      lock_of(index).downgrade();
      return true;
    });
    node.exclusive = false;
  }

  // `range` is not empty and lies inside the held range. Releases the segments that hold no part
  // of it.
  void downgrade_range(Node& node, Range range) {
    for_each_segment(node.range, [&](u32 index) {
      if (!has_segment(range, index)) release(index, node.exclusive);
      return true;
    });
    node.range = range;
  }

  void append_events(Events&) const {}

  // One line per run of segments in the same state: "segments 3 to 5: 2 reader(s)".
  std::vector<std::string> describe() const {
    std::vector<std::string> lines;
    for (u32 first = 0, end = 0; first < segment_count; first = end) {
      const std::string held = segments_[first].lock.describe();
      for (end = first + 1; end < segment_count && segments_[end].lock.describe() == held;) ++end;
      if (held != "free")
        lines.push_back("segments " + std::to_string(first) + " to " + std::to_string(end - 1) +
                        ": " + held);
    }
    return lines;
  }

 private:
  struct alignas(cache_line) Segment {
    SegmentLock<P> lock;
  };

  SegmentLock<P>& lock_of(u32 index) { return segments_[index].lock; }
  void release(u32 index, bool exclusive) {
    exclusive ? lock_of(index).unlock() : lock_of(index).unlock_shared();
  }

  static u32 first_segment(Range range) {
    return static_cast<u32>(range.start / segment_size % segment_count);
  }
  // How many segments hold a part of the range.
  static u32 count_segments(Range range) {
    const u64 count = (range.end - 1) / segment_size - range.start / segment_size + 1;
    return static_cast<u32>(std::min<u64>(count, segment_count));
  }
  static bool has_segment(Range range, u32 index) {
    const u32 distance = (index + segment_count - first_segment(range)) % segment_count;
    return distance < count_segments(range);
  }

  // Visits the range's segments in the order of their numbers, which all threads keep, until
  // `visit` answers false. Answers whether it has visited all.
  template <class F>
  static bool for_each_segment(Range range, const F& visit) {
    const u32 first = first_segment(range), count = count_segments(range);
    const u32 wrapped = std::max(first + count, segment_count) - segment_count;
    for (u32 i = 0; i < count; ++i) {
      const u32 index = i < wrapped ? i : first + i - wrapped;
      if (!visit(index)) return false;
    }
    return true;
  }

  std::array<Segment, segment_count> segments_;
};

}  // namespace faultline
