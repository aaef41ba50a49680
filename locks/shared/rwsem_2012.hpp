// Linux's reader-writer semaphore as of 2012 (lib/rwsem.c of v3.5 over x86's count), against which
// RadixVM was measured. A thread that does not get the lock at once queues and sleeps. No thread
// spins (spinning came with v3.16) and no writer steals (v3.9), so each handoff under contention is
// a sleep and a wake-up.
//
// The count has two halves. The lower half counts the active threads: holders, and threads that are
// trying. The upper half is the sum of -1 while the queue is not empty and -1 for each writer. So a
// reader's addition has failed where the sum is negative, and a writer's where the count was not 0.
// A thread that has failed takes its own part back under wait_lock_ as it queues. The last active
// thread that leaves wakes the head of the queue: one writer, or all readers up to the first
// writer. It counts them as active first, so the woken threads own the lock.
//
// Difference: downgrade is unlock and lock_shared. v3.5 can downgrade atomically, but munmap did
// not use that before v4.20, and zapped under the exclusive hold.
#pragma once

#include <array>
#include <cstddef>
#include <string>

#include "locks/events.hpp"
#include "locks/layout.hpp"
#include "locks/mutex/ticket.hpp"
#include "locks/promise.hpp"
#include "locks/shared/concept.hpp"
#include "locks/shared/rwsem_queue.hpp"

namespace faultline {

namespace rwsem_2012_event {
enum Event : usize { read_queued, write_queued, sleep, readers_woken, writers_woken, count };
inline constexpr std::array<const char*, count> names = {
    "rwsem_2012.readers_queued", "rwsem_2012.writers_queued", "rwsem_2012.sleeps",
    "rwsem_2012.woken_readers", "rwsem_2012.woken_writers"};
}  // namespace rwsem_2012_event

template <class P>
class Rwsem2012 {
 public:
  static constexpr bool atomic_downgrade = false;
  // While a thread is queued, `waiting` in the count sends all who come to the end of the queue,
  // and only its head is let in, with the readers that follow a reader.
  static constexpr Promise promise{.most_passes = 0, .since = "has queued"};

  Rwsem2012() {
    if constexpr (PlainCells<P>)
      static_assert(offsetof(Rwsem2012, count_) % line_size == 0 &&
                    line_of(offsetof(Rwsem2012, count_)) ==
                        line_of(offsetof(Rwsem2012, queue_) + sizeof(queue_) - 1));
  }

  void lock_shared() {
    // acquire: pairs with unlock's release.
    if (count_.fetch_add(active, std::memory_order_acquire) + active < 0) [[unlikely]]
      queue(false);
  }
  bool try_lock_shared() {
    i64 count = count_.load(std::memory_order_relaxed);  // relaxed: the exchange decides
    while (count >= 0)
      // acquire: as in lock_shared. relaxed on failure: the next turn decides.
      if (count_.compare_exchange_weak(count, count + active, std::memory_order_acquire,
                                       std::memory_order_relaxed))
        return true;
    return false;
  }
  void unlock_shared() {
    // release: pairs with the writers' acquire.
    const i64 left = count_.fetch_sub(active, std::memory_order_release) - active;
    if (left < 0 && (left & active_mask) == 0) [[unlikely]]
      wake_next();
  }

  void lock() {
    // acquire: pairs with both unlocks' release.
    if (count_.fetch_add(writer, std::memory_order_acquire) != 0) [[unlikely]]
      queue(true);
  }
  bool try_lock() {
    i64 expected = 0;
    // acquire: as in lock. relaxed on failure: nothing is read.
    return count_.compare_exchange_strong(expected, writer, std::memory_order_acquire,
                                          std::memory_order_relaxed);
  }
  void unlock() {
    // release: pairs with every acquire of count_.
    if (count_.fetch_sub(writer, std::memory_order_release) - writer < 0) [[unlikely]]
      wake_next();
  }
  void downgrade() {
    unlock();
    lock_shared();
  }

  void append_events(Events& events) const { counters_.append_to(events); }
  std::string describe() const {
    const i64 count = count_.load(std::memory_order_relaxed);  // relaxed: a racy report
    if (count == 0) return "free";
    return std::to_string(count & active_mask) + " active; it does not record which threads" +
           (count < 0 ? ", a writer or waiters" : "");
  }

 private:
  using Waiter = RwsemWaiter<P>;
  using Parker = RwsemParker<P>;
  using WakeList = RwsemWakeList<P>;

  static constexpr i64 active = 1, active_mask = (i64{1} << 32) - 1;
  static constexpr i64 waiting = -(i64{1} << 32);  // added once, while the queue is not empty
  static constexpr i64 writer = waiting + active;

  [[gnu::noinline]] void queue(bool is_writer) {
    WaitScope<P> scope(this, is_writer ? "rwsem_2012 to write" : "rwsem_2012 to read");
    counters_.add(is_writer ? rwsem_2012_event::write_queued : rwsem_2012_event::read_queued);
    Waiter waiter(is_writer, parkers_.here());
    typename Ticket<P>::Node node;
    wait_lock_.lock(node);
    const i64 back = is_writer ? -writer : -active;
    const i64 adjustment = back + (queue_.first() == nullptr ? waiting : 0);
    queue_.append(waiter);
    // release: gives the place back, as an unlock does.
    // weakened release survives, as_in_linux: the thread has done nothing in the place that it
    // gives back.
    const i64 count = count_.fetch_add(adjustment, std::memory_order_release) + adjustment;
    P::promised(promise, P::self());
    // If no thread is active any more, no other thread would wake the queue. If readers are active,
    // the readers in front of this writer may be let in too.
    if (count == waiting)
      wake_head(true);
    else if (count > waiting && is_writer && adjustment == back)
      wake_head(false);
    wait_lock_.unlock(node);
    sleep_until_granted(waiter);
  }

  void sleep_until_granted(Waiter& waiter) {
    auto& word = waiter.parker.load()->word;
    for (;;) {
      // acquire: pairs with the release in WakeList::wake. This load comes before the look at
      // `granted`.
      const u32 ticket = word.load(std::memory_order_acquire);
      if (waiter.granted()) return;
      counters_.add(rwsem_2012_event::sleep);
      P::wait(word, ticket, no_deadline);
    }
  }

  [[gnu::noinline]] void wake_next() {
    typename Ticket<P>::Node node;
    wait_lock_.lock(node);
    // If another thread has got in meanwhile, it will wake the queue in its turn. relaxed: a thread
    // is granted the lock under wait_lock_, by an acquire.
    if (queue_.first() != nullptr && (count_.load(std::memory_order_relaxed) & active_mask) == 0)
      wake_head(true);
    wait_lock_.unlock(node);
  }

  // Under wait_lock_; the queue is not empty. `writers`: the head may be let in even if it is a
  // writer. The wake-ups themselves also happen under wait_lock_, as in the kernel.
  void wake_head(bool writers) {
    WakeList woken;
    if (!queue_.first()->writer.load())
      grant_readers(woken);
    else if (writers)
      grant_writer(*queue_.first(), woken);
    woken.wake();
  }

  void grant_writer(Waiter& head, WakeList& woken) {
    const i64 adjustment = writer - (queue_.holds_only(head) ? waiting : 0);
    // A thread that is trying at this moment is active only until it queues behind and takes its
    // part back. If the other active thread is really in, this is not the time to wake the head.
    for (;;) {
      // acquire: pairs with the unlocks' release, on behalf of the writer.
      const i64 before = count_.fetch_add(adjustment, std::memory_order_acquire);
      if ((before & active_mask) == 0) break;
      // relaxed: the place was not used in between.
      const i64 after = count_.fetch_sub(adjustment, std::memory_order_relaxed) - adjustment;
      if ((after & active_mask) != 0) return;
    }
    counters_.add(rwsem_2012_event::writers_woken);
    queue_.remove(head);
    woken.add(*head.parker.load());
    head.grant();
  }

  // Grants the lock to all readers before the first writer, as many as one list of wake-ups holds.
  void grant_readers(WakeList& woken) {
    u64 number = 0;
    Waiter* end = queue_.first();
    for (; end != nullptr && !end->writer.load() && number < WakeList::capacity; ++number)
      end = end->next.load();
    i64 adjustment = static_cast<i64>(number) * active;
    if (end == nullptr) adjustment -= waiting;
    // acquire: pairs with unlock's release, on behalf of the readers.
    count_.fetch_add(adjustment, std::memory_order_acquire);
    counters_.add(rwsem_2012_event::readers_woken, number);
    for (; number != 0; --number) {
      Waiter& reader = *queue_.first();
      queue_.remove(reader);
      woken.add(*reader.parker.load());
      reader.grant();
    }
  }

  // All words share one line: rw_semaphore of v3.5 is count (0), wait_lock (8) and wait_list (16),
  // and mm_struct did not set mmap_sem apart.
  alignas(cache_line) typename P::template atomic<i64> count_{0};
  Ticket<P> wait_lock_;
  RwsemWaitList<P> queue_;
  PerThread<P, Parker> parkers_;
  EventCounters<P, rwsem_2012_event::count> counters_{rwsem_2012_event::names};
};

}  // namespace faultline
