// Linux's reader-writer semaphore as it is today (kernel/locking/rwsem.c since 5.3, as changed up
// to 6.x), in user space.
//
//   count  bit 0 writer (RWSEM_WRITER_LOCKED), bit 1 waiters (RWSEM_FLAG_WAITERS), bit 2 handoff
//          (RWSEM_FLAG_HANDOFF), bits 8-62 readers (RWSEM_READER_BIAS is 256), bit 63 guards
//          against too many readers (RWSEM_FLAG_READFAIL)
//   owner  the writer, or the reader that came last; bit 0 RWSEM_READER_OWNED (a hint), bit 1
//          RWSEM_NONSPINNABLE
//
//   read       add a reader (RWSEM_READER_BIAS); done if there is no writer, waiter or handoff.
//              Else, unless readers already hold the lock (a stream of readers must not starve
//              writers), keep the place if there is no writer and no handoff: rwsem_rlock_steal.
//              Else give the place back and queue.
//   write      0 -> 1. Else spin, one spinner at a time (Osq), while the owning writer is running,
//              or for a limited time while readers own the lock. The spinner takes the lock as soon
//              as it is free: rwsem_opt_lock. Else queue, and try again after each wake-up.
//   handoff    a waiter that has been queued for 4 ms (RWSEM_WAIT_TIMEOUT) and fails again sets the
//              bit: rwsem_rlock_handoff, rwsem_wlock_handoff. Spinners and stealers then keep off,
//              and the first waiter, which is marked (handoff_set), gets the lock.
//   wake       rwsem_mark_wake. A writer at the head of the queue is woken to compete
//              (rwsem_wake_writer). A reader at the head brings in up to 256 readers
//              (MAX_READERS_WAKEUP) of the whole queue, which are granted the lock before they are
//              woken (rwsem_wake_reader). The waker counts one reader beforehand, and takes that
//              back if a writer was quicker.
//   downgrade  one addition turns the writer into a reader; queued readers are woken.
//
// `reader_spin` is the rwsem of 5.3 to 5.10 (as read in 5.4.286), without reader steal. A reader
// that does not get the lock gives its place back and joins the spinners while the owning writer is
// running. It takes the lock, past the queue, as soon as there is no writer and no handoff
// (rwsem_opt_rlock), and brings in the readers at the head of the queue. One that gives up takes
// the lock all the same if a phase of readers has begun meanwhile (rwsem_opt_rlock2). A writer that
// has spun on readers for too long forbids spinning to both: to writers until the readers are gone,
// to readers until a writer has come in (RWSEM_RD_NONSPINNABLE). That waiters carry this bit over
// to the next phase (last_rowner, disable_rspin) is left out. A reader that hid a free lock from
// the queue while it was counted wakes the queue. In the kernel, a waiter that has demanded the
// lock then sleeps on until that reader's time slice is over. Commit 617f3ef95177 removed all of it
// in favour of reader steal (1a728dff855a).
//
// `phase_change` is no part of the kernel. It is the remedy that its list discussed in May 2026 for
// writers whom stealing readers keep out until their handoff ("locking/rwsem: Remove reader
// optimistic lock stealing", and the answers to it), written from the description alone.
// Readers steal while no writer is queued (bit 3 of the count). From then on they queue. A writer
// that unlocks or downgrades lets the queued readers in, up to 256. Its unlock turns its hold into
// theirs by one addition, so no spinner or stealer comes in between. The last of them wakes the
// next writer. A handoff that is demanded comes before the phase. Spinning writers are not queued:
// readers steal past them, and they may take the lock where no phase of readers is due.
//
// How user space differs from the kernel:
// - P::running replaces "the owner is on a CPU" (owner_on_cpu). harness/native/platform.hpp says
//   what that loses.
// - need_resched has no counterpart. A writer spins no longer than Osq's patience, about a tick.
// - The kernel disables preemption while a thread holds wait_lock and while it spins. A thread that
//   is preempted here with wait_lock_ held delays all threads that need it until it runs again. A
//   preempted head spinner delays the other spinners until their patience ends.
#pragma once

#include <cstddef>
#include <string>

#include "locks/events.hpp"
#include "locks/layout.hpp"
#include "locks/mutex/osq.hpp"
#include "locks/mutex/qspinlock.hpp"
#include "locks/per_thread.hpp"
#include "locks/promise.hpp"
#include "locks/shared/concept.hpp"
#include "locks/shared/rwsem_events.hpp"
#include "locks/shared/rwsem_owner.hpp"
#include "locks/shared/rwsem_queue.hpp"

namespace faultline {

// Ablations, which show what each part of the algorithm is worth, and the layout of its words.
struct RwsemPolicy {
  bool osq = true;           // spinners queue; without it all spin on the lock itself
  bool reader_steal = true;  // readers may take a free lock past the queue
  bool writer_steal = true;  // writers, spinners among them, may too
  bool handoff = true;       // a waiter may demand the lock after 4 ms
  bool reader_spin = false;  // readers spin as writers do; goes without reader_steal
  // Readers steal only while no writer is queued, and queued readers follow a writer as one phase.
  bool phase_change = false;
  Layout layout = Layout::linux_6_18;
};

// linux-6.18: `count` lies on one line; owner, osq, wait_lock and wait list lie on the next.
// mm_struct has this layout on purpose: its comment (include/linux/mm_types.h) says that both count
// and owner are accessed often when mmap_lock is contended. Commit 57efa1fe5957 moved all of
// mmap_lock onto one line by accident, which cost the test mmap1 of will-it-scale 9.2 % on one
// machine and gained 3.7 % on another. Commit 2e3025434a6b moved it back in 2021. Of the fields
// before count on its line, map_count is modelled: each map and unmap writes it, so the thread that
// takes the lock has that line already. The two lines are one aligned pair here; in the kernel that
// depends on where the slab places the mm_struct. Fields that a scheme declares behind its rwsem
// may take the rest of the second line (BehindMmapLock).
template <class P, class Spinlock, Layout layout>
struct RwsemLines {
  OsqNodes<P> spinners_;
  alignas(cache_line) typename P::template data<u64> map_count_;
  typename P::template atomic<u64> count_{0};
  alignas(line_size) RwsemOwner<P> owner_;
  OsqTail<P> osq_;
  Spinlock wait_lock_;
  RwsemWaitList<P> queue_;

  static constexpr bool lines_hold() {
    const usize first = offsetof(RwsemLines, map_count_), owner = offsetof(RwsemLines, owner_);
    return line_of(offsetof(RwsemLines, count_)) == line_of(first) && owner == first + line_size &&
           line_of(owner) == line_of(offsetof(RwsemLines, queue_) + sizeof(queue_) - 1) &&
           sizeof(RwsemLines) == first + cache_line;
  }
};

// packed: all words, and the pointers to the first two threads' OSQ nodes, share one line. Where
// commit 57efa1fe5957 had moved mmap_lock, map_count was left on the line before it.
template <class P, class Spinlock>
struct RwsemLines<P, Spinlock, Layout::packed> {
  alignas(cache_line) typename P::template atomic<u64> count_{0};
  RwsemOwner<P> owner_;
  Spinlock wait_lock_;
  RwsemWaitList<P> queue_;
  OsqTail<P> osq_;
  OsqNodes<P> spinners_;

  static constexpr bool lines_hold() {
    return offsetof(RwsemLines, count_) == 0 && offsetof(RwsemLines, spinners_) < line_size;
  }
};

// The members that only slow paths use.
template <class P, bool phase_change>
struct RwsemSlowPath {
  PerThread<P, RwsemParker<P>> parkers_;
  EventCounters<P, rwsem_event::count> counters_{rwsem_event::names};
};
template <class P>
struct RwsemSlowPath<P, true> : RwsemSlowPath<P, false> {
  typename P::template data<u64> queued_writers_;  // under wait_lock_
};

// `Spinlock`, a mutex (locks/mutex/concept.hpp), guards the queue. No thread holds it over a sleep.
template <class P, RwsemPolicy policy = RwsemPolicy{}, template <class> class Spinlock = Qspinlock>
class Rwsem : RwsemSlowPath<P, policy.phase_change>, RwsemLines<P, Spinlock<P>, policy.layout> {
 public:
  static constexpr bool atomic_downgrade = true;
  // A waiter may be passed for 4 ms (RWSEM_WAIT_TIMEOUT), by stealers and spinners, as often as
  // time allows. If it then fails again at the head of the queue, it demands a handoff, which keeps
  // all others off: a waiter of lower place has to become the head first.
  static constexpr Promise promise =
      policy.handoff ? Promise{.most_passes = 0, .since = "has a handoff demanded for it"}
                     : no_promise;

  Rwsem() {
    if constexpr (PlainCells<P>) static_assert(Lines::lines_hold());
    label();
  }

  // Names each word. A caller that names the lock as a whole calls this again afterwards.
  void label() {
    if constexpr (requires { this->map_count_; }) P::label(&this->map_count_, "mm.map_count");
    P::label(&count_, "rwsem.count");
    P::label(&owner_, "rwsem.owner");
    P::label(&osq_, "rwsem.osq");
    P::label(&wait_lock_, "rwsem.wait_lock");
    P::label(&queue_, "rwsem.wait_list");
  }

  void lock_shared() {
    // acquire: pairs with unlock's and downgrade's release.
    const u64 old = count_.fetch_add(reader_bias, std::memory_order_acquire);
    if ((old & read_failed_mask) == 0) [[likely]]
      set_reader_owned(P::self());
    else
      lock_shared_slow(old + reader_bias);
  }

  bool try_lock_shared() {
    u64 count = count_.load(std::memory_order_relaxed);  // relaxed: the exchange decides
    while ((count & read_failed_mask) == 0)
      // acquire: as in lock_shared. relaxed on failure: the next turn decides.
      if (count_.compare_exchange_weak(count, count + reader_bias, std::memory_order_acquire,
                                       std::memory_order_relaxed)) {
        set_reader_owned(P::self());
        return true;
      }
    return false;
  }

  void unlock_shared() {
    // release: pairs with the writers' acquire.
    const u64 old = count_.fetch_sub(reader_bias, std::memory_order_release);
    // This was the last reader, and threads are waiting.
    if ((old & (lock_mask | waiters_bit)) == (reader_bias | waiters_bit)) [[unlikely]] {
      owner_.allow_spinning();
      wake_waiters(WakeType::any);
    }
  }

  void lock() {
    if (!try_lock()) lock_slow();
  }

  bool try_lock() {
    u64 expected = 0;
    // acquire: pairs with unlock's and unlock_shared's release. relaxed on failure: nothing is
    // read.
    if (!count_.compare_exchange_strong(expected, writer_bit, std::memory_order_acquire,
                                        std::memory_order_relaxed))
      return false;
    owner_.set_writer();
    return true;
  }

  void unlock() {
    owner_.clear();
    if constexpr (policy.phase_change) {
      u64 alone = writer_bit;
      // release: pairs with every acquire of count_. relaxed on failure: nothing is read.
      if (!count_.compare_exchange_strong(alone, 0, std::memory_order_release,
                                          std::memory_order_relaxed)) [[unlikely]]
        end_writer_phase();
      return;
    }
    // release: pairs with every acquire of count_.
    if ((count_.fetch_sub(writer_bit, std::memory_order_release) & waiters_bit) != 0) [[unlikely]]
      wake_waiters(WakeType::any);
  }

  void downgrade() {
    // release: what was written under the lock is seen by the readers that come in.
    const u64 old = count_.fetch_add(reader_bias - writer_bit, std::memory_order_release);
    set_reader_owned(P::self());
    if ((old & waiters_bit) != 0) [[unlikely]] {
      counters_.add(rwsem_event::downgrade_wake);
      wake_waiters(WakeType::read_owned);
    }
  }

  // The field of mm_struct on the line of `count`, for the address space that the lock protects.
  auto* map_count() requires(policy.layout == Layout::linux_6_18) { return &this->map_count_; }

  // Asks for the line of `count` for writing (PrefetchedRwsem).
  void prefetch() const { P::prefetch_write(&count_); }

  void append_events(Events& events) const { counters_.append_to(events); }

  std::string describe() const {
    // relaxed: a racy report.
    const u64 count = count_.load(std::memory_order_relaxed);
    const u64 owner = owner_.load();
    const std::string thread =
        Owner::has_thread(owner) ? "thread " + std::to_string(Owner::thread_of(owner)) : "unknown";
    std::string text = "free";
    if ((count & writer_bit) != 0)
      text = "writer: " + thread;
    else if (readers(count) != 0)
      text = std::to_string(readers(count)) + " reader(s), the last of them " + thread;
    if ((count & waiters_bit) != 0) text += ", waiters queued";
    if ((count & handoff_bit) != 0) text += ", handoff demanded";
    return text;
  }

 private:
  using Waiter = RwsemWaiter<P>;
  using Parker = RwsemParker<P>;
  using WakeList = RwsemWakeList<P>;
  using Owner = RwsemOwner<P>;
  using OwnerState = RwsemOwnerState;
  using Lines = RwsemLines<P, Spinlock<P>, policy.layout>;
  using Lines::count_, Lines::owner_, Lines::osq_, Lines::wait_lock_, Lines::queue_;
  using Lines::spinners_;
  using SlowPath = RwsemSlowPath<P, policy.phase_change>;
  using SlowPath::parkers_, SlowPath::counters_;

  static constexpr u64 writer_bit = 1, waiters_bit = 2, handoff_bit = 4, reader_bias = 256;
  static constexpr u64 queued_writer_bit = 8;  // with phase_change alone
  static constexpr u64 guard_bit = u64{1} << 63;
  static constexpr u64 readers_mask = ~u64{255} & ~guard_bit;
  // RWSEM_LOCK_MASK and RWSEM_READ_FAILED_MASK in the kernel.
  static constexpr u64 lock_mask = writer_bit | readers_mask;
  static constexpr u64 read_failed_mask = writer_bit | waiters_bit | handoff_bit | guard_bit;

  // RWSEM_WAKE_ANY, RWSEM_WAKE_READERS and RWSEM_WAKE_READ_OWNED in the kernel.
  enum class WakeType : int { any, readers, read_owned };

  class WaitLocked {
   public:
    explicit WaitLocked(Rwsem& rwsem) : rwsem_(rwsem) { lock(); }
    ~WaitLocked() {
      if (held_) unlock();
    }
    WaitLocked(const WaitLocked&) = delete;
    WaitLocked& operator=(const WaitLocked&) = delete;
    void lock() {
      rwsem_.wait_lock_.lock(node_);
      held_ = true;
    }
    void unlock() {
      held_ = false;
      rwsem_.wait_lock_.unlock(node_);
    }

   private:
    Rwsem& rwsem_;
    typename Spinlock<P>::Node node_;
    bool held_ = false;
  };

  static u64 readers(u64 count) { return (count & readers_mask) / reader_bias; }

  // ---- readers

  // rwsem_down_read_slowpath() in the kernel. `count` includes this reader.
  [[gnu::noinline]] void lock_shared_slow(u64 count) {
    counters_.add(rwsem_event::read_slow);
    if constexpr (policy.reader_spin) return spin_or_queue_reader();
    if (policy.reader_steal && !is_kept_off(count) &&
        (count & (writer_bit | handoff_bit | guard_bit)) == 0) {
      counters_.add(rwsem_event::reader_steal);
      set_reader_owned(P::self());
      // The first reader of a phase brings the queued readers with it.
      if (readers(count) == 1 && (count & waiters_bit) != 0) wake_waiters(WakeType::read_owned);
      return;
    }
    queue_reader(true);
  }

  // rwsem_down_read_slowpath() of Linux 5.4.
  void spin_or_queue_reader() {
    static_assert(!policy.reader_spin || !policy.reader_steal);
    const u64 owner = owner_.load();
    if (!can_spin<true>()) return queue_reader(true);
    WaitScope<P> waiting(this, "rwsem to read");
    give_back();
    if (spin<true>()) {
      counters_.add(rwsem_event::read_spun);
      // relaxed: a queued reader that this load misses is woken by the last reader's unlock.
      if ((count_.load(std::memory_order_relaxed) & waiters_bit) != 0)
        wake_waiters(WakeType::read_owned);
    } else if (!enter_phase(owner)) {
      queue_reader(false);
    }
  }

  // rwsem_reader_phase_trylock() in the kernel: readers have come in since `before` was the owner.
  bool enter_phase(u64 before) {
    const u64 owner = owner_.load();
    if (Owner::state_of(owner, 0) != OwnerState::reader) return false;
    if (Owner::state_of(before, 0) == OwnerState::reader &&
        Owner::thread_of(owner) == Owner::thread_of(before))
      return false;
    return try_lock_shared_unqueued();
  }

  // rwsem_try_read_lock_unqueued() in the kernel.
  bool try_lock_shared_unqueued() {
    constexpr u64 blocked = writer_bit | handoff_bit | guard_bit;
    // relaxed: the addition decides.
    if ((count_.load(std::memory_order_relaxed) & blocked) != 0) return false;
    // acquire: as in lock_shared.
    if ((count_.fetch_add(reader_bias, std::memory_order_acquire) & blocked) == 0) {
      set_reader_owned(P::self());
      return true;
    }
    give_back();
    return false;
  }

  // The place of a reader that did not get the lock. It may have hidden a free lock from those who
  // queue.
  void give_back() {
    // relaxed: the place was not used.
    const u64 left = count_.fetch_sub(reader_bias, std::memory_order_relaxed) - reader_bias;
    if ((left & (lock_mask | waiters_bit)) == waiters_bit) [[unlikely]]
      wake_waiters(WakeType::any);
  }

  // `thread` is a reader. The bits that forbid spinning stay: today both, in Linux 5.4 the
  // readers'.
  void set_reader_owned(u32 thread) {
    owner_.set_reader(thread,
                      policy.reader_spin ? Owner::readers_nonspinnable : Owner::nonspinnable);
  }

  // Whether a reader leaves even a lock without a writer to those who queue.
  bool is_kept_off(u64 count) const {
    if constexpr (policy.phase_change) return (count & queued_writer_bit) != 0;
    return owner_.held_by_readers() && readers(count) > 1 && (count & writer_bit) == 0;
  }

  // `counted`: the reader has kept the place that it counted on arrival.
  void queue_reader(bool counted) {
    Waiter waiter(false, parkers_.here());
    WakeList woken;
    {
      WaitLocked locked(*this);
      u64 adjustment = counted ? ~reader_bias + 1 : 0;
      if (queue_.first() == nullptr) {
        // No thread is queued and no writer is in, so the reader keeps the place that it counted on
        // arrival (rwsem_rlock_fast). acquire: as in lock_shared.
        if (counted && (count_.load(std::memory_order_acquire) & (writer_bit | guard_bit)) == 0) {
          locked.unlock();
          set_reader_owned(P::self());
          return;
        }
        adjustment += waiters_bit;
      }
      counters_.add(rwsem_event::reader_queued);
      queue_.append(waiter);
      // relaxed: this reader never used the place that it gives back; wait_lock_ orders the queue.
      const u64 count = count_.fetch_add(adjustment, std::memory_order_relaxed) + adjustment;
      wake_if_free(count, woken);
    }
    woken.wake();
    sleep_until_granted(waiter);
  }

  void sleep_until_granted(Waiter& waiter) {
    WaitScope<P> waiting(this, "rwsem to read");
    auto& word = waiter.parker.load()->word;
    for (;;) {
      // acquire: pairs with the release in WakeList::wake. This load comes before the look at
      // `granted`.
      const u32 ticket = word.load(std::memory_order_acquire);
      if (waiter.granted()) return;
      counters_.add(rwsem_event::sleep);
      P::wait(word, ticket, no_deadline);
    }
  }

  // ---- writers

  // rwsem_down_write_slowpath() in the kernel.
  [[gnu::noinline]] void lock_slow() {
    counters_.add(rwsem_event::write_slow);
    WaitScope<P> waiting(this, "rwsem to write");
    if (can_spin() && spin()) {
      counters_.add(rwsem_event::write_spun);
      return;
    }
    counters_.add(rwsem_event::writer_queued);
    queue_writer();
  }

  void queue_writer() {
    Waiter waiter(true, parkers_.here());
    auto& word = waiter.parker.load()->word;
    WakeList woken;
    WaitLocked locked(*this);
    queue_.append(waiter);
    if constexpr (policy.phase_change) announce_writer();
    if (queue_.first() == &waiter) {
      count_.fetch_or(waiters_bit, std::memory_order_relaxed);  // relaxed: wait_lock_ orders
    } else {
      wake_if_free(count_.load(std::memory_order_relaxed), woken);  // relaxed: as above
      if (!woken.empty()) {
        locked.unlock();
        woken.wake();
        locked.lock();
      }
    }
    for (;;) {
      // relaxed: wait_lock_ orders. A waker has held wait_lock_ before it wakes. If this load sees
      // the wake-up, this thread also sees the reason for it. If not, the wake-up changes the word
      // before the sleep, which then ends at once.
      const u32 ticket = word.load(std::memory_order_relaxed);
      if (try_lock_queued(waiter)) break;
      locked.unlock();
      // A marked waiter is handed the lock soon, so spinning for it may be quicker than a sleep.
      if (waiter.marked() && spin_on_owner(P::now() + OsqTail<P>::patience) == OwnerState::none) {
        P::pause(this);  // a reader may be counted that has not stored the owner word yet
      } else {
        counters_.add(rwsem_event::sleep);
        P::wait(word, ticket, no_deadline);
      }
      locked.lock();
    }
    if (waiter.marked()) counters_.add(rwsem_event::handoff_taken);
  }

  // rwsem_try_write_lock() in the kernel. Under wait_lock_. On success the waiter has left the
  // queue.
  bool try_lock_queued(Waiter& waiter) {
    Waiter& first = *queue_.first();
    if (!policy.writer_steal && &first != &waiter) return false;
    u64 count = count_.load(std::memory_order_relaxed);  // relaxed: the exchange decides
    u64 fresh;
    do {
      const bool demanded = (count & handoff_bit) != 0;
      if (demanded && first.marked() && &first != &waiter) return false;
      fresh = count;
      if ((count & lock_mask) != 0) {
        if (!policy.handoff || demanded || P::now() <= waiter.deadline.load()) return false;
        fresh |= handoff_bit;
      } else {
        fresh = (fresh | writer_bit) & ~handoff_bit;
        if (queue_.holds_only(waiter)) fresh &= ~waiters_bit;
        if constexpr (policy.phase_change)
          if (this->queued_writers_.load() == 1) fresh &= ~queued_writer_bit;
      }
      // acquire: as in try_lock. relaxed on failure: the next turn decides.
    } while (!count_.compare_exchange_weak(count, fresh, std::memory_order_acquire,
                                           std::memory_order_relaxed));
    if ((fresh & handoff_bit) != 0) {
      counters_.add(rwsem_event::handoff_set);
      first.mark();
      P::promised(promise, first.thread.load());
      return false;
    }
    queue_.remove(waiter);
    if constexpr (policy.phase_change)
      this->queued_writers_.store(this->queued_writers_.load() - 1);
    owner_.set_writer();
    return true;
  }

  // ---- phases

  // Under wait_lock_.
  void announce_writer() {
    this->queued_writers_.store(this->queued_writers_.load() + 1);
    // relaxed: wait_lock_ orders. A reader that does not see the bit yet steals once more.
    count_.fetch_or(queued_writer_bit, std::memory_order_relaxed);
  }

  // Unlocks for a writer that does not find itself alone.
  [[gnu::noinline]] void end_writer_phase() {
    WakeList woken;
    {
      WaitLocked locked(*this);
      if (const Waiter* reader = first_of_phase()) {
        set_reader_owned(reader->thread.load());
        // release: pairs with every acquire of count_. The readers of the phase see by their grants
        // what the writer has written.
        count_.fetch_add(reader_bias - writer_bit, std::memory_order_release);
        counters_.add(rwsem_event::phase);
        grant_readers(1, woken);
      } else {
        // release: pairs with every acquire of count_.
        count_.fetch_sub(writer_bit, std::memory_order_release);
        if (queue_.first() != nullptr) mark_wake(WakeType::any, woken);
      }
    }
    woken.wake();
  }

  // The first queued reader, if its phase is due. Null: no reader is queued, or a writer is to be
  // handed the lock.
  const Waiter* first_of_phase() const {
    const Waiter* waiter = queue_.first();
    if (waiter != nullptr && waiter->writer.load() && waiter->marked()) return nullptr;
    while (waiter != nullptr && waiter->writer.load()) waiter = waiter->next.load();
    return waiter;
  }

  // ---- optimistic spinning

  bool must_queue() const {
    // relaxed: a waiter that comes after this load is not passed unfairly.
    return !policy.writer_steal && (count_.load(std::memory_order_relaxed) & waiters_bit) != 0;
  }

  // The bit of the owner word that forbids spinning to this kind of thread.
  template <bool to_read>
  static constexpr u64 forbidden = to_read ? Owner::readers_nonspinnable : Owner::nonspinnable;

  // rwsem_can_spin_on_owner() in the kernel.
  template <bool to_read = false>
  bool can_spin() const {
    if (!to_read && must_queue()) return false;
    const u64 owner = owner_.load();
    const OwnerState state = Owner::state_of(owner, forbidden<to_read>);
    if (state == OwnerState::writer) return P::running(Owner::thread_of(owner));
    return state != OwnerState::nonspinnable;
  }

  // rwsem_optimistic_spin() in the kernel. Its loop is spin_at_head().
  template <bool to_read = false>
  bool spin() {
    if constexpr (policy.osq) {
      const OsqEntry entry = osq_.enter(spinners_);
      if (entry != OsqEntry::at_once) counters_.add(rwsem_event::osq_contended);
      if (entry == OsqEntry::left) return abort(rwsem_event::osq_left);
      const bool taken = spin_at_head<to_read>();
      osq_.exit(spinners_);
      return taken;
    } else {
      return spin_at_head<to_read>();
    }
  }

  template <bool to_read>
  bool spin_at_head() {
    OwnerState before = OwnerState::none;
    u64 reader_limit = 0;
    u32 reader_turns = 0;
    const u64 limit = P::now() + OsqTail<P>::patience;
    for (u32 turn = 1;; ++turn) {
      const OwnerState state = spin_on_owner(limit, forbidden<to_read>);
      if (state == OwnerState::nonspinnable) return abort(rwsem_event::spin_nonspinnable);
      if (state == OwnerState::off_cpu) return abort(rwsem_event::spin_off_cpu);
      if (state == OwnerState::too_long) return abort(rwsem_event::spin_time);
      if (!to_read && must_queue()) return abort(rwsem_event::spin_queue);
      if (to_read ? try_lock_shared_unqueued() : try_lock_unqueued()) return true;
      const bool behind_readers = !to_read && state == OwnerState::reader;
      if (behind_readers && before != OwnerState::reader) {
        reader_limit = P::now() + reader_patience();
        reader_turns = 0;
      } else if (behind_readers && ++reader_turns % 16 == 0 && P::now() > reader_limit) {
        owner_.forbid_spinning(policy.reader_spin);
        return abort(rwsem_event::spin_time);
      }
      if (turn % 64 == 0 && P::now() > limit) return abort(rwsem_event::spin_time);
      before = state;
      P::pause(this);
    }
  }

  bool abort(rwsem_event::Event reason) {
    counters_.add(reason);
    return false;
  }

  // rwsem_try_write_lock_unqueued() in the kernel.
  bool try_lock_unqueued() {
    constexpr u64 queued = policy.writer_steal ? 0 : waiters_bit;
    u64 count = count_.load(std::memory_order_relaxed);  // relaxed: the exchange decides
    while ((count & (lock_mask | handoff_bit | queued)) == 0)
      // acquire: as in try_lock. relaxed on failure: the next turn decides.
      if (count_.compare_exchange_weak(count, count | writer_bit, std::memory_order_acquire,
                                       std::memory_order_relaxed)) {
        owner_.set_writer();
        return true;
      }
    return false;
  }

  // rwsem_spin_on_owner() in the kernel. Spins while one writer owns the lock and runs, until
  // `limit`. Answers the state that ended the spin.
  OwnerState spin_on_owner(u64 limit, u64 forbids = Owner::nonspinnable) const {
    const u64 owner = owner_.load();
    const OwnerState state = Owner::state_of(owner, forbids);
    if (state != OwnerState::writer) return state;
    for (u32 turn = 1;; ++turn) {
      const u64 seen = owner_.load();
      if (seen != owner) return Owner::state_of(seen, forbids);
      if (!P::running(Owner::thread_of(owner))) return OwnerState::off_cpu;
      if (turn % 64 == 0 && P::now() > limit) return OwnerState::too_long;
      P::pause(this);
    }
  }

  u64 reader_patience() const {
    // relaxed: an estimate.
    return Owner::reader_patience(readers(count_.load(std::memory_order_relaxed)));
  }

  // ---- waking, under wait_lock_

  [[gnu::noinline]] void wake_waiters(WakeType type) {
    WakeList woken;
    {
      WaitLocked locked(*this);
      if (queue_.first() != nullptr) mark_wake(type, woken);
    }
    woken.wake();
  }

  void wake_if_free(u64 count, WakeList& woken) {
    if ((count & writer_bit) != 0) return;
    if ((count & readers_mask) != 0) {
      mark_wake(WakeType::readers, woken);
    } else {
      owner_.allow_spinning();
      mark_wake(WakeType::any, woken);
    }
  }

  // The queue is not empty.
  void mark_wake(WakeType type, WakeList& woken) {
    Waiter& head = *queue_.first();
    if (head.writer.load()) {
      // A writer has downgraded, and begins the readers' phase.
      if constexpr (policy.phase_change)
        if (type == WakeType::read_owned && first_of_phase() != nullptr)
          return grant_readers(0, woken);
      // The writer stays queued and competes. A lock that readers hold is of no use to it.
      if (type != WakeType::any) return;
      counters_.add(rwsem_event::writers_woken);
      woken.add(*head.parker.load());
      return;
    }
    // relaxed: too many readers is a state that lasts, and one of these readers will wake the
    // queue.
    if ((count_.load(std::memory_order_relaxed) & guard_bit) != 0) return;
    const bool counted = type != WakeType::read_owned;
    if (counted && !count_first_reader(head)) return;
    grant_readers(counted ? 1 : 0, woken);
  }

  // False: a writer was quicker, and its unlock will wake the queue.
  bool count_first_reader(Waiter& head) {
    // acquire: pairs with the release of the writer before, on behalf of the readers that are
    // granted the lock.
    const u64 old = count_.fetch_add(reader_bias, std::memory_order_acquire);
    if ((old & writer_bit) == 0) {
      // An early store of the owner word: spinners see sooner that readers have the lock.
      set_reader_owned(head.thread.load());
      return true;
    }
    counters_.add(rwsem_event::wake_undone);
    u64 excess = reader_bias;
    const bool demands = policy.handoff && P::now() > head.deadline.load();
    if (demands) {
      if ((old & handoff_bit) == 0) {
        excess -= handoff_bit;
        counters_.add(rwsem_event::handoff_set);
      }
      head.mark();
    }
    // relaxed: the place was not used in between.
    count_.fetch_sub(excess, std::memory_order_relaxed);
    if (demands) P::promised(promise, head.thread.load());
    return false;
  }

  // Phase-fair: takes readers from the whole queue, past the writers between them. First adds to
  // the count, which already contains `counted` of these readers. Then grants the lock to each
  // reader. `adjustment` is the kernel's name for the sum that it adds to the count.
  void grant_readers(u64 counted, WakeList& woken) {
    RwsemWaitList<P> granted{};
    u64 number = 0;
    if (queue_.first()->marked()) counters_.add(rwsem_event::handoff_taken);
    for (Waiter* waiter = queue_.first(); waiter != nullptr && number < WakeList::capacity;) {
      Waiter* next = waiter->next.load();
      if (!waiter->writer.load()) {
        queue_.remove(*waiter);
        granted.append(*waiter);
        ++number;
      }
      waiter = next;
    }
    counters_.add(rwsem_event::readers_woken, number);
    u64 adjustment = (number - counted) * reader_bias;
    if (queue_.first() == nullptr) adjustment -= waiters_bit;
    // Readers have the lock now, so stealers and spinners need not be kept off any longer. relaxed:
    // threads set and clear the bit under wait_lock_.
    if ((count_.load(std::memory_order_relaxed) & handoff_bit) != 0) adjustment -= handoff_bit;
    count_.fetch_add(adjustment, std::memory_order_relaxed);  // relaxed: the grants publish
    for (Waiter* waiter = granted.first(); waiter != nullptr;) {
      Waiter* next = waiter->next.load();
      woken.add(*waiter->parker.load());
      waiter->grant();
      waiter = next;
    }
  }
};

// The rwsem of x86 kernels up to 6.15 as mmap_lock: every page fault asks for the line of `count`
// for writing before it does anything else, also a fault that does not take the lock then. Commit
// 1701771d3069 removed this prefetch for 6.16.
template <class Lock>
class PrefetchedRwsem : public Lock {
 public:
  void before_fault() { this->prefetch(); }
};

}  // namespace faultline
