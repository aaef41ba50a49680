// A cohort lock, C-TKT-TKT, after Dice, Marathe and Shavit, "Lock Cohorting: A General Technique
// for Designing NUMA Locks" (PPoPP 2012; ACM Transactions on Parallel Computing 1(2), 2015): a
// ticket lock for each NUMA node, and one at the top for all. The holder hands over within its node
// as long as a thread of the node waits, at most 64 times in a row, and the top lock stays with the
// node meanwhile.
//
//   lock    take the lock of the own NUMA node. If it comes with the top lock, that is all.
//           If not, take the top lock
//   unlock  if a thread of the node waits, and the limit is not reached: release the node's lock
//           with the top lock. If not, release both
//
// The article was not at hand. Two implementations were: cohort_locks.h (trbot, 2017), which is
// based on the article, and Concurrency Kit's ck_cohort.h. The limit of 64 handoffs is that of
// cohort_locks.h; ck_cohort.h has 10 unless its user sets another one. The top lock of
// cohort_locks.h is a partitioned ticket lock, so that lock is C-PTL-TKT.
//
// The locks of the nodes are those of ticket.hpp. The top lock is written here, since is_taken
// needs numbers that do not wrap and an order of the draw. For the lock, a thread stays on the NUMA
// node on which it was registered (P::node), even if the system moves it.
#pragma once

#include "locks/mutex/concept.hpp"
#include "locks/mutex/ticket.hpp"
#include "locks/platform.hpp"
#include "locks/promise.hpp"

namespace faultline {

// `draw` is the memory order with which a thread draws its number of the top lock. A caller whose
// threads must be seen by others that only look at the lock (is_taken) demands seq_cst.
template <class P, std::memory_order draw = std::memory_order_relaxed>
class CohortOf {
 public:
  struct Node {};
  // How many may pass a thread depends on the numbers of nodes and of threads.
  static constexpr Promise promise = no_promise;
  static constexpr u32 most_nodes = 64, most_handoffs = 64;

  // The number of the caller's NUMA node, below most_nodes. Nodes of larger numbers share.
  static u32 place() { return P::node() % most_nodes; }

  void lock(Node&) {
    Local& local = locals_[place()];
    typename Ticket<P>::Node ticket;
    local.lock.lock(ticket);
    if (!local.has_top.load()) take_top();
  }

  // Fails also where a thread of another node waits.
  bool try_lock(Node&) {
    Local& local = locals_[place()];
    typename Ticket<P>::Node ticket;
    if (!local.lock.try_lock(ticket)) return false;
    if (local.has_top.load() || try_top()) return true;
    local.lock.unlock(ticket);
    return false;
  }

  void unlock(Node&) {
    Local& local = locals_[place()];
    typename Ticket<P>::Node ticket;
    const bool stays = local.handoffs.load() < most_handoffs && local.lock.has_waiters();
    local.handoffs.store(stays ? local.handoffs.load() + 1 : 0);
    local.has_top.store(stays);
    if (!stays)
      // relaxed load: only the holder of the top lock writes the word. release: pairs with the
      // acquires of the word.
      serving_.store(serving_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
    local.lock.unlock(ticket);
  }

  // Whether a thread holds the top lock or waits for it. If `draw` is seq_cst: where a thread has
  // written a word before it calls this, by a seq_cst operation, and the answer is false, then the
  // next holder sees the word by a seq_cst load.
  bool is_taken() const {
    const u64 drawn = next_.load(std::memory_order_seq_cst);
    // acquire: pairs with unlock's release. The caller sees what the last holder has left.
    return serving_.load(std::memory_order_acquire) != drawn;
  }

 private:
  // `has_top` and `handoffs` belong to the holder of `lock`: whether the top lock comes with it,
  // and how often it has been handed over in the node since.
  struct alignas(cache_line) Local {
    Ticket<P> lock;
    typename P::template data<bool> has_top;
    typename P::template data<u32> handoffs;
  };

  void take_top() {
    const u64 mine = next_.fetch_add(1, draw);
    // acquire: pairs with unlock's release.
    if (serving_.load(std::memory_order_acquire) == mine) return;
    WaitScope<P> waiting(this, "cohort");
    // acquire: as above.
    while (serving_.load(std::memory_order_acquire) != mine) P::pause(this);
  }
  // Draws the number that is being served, if no thread has drawn it yet.
  bool try_top() {
    // acquire: pairs with unlock's release. The exchange draws the number that is served, so the
    // thread holds the lock at once. No number comes round again.
    u64 mine = serving_.load(std::memory_order_acquire);
    // relaxed on failure: nothing is read.
    return next_.compare_exchange_strong(mine, mine + 1, draw, std::memory_order_relaxed);
  }

  // The top lock, a ticket lock. Its numbers do not wrap.
  alignas(cache_line) typename P::template atomic<u64> next_{0};
  typename P::template atomic<u64> serving_{0};
  Local locals_[most_nodes];
};

template <class P>
using Cohort = CohortOf<P>;

}  // namespace faultline
