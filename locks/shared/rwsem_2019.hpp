// Linux's reader-writer semaphore as of mid-2019 (kernel/locking/rwsem-xadd.c of v5.2), which the
// argument about mmap_sem was about.
//
// The count is that of rwsem_2012: its lower half counts the active threads (holders, and threads
// that are trying), and its upper half is the sum of -1 while the queue is not empty and -1 for
// each writer. One addition on each side is all that happens without contention. What had come
// since 2012:
//   owner   the writer. A reader marks the word, and no spinner waits for readers
//           (RWSEM_ANONYMOUSLY_OWNED)
//   spin    a writer that fails takes its part back and joins the queue of spinners. Its head spins
//           while the owning writer is running, and takes the lock once no thread is active, past
//           the queue. It gives up as soon as readers have the lock, however briefly
//   steal   a queued writer takes the lock itself after it is woken, wherever it stands in the
//           queue. It keeps no spinner off
//   wake    the head of the queue, if it is a writer, or the readers up to the first writer, which
//           are granted the lock. A waker that a writer overtakes takes its reader back
//
// How rwsem (5.3 and later) differs: bits for the writer, the waiters and the handoff in place of
// the sums; a handoff after 4 ms, where here a waiter may be passed for ever; spinning behind
// readers for up to 25 us; all queued readers are woken, past the writers between them; a reader
// may steal, where here a reader that finds waiters queues.
//
// Left out: a waker that finds a spinner only tries the lock of the queue, and leaves the wake-up
// to the spinner (59aabfc7e959, until 5.3). That rests on full barriers on both sides. A woken
// writer takes wait_lock before it looks at the count, where the kernel looks without it first. One
// wake-up grants the lock to at most 256 readers, where 5.2 has no limit.
#pragma once

#include <array>
#include <string>

#include "locks/events.hpp"
#include "locks/layout.hpp"
#include "locks/mutex/osq.hpp"
#include "locks/mutex/qspinlock.hpp"
#include "locks/promise.hpp"
#include "locks/shared/concept.hpp"
#include "locks/shared/rwsem.hpp"
#include "locks/shared/rwsem_owner.hpp"
#include "locks/shared/rwsem_queue.hpp"

namespace faultline {

namespace rwsem_2019_event {
enum Event : usize {
  read_queued,
  write_slow,
  write_spun,
  write_queued,
  osq_left,
  sleep,
  readers_woken,
  writers_woken,
  wake_undone,
  count
};
inline constexpr std::array<const char*, count> names = {
    "rwsem_2019.queued_readers", "rwsem_2019.slow_writers",  "rwsem_2019.write_spin_acquired",
    "rwsem_2019.queued_writers", "rwsem_2019.osq_left",      "rwsem_2019.sleeps",
    "rwsem_2019.woken_readers",  "rwsem_2019.woken_writers", "rwsem_2019.wake_undone"};
}  // namespace rwsem_2019_event

// `Spinlock`, a mutex, guards the queue. The words lie as those of rwsem do: since 5.2 the owner
// comes right behind the count ("Optimize rwsem structure for uncontended lock acquisition"), and
// until 2020 a line of mm_struct ended between the two (RwsemLines).
template <class P, template <class> class Spinlock = Qspinlock>
class Rwsem2019 : RwsemLines<P, Spinlock<P>, Layout::linux_6_18> {
 public:
  static constexpr bool atomic_downgrade = true;
  // Spinners and other queued writers may pass a waiter as often as they come in time.
  static constexpr Promise promise = no_promise;

  Rwsem2019() {
    if constexpr (PlainCells<P>) static_assert(Lines::lines_hold());
    label();
  }

  // Names each word. A caller that names the lock as a whole calls this again afterwards.
  void label() {
    P::label(&this->map_count_, "mm.map_count");
    P::label(&count_, "rwsem.count");
    P::label(&owner_, "rwsem.owner");
    P::label(&osq_, "rwsem.osq");
    P::label(&wait_lock_, "rwsem.wait_lock");
    P::label(&queue_, "rwsem.wait_list");
  }

  void lock_shared() {
    // acquire: pairs with unlock's and downgrade's release.
    if (as_signed(count_.fetch_add(active, std::memory_order_acquire)) + 1 > 0) [[likely]]
      set_reader_owned(P::self());
    else
      queue_reader();
  }
  bool try_lock_shared() {
    u64 count = count_.load(std::memory_order_relaxed);  // relaxed: the exchange decides
    while (as_signed(count) >= 0)
      // acquire: as in lock_shared. relaxed on failure: the next turn decides.
      if (count_.compare_exchange_weak(count, count + active, std::memory_order_acquire,
                                       std::memory_order_relaxed)) {
        set_reader_owned(P::self());
        return true;
      }
    return false;
  }
  void unlock_shared() {
    // release: pairs with the writers' acquire.
    const u64 left = count_.fetch_sub(active, std::memory_order_release) - active;
    if (as_signed(left) < 0 && (left & active_mask) == 0) [[unlikely]]
      wake_waiters(WakeType::any);
  }

  void lock() {
    // acquire: pairs with both unlocks' release.
    if (count_.fetch_add(writer, std::memory_order_acquire) != 0) [[unlikely]]
      lock_slow();
    owner_.set_writer();
  }
  bool try_lock() {
    u64 expected = 0;
    // acquire: as in lock. relaxed on failure: nothing is read.
    if (!count_.compare_exchange_strong(expected, writer, std::memory_order_acquire,
                                        std::memory_order_relaxed))
      return false;
    owner_.set_writer();
    return true;
  }
  void unlock() {
    owner_.clear();
    // release: pairs with every acquire of count_.
    if (as_signed(count_.fetch_sub(writer, std::memory_order_release) - writer) < 0) [[unlikely]]
      wake_waiters(WakeType::any);
  }
  void downgrade() {
    // release: what was written under the lock is seen by the readers that come in.
    const u64 left = count_.fetch_sub(waiting, std::memory_order_release) - waiting;
    set_reader_owned(P::self());
    if (as_signed(left) < 0) [[unlikely]]
      wake_waiters(WakeType::read_owned);
  }

  // The field of mm_struct on the line of `count`, for the address space that the lock protects.
  auto* map_count() { return &this->map_count_; }

  // Asks for the line of `count` for writing (PrefetchedRwsem).
  void prefetch() const { P::prefetch_write(&count_); }

  void append_events(Events& events) const { counters_.append_to(events); }
  std::string describe() const {
    // relaxed: a racy report.
    const u64 count = count_.load(std::memory_order_relaxed);
    const u64 owner = owner_.load();
    if (count == 0) return "free";
    std::string text = std::to_string(count & active_mask) + " active";
    if (Owner::state_of(owner, 0) == RwsemOwnerState::writer)
      text += ", writer: thread " + std::to_string(Owner::thread_of(owner));
    return text + (as_signed(count) < 0 ? ", a writer or waiters" : "");
  }

 private:
  using Waiter = RwsemWaiter<P>;
  using WakeList = RwsemWakeList<P>;
  using Owner = RwsemOwner<P>;
  using Lines = RwsemLines<P, Spinlock<P>, Layout::linux_6_18>;
  using Lines::count_, Lines::owner_, Lines::osq_, Lines::wait_lock_, Lines::queue_;
  using Lines::spinners_;
  using SpinNode = typename Spinlock<P>::Node;

  // The count is a signed number in the kernel. RWSEM_ACTIVE_BIAS, RWSEM_WAITING_BIAS and
  // RWSEM_ACTIVE_WRITE_BIAS there.
  static constexpr u64 active = 1, active_mask = (u64{1} << 32) - 1;
  static constexpr u64 waiting = ~active_mask;  // -2^32
  static constexpr u64 writer = waiting + active;
  static constexpr i64 as_signed(u64 count) { return static_cast<i64>(count); }
  static constexpr i64 only_waiters = static_cast<i64>(waiting);

  enum class WakeType : int { any, readers, read_owned };

  void set_reader_owned(u32 thread) { owner_.set_reader(thread, 0); }

  // ---- readers

  // rwsem_down_read_failed() in the kernel.
  [[gnu::noinline]] void queue_reader() {
    Waiter waiter(false, parkers_.here());
    WakeList woken;
    SpinNode node;
    wait_lock_.lock(node);
    const bool first = queue_.first() == nullptr;
    // acquire: as in lock_shared. The writer that stood in the way has left, and no thread is
    // queued, so the reader keeps the place that it counted on arrival.
    if (first && as_signed(count_.load(std::memory_order_acquire)) >= 0) {
      wait_lock_.unlock(node);
      set_reader_owned(P::self());
      return;
    }
    counters_.add(rwsem_2019_event::read_queued);
    queue_.append(waiter);
    const u64 adjustment = (first ? waiting : 0) - active;
    // relaxed: this reader never used the place that it gives back; wait_lock_ orders the queue.
    const i64 count =
        as_signed(count_.fetch_add(adjustment, std::memory_order_relaxed) + adjustment);
    // No thread is active any more, or readers are and this one is the head of the queue.
    if (count == only_waiters || (count > only_waiters && first)) mark_wake(WakeType::any, woken);
    wait_lock_.unlock(node);
    woken.wake();
    sleep_until_granted(waiter);
  }

  void sleep_until_granted(Waiter& waiter) {
    WaitScope<P> scope(this, "rwsem_2019 to read");
    auto& word = waiter.parker.load()->word;
    for (;;) {
      // acquire: pairs with the release in WakeList::wake. This load comes before the look at
      // `granted`.
      const u32 ticket = word.load(std::memory_order_acquire);
      if (waiter.granted()) return;
      counters_.add(rwsem_2019_event::sleep);
      P::wait(word, ticket, no_deadline);
    }
  }

  // ---- writers

  // rwsem_down_write_failed() in the kernel.
  [[gnu::noinline]] void lock_slow() {
    WaitScope<P> scope(this, "rwsem_2019 to write");
    counters_.add(rwsem_2019_event::write_slow);
    // relaxed: this writer never had the place that it gives back. Whoever wakes the queue in its
    // stead: this writer takes the lock, or looks at the count once it is queued.
    count_.fetch_sub(writer, std::memory_order_relaxed);
    if (can_spin() && spin()) {
      counters_.add(rwsem_2019_event::write_spun);
      return;
    }
    counters_.add(rwsem_2019_event::write_queued);
    queue_writer();
  }

  void queue_writer() {
    Waiter waiter(true, parkers_.here());
    auto& word = waiter.parker.load()->word;
    WakeList woken;
    SpinNode node;
    wait_lock_.lock(node);
    const bool first = queue_.first() == nullptr;
    queue_.append(waiter);
    if (first)
      count_.fetch_add(waiting, std::memory_order_relaxed);  // relaxed: wait_lock_ orders
    else if (as_signed(count_.load(std::memory_order_relaxed)) > only_waiters)  // relaxed: as above
      // Readers have the lock. The readers ahead of this writer may come in too.
      mark_wake(WakeType::readers, woken);
    woken.wake();
    for (;;) {
      // relaxed: wait_lock_ orders. A waker has held wait_lock_ before it wakes. If this load sees
      // the wake-up, this thread also sees the reason for it. If not, the wake-up changes the word
      // before the sleep, which then ends at once.
      const u32 ticket = word.load(std::memory_order_relaxed);
      if (try_lock_queued(waiter)) break;
      wait_lock_.unlock(node);
      counters_.add(rwsem_2019_event::sleep);
      P::wait(word, ticket, no_deadline);
      wait_lock_.lock(node);
    }
    queue_.remove(waiter);
    wait_lock_.unlock(node);
  }

  // rwsem_try_write_lock() in the kernel. Under wait_lock_.
  bool try_lock_queued(Waiter& waiter) {
    u64 expected = waiting;
    const u64 fresh = queue_.holds_only(waiter) ? writer : writer + waiting;
    // relaxed: the exchange decides. acquire: as in lock. relaxed on failure: nothing is read.
    return count_.load(std::memory_order_relaxed) == waiting &&
           count_.compare_exchange_strong(expected, fresh, std::memory_order_acquire,
                                          std::memory_order_relaxed);
  }

  // ---- optimistic spinning

  // rwsem_can_spin_on_owner() in the kernel.
  bool can_spin() const {
    const u64 owner = owner_.load();
    const RwsemOwnerState state = Owner::state_of(owner, 0);
    return state == RwsemOwnerState::none ||
           (state == RwsemOwnerState::writer && P::running(Owner::thread_of(owner)));
  }

  // rwsem_optimistic_spin() in the kernel.
  bool spin() {
    if (osq_.enter(spinners_) == OsqEntry::left) {
      counters_.add(rwsem_2019_event::osq_left);
      return false;
    }
    bool taken = false;
    const u64 limit = P::now() + OsqTail<P>::patience;
    for (u32 turn = 1; owner_leaves(limit); ++turn) {
      taken = try_lock_unqueued();
      if (taken || (turn % 64 == 0 && P::now() > limit)) break;
      P::pause(this);
    }
    osq_.exit(spinners_);
    return taken;
  }

  // rwsem_spin_on_owner() in the kernel. False: readers have the lock, the owner is not running, or
  // the time is over.
  bool owner_leaves(u64 limit) const {
    const u64 owner = owner_.load();
    if (Owner::state_of(owner, 0) == RwsemOwnerState::reader) return false;
    if (owner == 0) return true;
    for (u32 turn = 1; owner_.load() == owner; ++turn) {
      if (!P::running(Owner::thread_of(owner))) return false;
      if (turn % 64 == 0 && P::now() > limit) return false;
      P::pause(this);
    }
    return Owner::state_of(owner_.load(), 0) != RwsemOwnerState::reader;
  }

  // rwsem_try_write_lock_unqueued() in the kernel.
  bool try_lock_unqueued() {
    u64 count = count_.load(std::memory_order_relaxed);  // relaxed: the exchange decides
    while (count == 0 || count == waiting)
      // acquire: as in lock. relaxed on failure: the next turn decides.
      if (count_.compare_exchange_weak(count, count + writer, std::memory_order_acquire,
                                       std::memory_order_relaxed)) {
        // Spinners behind this one see the owner before it leaves their queue.
        owner_.set_writer();
        return true;
      }
    return false;
  }

  // ---- waking

  [[gnu::noinline]] void wake_waiters(WakeType type) {
    WakeList woken;
    SpinNode node;
    wait_lock_.lock(node);
    if (queue_.first() != nullptr) mark_wake(type, woken);
    wait_lock_.unlock(node);
    woken.wake();
  }

  // __rwsem_mark_wake() in the kernel. Under wait_lock_; the queue is not empty.
  void mark_wake(WakeType type, WakeList& woken) {
    Waiter& head = *queue_.first();
    if (head.writer.load()) {
      // The writer stays queued and competes. A lock that readers hold is of no use to it.
      if (type != WakeType::any) return;
      counters_.add(rwsem_2019_event::writers_woken);
      woken.add(*head.parker.load());
      return;
    }
    const bool counted = type != WakeType::read_owned;
    if (counted && !count_first_reader(head)) return;
    grant_readers(counted ? 1 : 0, woken);
  }

  // False: a writer was quicker, and its unlock will wake the queue.
  bool count_first_reader(Waiter& head) {
    // acquire: pairs with the release of the writer before, on behalf of the readers that are
    // granted the lock.
    while (as_signed(count_.fetch_add(active, std::memory_order_acquire)) < only_waiters) {
      counters_.add(rwsem_2019_event::wake_undone);
      // relaxed: the place was not used in between.
      const u64 left = count_.fetch_sub(active, std::memory_order_relaxed) - active;
      // A writer that only tried has taken its part back. The kernel tries again here. This thread
      // would see to the queue in any case.
      if (as_signed(left) < only_waiters) return false;
    }
    set_reader_owned(head.thread.load());
    return true;
  }

  // Grants the lock to all readers before the first writer, as many as one list of wake-ups holds.
  void grant_readers(u64 counted, WakeList& woken) {
    u64 number = 0;
    Waiter* end = queue_.first();
    for (; end != nullptr && !end->writer.load() && number < WakeList::capacity; ++number)
      end = end->next.load();
    u64 adjustment = (number - counted) * active;
    if (end == nullptr) adjustment -= waiting;
    count_.fetch_add(adjustment, std::memory_order_relaxed);  // relaxed: the grants publish
    counters_.add(rwsem_2019_event::readers_woken, number);
    for (; number != 0; --number) {
      Waiter& reader = *queue_.first();
      queue_.remove(reader);
      woken.add(*reader.parker.load());
      reader.grant();
    }
  }

  PerThread<P, RwsemParker<P>> parkers_;
  EventCounters<P, rwsem_2019_event::count> counters_{rwsem_2019_event::names};
};

}  // namespace faultline
