// C-RW-WP, the NUMA-aware reader-writer lock that prefers writers, after Calciu, Dice, Lev,
// Luchangco, Marathe and Shavit, "NUMA-Aware Reader-Writer Locks" (PPoPP 2013). The article was not
// at hand. Two implementations were: cohort_locks.h (trbot, 2017), which is based on it, and
// Concurrency Kit's ck_rwcohort.h. Readers count on a line of their NUMA node. Writers take a
// cohort lock (locks/mutex/cohort.hpp), which hands over within a node as long as it can.
//
//   read    add one to the node's count, then look at the cohort lock. If a writer has it or waits
//           for it: take the one back, wait until the lock is free, and begin again.
//           A reader that has waited for longer than its patience raises the barrier until it is in
//   leave   take one from the node's count
//   write   wait while a barrier is raised; take the cohort lock; wait until each count is zero
//
// The accesses by which readers and writers meet are seq_cst: a reader counts and looks at the
// lock, a writer comes to the lock and looks at the counts. Either the reader sees the writer, or
// the writer sees the reader.
//
// How it differs from the two:
// - There a reader is out of patience after a number of looks at the lock. Here it is 1 ms: the
//   price of a look differs between machines.
// - cohort_locks.h counts arrivals and departures of a node's readers apart, and ck_rwcohort.h has
//   one count for all readers. Here each NUMA node has one count.
// - cohort_locks.h asks the system for the number of NUMA nodes. Here the first reader of a node
//   notes it in `places_`, so that writers look only at counts that are in use.
// - Neither has a try or a downgrade of the reader-writer lock.
#pragma once

#include <bit>
#include <string>

#include "locks/layout.hpp"
#include "locks/mutex/cohort.hpp"
#include "locks/platform.hpp"
#include "locks/promise.hpp"
#include "locks/shared/concept.hpp"

namespace faultline {

template <class P>
class CohortRw {
  using Writers = CohortOf<P, std::memory_order_seq_cst>;

 public:
  static constexpr bool atomic_downgrade = true;
  // Writers pass waiting readers, and each other as the cohort lock lets them.
  static constexpr Promise promise = no_promise;

  void lock_shared() {
    if (!try_lock_shared()) [[unlikely]]
      await_writers();
  }
  // Fails also beside a try to write that has not failed yet.
  bool try_lock_shared() {
    auto& count = own_count();
    count.fetch_add(1, std::memory_order_seq_cst);
    if (!writers_.is_taken()) [[likely]]
      return true;
    // relaxed: the reader has read nothing that the lock guards.
    count.fetch_sub(1, std::memory_order_relaxed);
    return false;
  }
  // release: pairs with the writers' looks at the counts.
  void unlock_shared() {
    counts_[Writers::place()].readers.fetch_sub(1, std::memory_order_release);
  }

  void lock() {
    // relaxed: the barrier passes no data.
    if (barrier_.load(std::memory_order_relaxed) != 0) [[unlikely]]
      await_barrier();
    typename Writers::Node node;
    writers_.lock(node);
    if (!is_free_of_readers()) [[unlikely]]
      drain();
  }
  // Fails also while a barrier is raised, and beside a reader that has counted itself and will
  // take that back.
  bool try_lock() {
    // relaxed: as in lock.
    if (barrier_.load(std::memory_order_relaxed) != 0) return false;
    typename Writers::Node node;
    if (!writers_.try_lock(node)) return false;
    if (is_free_of_readers()) return true;
    writers_.unlock(node);
    return false;
  }
  void unlock() {
    typename Writers::Node node;
    writers_.unlock(node);
  }
  void downgrade() {
    // relaxed: the release by which the writer leaves orders it.
    own_count().fetch_add(1, std::memory_order_relaxed);
    unlock();
  }

  void append_events(Events&) const {}
  std::string describe() const {
    u64 readers = 0;
    // relaxed: a racy report.
    for (const Count& count : counts_) readers += count.readers.load(std::memory_order_relaxed);
    return std::to_string(readers) + " reader(s) that hold it or come, " +
           (writers_.is_taken() ? "a writer holds it or waits" : "no writer");
  }

 private:
  static constexpr u64 patience = 1'000'000;  // ns
  static_assert(Writers::most_nodes <= 64, "`places_` has a bit for each");

  struct alignas(cache_line) Count {
    typename P::template atomic<u32> readers{0};
  };

  typename P::template atomic<u32>& own_count() {
    const u32 place = Writers::place();
    const u64 bit = u64{1} << place;
    // seq_cst: another reader's fetch_or that it sees comes before this reader's look at the cohort
    // lock, in the order of all seq_cst operations, as if this reader had set the bit itself.
    // weakened seq_cst survives, seq_cst_order: as an acquire it pairs with the fetch_or.
    const bool noted = (places_.load(std::memory_order_seq_cst) & bit) != 0;
    if (!noted) [[unlikely]]
      places_.fetch_or(bit, std::memory_order_seq_cst);
    return counts_[place].readers;
  }

  bool is_free_of_readers() const {
    for (u64 left = places_.load(std::memory_order_seq_cst); left != 0; left &= left - 1)
      if (counts_[std::countr_zero(left)].readers.load(std::memory_order_seq_cst) != 0)
        return false;
    return true;
  }
  // A count that has been zero once needs no further look: readers come no more.
  [[gnu::noinline]] void drain() {
    WaitScope<P> waiting(this, "cohort_rw's readers");
    // relaxed: is_free_of_readers has seen all that matter.
    for (u64 left = places_.load(std::memory_order_relaxed); left != 0; left &= left - 1)
      while (counts_[std::countr_zero(left)].readers.load(std::memory_order_seq_cst) != 0)
        P::pause(this);
  }

  [[gnu::noinline]] void await_writers() {
    WaitScope<P> waiting(this, "cohort_rw to read");
    const u64 begin = P::now();
    bool raised = false;
    do {
      while (writers_.is_taken()) {
        if (!raised && P::now() - begin > patience) {
          raised = true;
          barrier_.fetch_add(1, std::memory_order_relaxed);  // relaxed: as in lock
        }
        P::pause(this);
      }
    } while (!try_lock_shared());
    if (raised) barrier_.fetch_sub(1, std::memory_order_relaxed);  // relaxed: as in lock
  }
  [[gnu::noinline]] void await_barrier() {
    WaitScope<P> waiting(this, "cohort_rw's barrier");
    while (barrier_.load(std::memory_order_relaxed) != 0) P::pause(this);  // relaxed: as in lock
  }

  Writers writers_;
  // Readers read the line at each acquisition. It changes when a node's first reader comes, and
  // when a reader runs out of patience.
  alignas(cache_line) typename P::template atomic<u64> places_{0};
  typename P::template atomic<u32> barrier_{0};
  Count counts_[Writers::most_nodes];
};

}  // namespace faultline
