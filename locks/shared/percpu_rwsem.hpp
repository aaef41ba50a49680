// Linux's percpu_rw_semaphore (kernel/locking/percpu-rwsem.c and kernel/rcu/sync.c, as since 5.7):
// readers count on a line of their own, and a writer pays for that with an RCU grace period.
//
//   read    in an RCU read section: while `state` says that no writer is about (GP_IDLE), add one
//           to the own count, and that is all. Else add one, and look at `block`; if it is set,
//           take the one back and queue
//   leave   take one from the own count. Beside a writer also wake it if it waits for the sum
//   write   leave GP_IDLE and wait for a grace period, so that no reader is on the fast path (other
//           writers wait for the same one). Exchange `block`, or queue. Wait until the sum of all
//           counts is zero: it then stays zero, since each reader that comes takes its one back
//   unlock  clear `block`; let queued readers in up to the first writer, or one writer. Readers are
//           fast again a grace period after the last writer has left
//
// How it differs from the kernel:
// - A count belongs to a thread, and is written by loads and stores. In the kernel it belongs to a
//   CPU, and one instruction with preemption off changes it.
// - The kernel makes readers fast again from call_rcu, a grace period after the last writer. Here
//   the first slow reader does so once as much time has passed as the last grace period took. It
//   needs no grace period for that, since readers load `state` by an acquire. A writer that comes
//   after that time waits for a grace period, as it does in the kernel.
// - A slow reader that leaves clears the word on which the writer sleeps, where the kernel wakes
//   the task.
// - The kernel has no downgrade and no try to write. Here a downgrade counts the writer as a reader
//   before it clears `block`. A try to write waits for no holder, but where readers are fast it
//   waits for a grace period.
#pragma once

#include <array>
#include <cstddef>
#include <string>

#include "locks/events.hpp"
#include "locks/layout.hpp"
#include "locks/mutex/qspinlock.hpp"
#include "locks/promise.hpp"
#include "locks/shared/concept.hpp"
#include "locks/shared/rwsem_queue.hpp"

namespace faultline {

namespace percpu_rwsem_event {
enum Event : usize { read_slow, read_queued, write_queued, grace, drained, sleep, count };
inline constexpr std::array<const char*, count> names = {
    "percpu_rwsem.slow_readers",  "percpu_rwsem.queued_readers",    "percpu_rwsem.queued_writers",
    "percpu_rwsem.grace_periods", "percpu_rwsem.waits_for_readers", "percpu_rwsem.sleeps"};
}  // namespace percpu_rwsem_event

// `Spinlock`, a mutex, guards the waiters, and another one the writers' state.
template <class P, template <class> class Spinlock = Qspinlock>
class PercpuRwsem {
 public:
  static constexpr bool atomic_downgrade = true;
  static constexpr bool under_rcu = true;  // readers, while they take it and leave
  // Until `block` is set or a queued thread is let in, any number of others may be quicker. Then no
  // reader comes in any more.
  static constexpr Promise promise{.most_passes = 0, .since = "has set `block` to write"};

  PercpuRwsem() {
    if constexpr (PlainCells<P>)
      static_assert(line_of(offsetof(PercpuRwsem, writer_) + sizeof(writer_) - 1) == 0 &&
                    line_of(offsetof(PercpuRwsem, wait_lock_)) == 1 &&
                    line_of(offsetof(PercpuRwsem, block_)) == 1);
    label();
  }
  ~PercpuRwsem() {
    for (auto& slot : counts_)
      // relaxed: destruction happens after all threads have been joined.
      if (Count* count = slot.load(std::memory_order_relaxed)) count->~Count();
  }
  PercpuRwsem(const PercpuRwsem&) = delete;
  PercpuRwsem& operator=(const PercpuRwsem&) = delete;

  // Names the words. A caller that names the lock as a whole calls this again afterwards.
  void label() {
    P::label(&state_, "percpu_rwsem.state");
    P::label(&block_, "percpu_rwsem.block");
  }

  void lock_shared() {
    P::rcu::read_lock();
    const bool in = count_in();
    P::rcu::read_unlock();
    if (!in) [[unlikely]]
      queue_reader();
  }
  bool try_lock_shared() {
    P::rcu::read_lock();
    const bool in = count_in();
    P::rcu::read_unlock();
    return in;
  }
  void unlock_shared() {
    P::rcu::read_lock();
    auto& count = own_count();
    // relaxed: a writer that has left `idle` waits for this read section.
    if (state_.load(std::memory_order_relaxed) == idle) [[likely]] {
      // relaxed load: only this thread writes its count. release: pairs with the loads in sum.
      // The grace period orders the two as well, but ThreadSanitizer does not see into liburcu.
      // weakened release survives, ordered_elsewhere: by the grace period.
      count.store(count.load(std::memory_order_relaxed) - 1, std::memory_order_release);
    } else {
      leave_slowly(count);
    }
    P::rcu::read_unlock();
  }

  void lock() {
    enter(true);
    if (!try_block()) [[unlikely]]
      queue_writer();
    P::promised(promise, P::self());
    if (sum() != 0) [[unlikely]]
      drain();
  }
  bool try_lock() {
    if (!enter(false)) return false;
    if (try_block()) {
      if (sum() == 0) return true;
      unblock();
    }
    exit();
    return false;
  }
  void unlock() {
    unblock();
    exit();
  }
  void downgrade() {
    auto& count = own_count();
    // relaxed, both: unblock's release publishes the count to the next writer.
    count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    unlock();
  }

  void append_events(Events& events) const { counters_.append_to(events); }
  std::string describe() const {
    // relaxed, all: a racy report.
    u64 readers = 0;
    for (const auto& slot : counts_)
      if (const Count* count = slot.load(std::memory_order_relaxed))
        readers += count->value.load(std::memory_order_relaxed);
    const char* writer = block_.load(std::memory_order_relaxed) != 0 ? ", a writer" : "";
    return std::to_string(static_cast<i64>(readers)) + " reader(s)" + writer;
  }

 private:
  using Waiter = RwsemWaiter<P>;
  using WakeList = RwsemWakeList<P>;
  using SpinNode = typename Spinlock<P>::Node;
  // The counts of one thread, which may be below zero: a reader is counted by the thread that lets
  // it in, and takes the one from its own count.
  struct alignas(cache_line) Count {
    Count() { P::label(this, "percpu_rwsem.read_count"); }
    typename P::template atomic<u64> value{0};
  };

  // GP_IDLE, GP_ENTER, GP_PASSED and GP_EXIT in the kernel.
  static constexpr u32 idle = 0, entering = 1, passed = 2, leaving = 3;

  // ---- readers

  typename P::template atomic<u64>& own_count() {
    auto& slot = counts_[P::self()];
    // relaxed: only this thread writes the slot.
    Count* count = slot.load(std::memory_order_relaxed);
    if (count == nullptr) [[unlikely]] {
      count = new (P::allocate(sizeof(Count), cache_line)) Count();
      // seq_cst: before the first load of `block`, as the count itself.
      slot.store(count, std::memory_order_seq_cst);
    }
    return count->value;
  }

  bool count_in() {
    // acquire: pairs with the release in make_fast, so that a fast reader sees what the last writer
    // has written.
    const u32 state = state_.load(std::memory_order_acquire);
    auto& count = own_count();
    if (state == idle) [[likely]] {
      // relaxed, both: only this thread writes its count, and a writer that has left `idle` waits
      // for this read section.
      count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
      return true;
    }
    counters_.add(percpu_rwsem_event::read_slow);
    if (state == leaving) make_fast();
    return count_slowly(count);
  }

  // __percpu_down_read_trylock() in the kernel. Also counts a queued reader, on its waker's count.
  bool count_slowly(typename P::template atomic<u64>& count) {
    // relaxed: only this thread writes its count. seq_cst: in the order of all such operations this
    // store comes before the load of `block`, and a writer's exchange of it before its loads of the
    // counts. So either the writer sees this reader, or the reader sees the writer.
    count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_seq_cst);
    // seq_cst: as above. It also pairs with unblock's release.
    if (block_.load(std::memory_order_seq_cst) == 0) return true;
    leave_slowly(count);
    return false;
  }

  void leave_slowly(typename P::template atomic<u64>& count) {
    // relaxed: only this thread writes its count. seq_cst: comes before the load of `writer_`, as a
    // writer's store there comes before its loads of the counts. Pairs with sum(), too: the writer
    // comes after what the reader did.
    count.store(count.load(std::memory_order_relaxed) - 1, std::memory_order_seq_cst);
    // seq_cst: as above.
    if (writer_.load(std::memory_order_seq_cst) == 0) return;
    // relaxed: the writer looks at the counts again whatever it sees here.
    writer_.store(0, std::memory_order_relaxed);
    P::wake(writer_, 1);
  }

  // A grace period has passed since the last writer: readers need not look at `block` any more.
  void make_fast() {
    // relaxed: make_fast decides under the lock.
    if (P::now() < fast_from_.load(std::memory_order_relaxed)) return;
    SpinNode node;
    if (!sync_lock_.try_lock(node)) return;
    // relaxed, both: sync_lock_ orders. release: pairs with the acquire in count_in.
    if (state_.load(std::memory_order_relaxed) == leaving &&
        P::now() >= fast_from_.load(std::memory_order_relaxed))
      state_.store(idle, std::memory_order_release);
    sync_lock_.unlock(node);
  }

  // ---- waiters

  [[gnu::noinline]] void queue_reader() {
    WaitScope<P> waiting(this, "percpu_rwsem to read");
    counters_.add(percpu_rwsem_event::read_queued);
    queue(false);
  }
  [[gnu::noinline]] void queue_writer() {
    WaitScope<P> waiting(this, "percpu_rwsem to write");
    counters_.add(percpu_rwsem_event::write_queued);
    queue(true);
  }

  // percpu_rwsem_wait() in the kernel.
  void queue(bool is_writer) {
    Waiter waiter(is_writer, parkers_.here());
    SpinNode node;
    wait_lock_.lock(node);
    // A thread that fails here is queued before the holder looks for waiters.
    const bool in = is_writer ? try_block() : count_slowly(own_count());
    if (!in) queue_.append(waiter);
    wait_lock_.unlock(node);
    if (!in) sleep_until_granted(waiter);
  }

  void sleep_until_granted(Waiter& waiter) {
    auto& word = waiter.parker.load()->word;
    for (;;) {
      // acquire: pairs with the release in WakeList::wake. This load comes before the look at
      // `granted`.
      const u32 ticket = word.load(std::memory_order_acquire);
      if (waiter.granted()) return;
      counters_.add(percpu_rwsem_event::sleep);
      P::wait(word, ticket, no_deadline);
    }
  }

  // percpu_rwsem_wake_function() in the kernel: takes the lock for the readers at the head of the
  // queue and for the writer behind them. It fails where a thread that did not queue was quicker.
  void wake_waiters() {
    bool more = true;
    while (more) {
      WakeList woken;
      SpinNode node;
      wait_lock_.lock(node);
      more = let_in(woken);
      wait_lock_.unlock(node);
      woken.wake();
    }
  }
  // Whether more than one list of wake-ups holds may come in.
  bool let_in(WakeList& woken) {
    for (u32 i = 0; i < WakeList::capacity; ++i) {
      Waiter* waiter = queue_.first();
      if (waiter == nullptr) return false;
      const bool is_writer = waiter->writer.load();
      if (!(is_writer ? try_block() : count_slowly(own_count()))) return false;
      queue_.remove(*waiter);
      woken.add(*waiter->parker.load());
      waiter->grant();
      if (is_writer) return false;
    }
    return true;
  }

  // ---- writers

  // rcu_sync_enter() in the kernel: returns when no reader is on the fast path any more. False: it
  // must not wait for another writer's grace period.
  bool enter(bool may_wait) {
    SpinNode node;
    sync_lock_.lock(node);
    u32 state = state_.load(std::memory_order_relaxed);  // relaxed: sync_lock_ orders
    if (state == entering && !may_wait) {
      sync_lock_.unlock(node);
      return false;
    }
    // relaxed: as above.
    if (state == leaving && P::now() >= fast_from_.load(std::memory_order_relaxed)) state = idle;
    if (state != entering)
      // relaxed: the grace period orders this before the fast paths that come later.
      state_.store(state == idle ? entering : passed, std::memory_order_relaxed);
    writers_.store(writers_.load() + 1);
    sync_lock_.unlock(node);
    if (state == idle)
      await_grace_period();
    else if (state == entering)
      await_other();
    return true;
  }

  [[gnu::noinline]] void await_grace_period() {
    WaitScope<P> waiting(this, "percpu_rwsem's grace period");
    counters_.add(percpu_rwsem_event::grace);
    const u64 since = P::now();
    P::rcu::synchronize();
    SpinNode node;
    sync_lock_.lock(node);
    grace_.store(P::now() - since);
    // relaxed: sync_lock_ orders, so that writers that waited too come after the grace period.
    state_.store(passed, std::memory_order_relaxed);
    sync_lock_.unlock(node);
    P::wake(state_, ~u32{0});
  }
  [[gnu::noinline]] void await_other() {
    WaitScope<P> waiting(this, "percpu_rwsem's grace period");
    for (u32 state = entering; state == entering;) {
      P::wait(state_, entering, no_deadline);
      SpinNode node;
      sync_lock_.lock(node);
      state = state_.load(std::memory_order_relaxed);  // relaxed: sync_lock_ orders
      sync_lock_.unlock(node);
    }
  }

  // rcu_sync_exit() in the kernel.
  void exit() {
    SpinNode node;
    sync_lock_.lock(node);
    const u64 left = writers_.load() - 1;
    writers_.store(left);
    if (left == 0) {
      // relaxed, both: sync_lock_ orders; a reader that sees the state early looks at the time.
      fast_from_.store(P::now() + grace_.load(), std::memory_order_relaxed);
      state_.store(leaving, std::memory_order_relaxed);
    }
    sync_lock_.unlock(node);
  }

  // relaxed: the exchange decides. seq_cst: comes before the loads of the counts (count_slowly).
  // Pairs with unblock's release, too.
  bool try_block() {
    return block_.load(std::memory_order_relaxed) == 0 &&
           block_.exchange(1, std::memory_order_seq_cst) == 0;
  }
  void unblock() {
    // release: pairs with count_slowly and try_block.
    block_.store(0, std::memory_order_release);
    wake_waiters();
  }

  // Modular: threads may count one another's readers.
  u64 sum() const {
    u64 all = 0;
    for (const auto& slot : counts_)
      // seq_cst, both: see count_slowly. They pair with leave_slowly.
      if (const Count* count = slot.load(std::memory_order_seq_cst))
        all += count->value.load(std::memory_order_seq_cst);
    return all;
  }

  [[gnu::noinline]] void drain() {
    WaitScope<P> waiting(this, "percpu_rwsem's readers");
    counters_.add(percpu_rwsem_event::drained);
    for (;;) {
      // seq_cst: comes before the loads of the counts (leave_slowly).
      writer_.store(1, std::memory_order_seq_cst);
      if (sum() == 0) break;
      P::wait(writer_, 1, no_deadline);
    }
    // relaxed: a reader that sees an older value wakes nobody.
    writer_.store(0, std::memory_order_relaxed);
  }

  // Two lines, as in the kernel: rcu_sync with gp_state (0), gp_count (4) and the lock of gp_wait
  // (8), then the reference to the counts (48) and `writer` (56); then `waiters` (64) and `block`
  // (88).
  alignas(cache_line) typename P::template atomic<u32> state_{idle};
  typename P::template data<u64> writers_;  // writers between enter and exit, under sync_lock_
  Spinlock<P> sync_lock_;
  typename P::template data<u64> grace_;           // ns that the last grace period took
  typename P::template atomic<u64> fast_from_{0};  // when readers may be fast again
  typename P::template atomic<u32> writer_{0};     // a writer sleeps here until the sum is zero
  alignas(line_size) Spinlock<P> wait_lock_;
  RwsemWaitList<P> queue_;
  typename P::template atomic<u32> block_{0};  // 1: a writer keeps readers out
  alignas(cache_line) typename P::template atomic<Count*> counts_[P::max_threads] = {};
  PerThread<P, RwsemParker<P>> parkers_;
  EventCounters<P, percpu_rwsem_event::count> counters_{percpu_rwsem_event::names};
};

}  // namespace faultline
