// Linux's reader-writer semaphore as it is today (kernel/locking/rwsem.c since 5.3, as changed
// to 6.x), in user space.
//
//   count   bit 0 writer, bit 1 waiters, bit 2 handoff, bits 8-62 readers, bit 63 guards against
//   too many of them owner   the writer, or the reader that came first; bit 0 reader-owned (a
//   hint), bit 1 non-spinnable
//
//   read    add a reader; done if no writer, waiter or handoff. Else, unless readers already hold
//   the lock (a stream of them must not
//           starve writers), keep the place if no writer and no handoff is there: a reader steal.
//           Else take it back and queue
//   write   0 -> 1; else spin, one spinner at a time (Osq), while the writer that owns the lock is
//   running, or for a limited time
//           while readers do, and take it whenever it is free: a writer steal. Else queue, and try
//           again at every wake-up
//   handoff a waiter in the queue for 4 ms sets the bit: nobody steals then, and the first waiter
//   gets the lock wake    a writer at the head is woken to compete; a reader at the head makes way
//   for up to 256 readers from the whole queue, which
//           are granted the lock before they are woken. The grant is pre-added for the first: if a
//           writer came in before, it is undone
//   downgrade  one addition turns the writer into a reader; queued readers are woken
//
// Differences that user space forces: "the owner is on a CPU" is P::running, whose losses the
// platform documents; need_resched has no counterpart, so a writer spins no longer than Osq's
// patience, a tick; and a thread preempted while it holds wait_lock_ delays the others, where the
// kernel disables preemption. A reader stores the owner word only when it is not yet marked
// reader-owned: the kernel stores each time, for debugging's sake.
#pragma once

#include <array>
#include <string>

#include "locks/events.hpp"
#include "locks/mutex/osq.hpp"
#include "locks/mutex/ticket.hpp"
#include "locks/shared/concept.hpp"

namespace faultline {

// Ablations: what each part of the algorithm is worth.
struct RwsemPolicy {
  bool osq = true;  // spinners queue
  bool steal =
      true;  // readers keep their place, and spinning writers take a free lock, past the queue
  bool handoff = true;  // a waiter may demand the lock after 4 ms
};

template <class P, RwsemPolicy policy = RwsemPolicy{}>
class Rwsem {
 public:
  static constexpr bool atomic_downgrade = true;

  void lock_shared() {
    // acquire: pairs with unlock's and downgrade's release.
    const u64 count = count_.fetch_add(reader_bias, std::memory_order_acquire) + reader_bias;
    if ((count & read_failed_mask) == 0) [[likely]]
      set_reader_owned();
    else
      lock_shared_slow(count);
  }

  bool try_lock_shared() {
    u64 count = count_.load(std::memory_order_relaxed);  // relaxed: the exchange decides
    while ((count & read_failed_mask) == 0)
      // acquire: as in lock_shared.
      if (count_.compare_exchange_weak(count, count + reader_bias, std::memory_order_acquire,
                                       std::memory_order_relaxed)) {
        set_reader_owned();
        return true;
      }
    return false;
  }

  void unlock_shared() {
    // release: pairs with the writers' acquire.
    const u64 count = count_.fetch_sub(reader_bias, std::memory_order_release) - reader_bias;
    if ((count & (lock_mask | waiters_bit)) == waiters_bit) [[unlikely]] {
      clear_nonspinnable();
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
    set_owner();
    return true;
  }

  void unlock() {
    owner_.store(0, std::memory_order_relaxed);  // relaxed: a hint for spinners
    // release: pairs with every acquire of count_.
    if ((count_.fetch_sub(writer_bit, std::memory_order_release) & waiters_bit) != 0) [[unlikely]]
      wake_waiters(WakeType::any);
  }

  void downgrade() {
    // release: what was written under the lock is seen by the readers that come in.
    const u64 old = count_.fetch_add(reader_bias - writer_bit, std::memory_order_release);
    owner_.store(own_word() | reader_owned, std::memory_order_relaxed);  // relaxed: a hint
    if ((old & waiters_bit) != 0) [[unlikely]]
      wake_waiters(WakeType::read_owned);
  }

  void append_events(Events& events) const { counters_.append_to(events); }

  std::string describe() const {
    // relaxed: a racy report.
    const u64 count = count_.load(std::memory_order_relaxed);
    const u64 owner = owner_.load(std::memory_order_relaxed);
    const std::string thread =
        owner == 0 ? "nobody" : "thread " + std::to_string((owner >> owner_shift) - 1);
    std::string text = (count & writer_bit) != 0 ? "write-locked by " + thread
                       : (count & lock_mask) != 0
                           ? std::to_string(count / reader_bias) + " reader(s), the first " + thread
                           : "free";
    if ((count & waiters_bit) != 0) text += ", waiters queued";
    if ((count & handoff_bit) != 0) text += ", handoff demanded";
    return text;
  }

 private:
  static constexpr u64 writer_bit = 1, waiters_bit = 2, handoff_bit = 4, reader_bias = 256;
  static constexpr u64 guard_bit = u64{1} << 63;
  static constexpr u64 readers_mask = ~u64{255} & ~guard_bit;
  static constexpr u64 lock_mask = writer_bit | readers_mask;
  static constexpr u64 read_failed_mask = writer_bit | waiters_bit | handoff_bit | guard_bit;

  static constexpr u64 reader_owned = 1, nonspinnable = 2;
  static constexpr u32 owner_shift = 2;

  static constexpr u64 handoff_after =
      4'000'000;  // ns; the kernel takes the greater of 4 ms and a jiffy
  static constexpr u32 max_woken = 256;
  enum class WakeType : int { any, readers, read_owned };
  enum class OwnerState : int { none, writer, reader, nonspinnable };

  enum Event : usize {
    read_slow,
    reader_steal,
    reader_queued,
    write_slow,
    write_spun,
    spin_off_cpu,
    spin_timed_out,
    writer_queued,
    handoff_set,
    handoff_taken,
    readers_woken,
    wake_undone,
    event_count
  };
  static constexpr std::array<const char*, event_count> event_names = {
      "rwsem.read_slow",        "rwsem.reader_steal",        "rwsem.reader_queued",
      "rwsem.write_slow",       "rwsem.write_spin_acquired", "rwsem.spin_abort_owner_off_cpu",
      "rwsem.spin_abort_time",  "rwsem.writer_queued",       "rwsem.handoff_requested",
      "rwsem.handoff_acquired", "rwsem.readers_woken",       "rwsem.wake_undone"};

  // Where a thread sleeps. Not in the waiter: that is gone as soon as its thread sees itself
  // granted, maybe before the wake-up call.
  struct Parker {
    typename P::template atomic<u32> word{0};
  };

  // On its thread's stack, in a list under wait_lock_.
  struct Waiter {
    Waiter(bool is_writer, Parker& own)
        : writer(is_writer), parker(own), task(&own), deadline(P::now() + handoff_after) {}
    const bool writer;
    Parker& parker;
    typename P::template atomic<Parker*> task;  // null: granted (readers)
    const u64 deadline;
    bool handoff = false;
    Waiter* next = nullptr;
    Waiter* previous = nullptr;
  };

  // Whom to wake once wait_lock_ is released: at most max_woken readers or one writer.
  class WakeList {
   public:
    void add(Parker& parker) { parkers_[count_++] = &parker; }
    bool empty() const { return count_ == 0; }
    void wake() {
      for (u32 i = 0; i < count_; ++i) {
        parkers_[i]->word.fetch_add(
            1, std::memory_order_release);  // release: pairs with the sleeper's acquire
        P::wake(parkers_[i]->word, 1);
      }
      count_ = 0;
    }

   private:
    Parker* parkers_[max_woken];
    u32 count_ = 0;
  };

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
    typename Ticket<P>::Node node_;
    bool held_ = false;
  };

  static u64 own_word() { return (static_cast<u64>(P::self()) + 1) << owner_shift; }

  // relaxed wherever owner_ is touched: it guides spinning, count_ alone decides.
  void set_owner() { owner_.store(own_word(), std::memory_order_relaxed); }
  void set_reader_owned() {
    const u64 owner = owner_.load(std::memory_order_relaxed);
    if ((owner & reader_owned) == 0) [[unlikely]]
      owner_.store(own_word() | reader_owned | (owner & nonspinnable), std::memory_order_relaxed);
  }
  void set_nonspinnable() {
    u64 owner = owner_.load(std::memory_order_relaxed);
    while ((owner & reader_owned) != 0 && (owner & nonspinnable) == 0)
      if (owner_.compare_exchange_weak(owner, owner | nonspinnable, std::memory_order_relaxed,
                                       std::memory_order_relaxed))
        return;
  }
  void clear_nonspinnable() {
    u64 owner = owner_.load(std::memory_order_relaxed);
    while ((owner & nonspinnable) != 0)
      if (owner_.compare_exchange_weak(owner, owner & ~nonspinnable, std::memory_order_relaxed,
                                       std::memory_order_relaxed))
        return;
  }

  // ---- readers

  // `count` includes this reader.
  [[gnu::noinline]] void lock_shared_slow(u64 count) {
    counters_.add(read_slow);
    const bool stream = (owner_.load(std::memory_order_relaxed) & reader_owned) != 0 &&
                        readers(count) > 1 && (count & writer_bit) == 0;
    if (policy.steal && !stream && (count & (writer_bit | handoff_bit | guard_bit)) == 0) {
      counters_.add(reader_steal);
      set_reader_owned();
      // The first reader of a phase brings the others with it.
      if (readers(count) == 1 && (count & waiters_bit) != 0) wake_waiters(WakeType::read_owned);
      return;
    }
    queue_reader();
  }

  void queue_reader() {
    Waiter waiter(false, parkers_.here());
    WakeList woken;
    {
      WaitLocked locked(*this);
      u64 adjustment = ~reader_bias + 1;
      if (first_ == nullptr) {
        // Nobody is queued and no writer is in: the place counted on arrival is good. acquire: as
        // in lock_shared.
        if ((count_.load(std::memory_order_acquire) & (writer_bit | handoff_bit | guard_bit)) ==
            0) {
          locked.unlock();
          set_reader_owned();
          return;
        }
        adjustment += waiters_bit;
      }
      counters_.add(reader_queued);
      append(waiter);
      // release: gives the place back, as unlock_shared does.
      const u64 count = count_.fetch_add(adjustment, std::memory_order_release) + adjustment;
      wake_if_free(count, woken);
    }
    woken.wake();
    sleep_until_granted(waiter);
  }

  void sleep_until_granted(Waiter& waiter) {
    WaitScope<P> waiting(this, "rwsem to read");
    for (;;) {
      // acquire, both: pair with the grant's and the wake-up's release; the ticket is read first,
      // so that no wake-up between is lost.
      const u32 ticket = waiter.parker.word.load(std::memory_order_acquire);
      if (waiter.task.load(std::memory_order_acquire) == nullptr) return;
      P::wait(waiter.parker.word, ticket, no_deadline);
    }
  }

  // ---- writers

  [[gnu::noinline]] void lock_slow() {
    counters_.add(write_slow);
    WaitScope<P> waiting(this, "rwsem to write");
    if (can_spin() && spin()) {
      counters_.add(write_spun);
      return;
    }
    counters_.add(writer_queued);
    queue_writer();
  }

  void queue_writer() {
    Waiter waiter(true, parkers_.here());
    WakeList woken;
    WaitLocked locked(*this);
    append(waiter);
    if (first_ == &waiter) {
      count_.fetch_or(waiters_bit,
                      std::memory_order_relaxed);  // relaxed: wait_lock_ orders the list
    } else {
      wake_if_free(count_.load(std::memory_order_relaxed), woken);  // relaxed: as above
      if (!woken.empty()) {
        locked.unlock();
        woken.wake();
        locked.lock();
      }
    }
    for (;;) {
      // acquire: pairs with the release in WakeList: read before the attempt, so that no wake-up
      // after it is lost.
      const u32 ticket = waiter.parker.word.load(std::memory_order_acquire);
      if (try_lock_queued(waiter)) break;
      locked.unlock();
      // The lock will be handed to the first waiter: it may be quicker to spin for it than to
      // sleep.
      if (!(waiter.handoff && spin_on_owner() == OwnerState::none))
        P::wait(waiter.parker.word, ticket, no_deadline);
      locked.lock();
    }
    if (waiter.handoff) counters_.add(handoff_taken);
  }

  // Under wait_lock_. On success the waiter has left the queue.
  bool try_lock_queued(Waiter& waiter) {
    u64 count = count_.load(std::memory_order_relaxed);  // relaxed: the exchange decides
    u64 fresh;
    do {
      const bool demanded = (count & handoff_bit) != 0;
      if (demanded && first_->handoff && first_ != &waiter) return false;
      fresh = count;
      if ((count & lock_mask) != 0) {
        if (!policy.handoff || demanded || P::now() <= waiter.deadline) return false;
        fresh |= handoff_bit;
      } else {
        fresh = (fresh | writer_bit) & ~handoff_bit;
        if (waiter.next == nullptr && waiter.previous == nullptr) fresh &= ~waiters_bit;
      }
      // acquire: as in try_lock.
    } while (!count_.compare_exchange_weak(count, fresh, std::memory_order_acquire,
                                           std::memory_order_relaxed));
    if ((fresh & handoff_bit) != 0) {
      counters_.add(handoff_set);
      first_->handoff = true;
      return false;
    }
    remove(waiter);
    set_owner();
    return true;
  }

  // ---- optimistic spinning

  bool can_spin() const {
    const u64 owner = owner_.load(std::memory_order_relaxed);
    if ((owner & nonspinnable) != 0) return false;
    return owner == 0 || (owner & reader_owned) != 0 || P::running(thread_of(owner));
  }

  bool spin() {
    if (policy.osq && !osq_.enter()) return false;
    const bool taken = spin_at_head();
    if (policy.osq) osq_.exit();
    return taken;
  }

  bool spin_at_head() {
    OwnerState before = OwnerState::none;
    u64 reader_limit = 0;
    const u64 limit = P::now() + Osq<P>::patience;
    for (u32 loop = 1;; ++loop) {
      const OwnerState state = spin_on_owner();
      if (state == OwnerState::nonspinnable) return abort(spin_off_cpu);
      if (try_lock_unqueued()) return true;
      if (state == OwnerState::reader && before != OwnerState::reader) {
        reader_limit = P::now() + reader_patience();
        loop = 0;
      } else if (state == OwnerState::reader && loop % 16 == 0 && P::now() > reader_limit) {
        set_nonspinnable();
        return abort(spin_timed_out);
      }
      if (loop % 64 == 0 && P::now() > limit) return abort(spin_timed_out);
      before = state;
      P::pause(this);
    }
  }

  bool abort(Event reason) {
    counters_.add(reason);
    return false;
  }

  bool try_lock_unqueued() {
    constexpr u64 forbidding = lock_mask | handoff_bit | (policy.steal ? 0 : waiters_bit);
    u64 count = count_.load(std::memory_order_relaxed);  // relaxed: the exchange decides
    while ((count & forbidding) == 0)
      // acquire: as in try_lock.
      if (count_.compare_exchange_weak(count, count | writer_bit, std::memory_order_acquire,
                                       std::memory_order_relaxed)) {
        set_owner();
        return true;
      }
    return false;
  }

  // Spins while one writer owns the lock and runs; answers who owns it then.
  OwnerState spin_on_owner() const {
    const u64 owner = owner_.load(std::memory_order_relaxed);
    if (state_of(owner) != OwnerState::writer) return state_of(owner);
    const u64 limit = P::now() + Osq<P>::patience;
    for (u32 loop = 1;; ++loop) {
      const u64 seen = owner_.load(std::memory_order_relaxed);
      if (seen != owner) return state_of(seen);
      const bool late = loop % 64 == 0 && P::now() > limit;
      if (late || !P::running(thread_of(owner))) return OwnerState::nonspinnable;
      P::pause(this);
    }
  }

  static OwnerState state_of(u64 owner) {
    if ((owner & nonspinnable) != 0) return OwnerState::nonspinnable;
    if ((owner & reader_owned) != 0) return OwnerState::reader;
    return owner == 0 ? OwnerState::none : OwnerState::writer;
  }
  static u32 thread_of(u64 owner) { return static_cast<u32>(owner >> owner_shift) - 1; }
  static u64 readers(u64 count) { return (count & readers_mask) / reader_bias; }

  // How long to spin on readers: 10 us and half a microsecond a reader, of which at most 30 count.
  // Nanoseconds.
  u64 reader_patience() const {
    const u64 present = readers(count_.load(std::memory_order_relaxed));  // relaxed: an estimate
    return 10'000 + 500 * (present < 30 ? present : 30);
  }

  // ---- the queue, under wait_lock_

  void append(Waiter& waiter) {
    waiter.previous = last_;
    (last_ == nullptr ? first_ : last_->next) = &waiter;
    last_ = &waiter;
  }
  void remove(Waiter& waiter) {
    (waiter.previous == nullptr ? first_ : waiter.previous->next) = waiter.next;
    (waiter.next == nullptr ? last_ : waiter.next->previous) = waiter.previous;
    waiter.next = waiter.previous = nullptr;
  }

  [[gnu::noinline]] void wake_waiters(WakeType type) {
    WakeList woken;
    {
      WaitLocked locked(*this);
      if (first_ != nullptr) mark_wake(type, woken);
    }
    woken.wake();
  }

  void wake_if_free(u64 count, WakeList& woken) {
    if ((count & writer_bit) != 0) return;
    if ((count & readers_mask) != 0) {
      mark_wake(WakeType::readers, woken);
    } else {
      clear_nonspinnable();
      mark_wake(WakeType::any, woken);
    }
  }

  // The queue is not empty.
  void mark_wake(WakeType type, WakeList& woken) {
    Waiter& head = *first_;
    if (head.writer) {
      // It stays queued and competes; a lock that readers hold is of no use to it.
      if (type == WakeType::any) woken.add(head.parker);
      return;
    }
    if ((count_.load(std::memory_order_relaxed) & guard_bit) != 0)
      return;  // relaxed: too many readers; one of them will wake
    const bool pre_added = type != WakeType::read_owned;
    if (pre_added && !pre_add_reader(head)) return;
    grant_readers(pre_added, woken);
  }

  // False: a writer was quicker, and its unlock will wake the queue.
  bool pre_add_reader(Waiter& head) {
    // acquire: the readers to be granted come after the writer that released; they get it through
    // their `task`.
    const u64 old = count_.fetch_add(reader_bias, std::memory_order_acquire);
    if ((old & writer_bit) == 0) {
      owner_.store(own_word() | reader_owned, std::memory_order_relaxed);
      return true;
    }
    counters_.add(wake_undone);
    u64 adjustment = reader_bias;
    if (policy.handoff && (old & handoff_bit) == 0 && P::now() > head.deadline) {
      adjustment -= handoff_bit;
      head.handoff = true;
      counters_.add(handoff_set);
    }
    count_.fetch_sub(adjustment,
                     std::memory_order_relaxed);  // relaxed: nothing was done in between
    return false;
  }

  // Phase-fair: readers from the whole queue, whatever writers stand between. First the count, then
  // each reader's grant.
  void grant_readers(bool pre_added, WakeList& woken) {
    Waiter* granted = nullptr;
    u32 number = 0;
    for (Waiter* waiter = first_; waiter != nullptr && number < max_woken;) {
      Waiter* next = waiter->next;
      if (!waiter->writer) {
        remove(*waiter);
        waiter->next = granted;
        granted = waiter;
        ++number;
      }
      waiter = next;
    }
    counters_.add(readers_woken, number);
    u64 adjustment = number * reader_bias - (pre_added ? reader_bias : 0);
    if (first_ == nullptr) adjustment -= waiters_bit;
    // Readers have been woken: nobody needs to be forced to make way for them any more.
    if ((count_.load(std::memory_order_relaxed) & handoff_bit) != 0)
      adjustment -= handoff_bit;  // relaxed: set and cleared under wait_lock_
    count_.fetch_add(adjustment, std::memory_order_relaxed);  // relaxed: the grants below publish
    while (granted != nullptr) {
      Waiter* next = granted->next;
      Parker& parker = granted->parker;
      // release: pairs with the acquire in sleep_until_granted. The waiter is gone after this.
      granted->task.store(nullptr, std::memory_order_release);
      woken.add(parker);
      granted = next;
    }
  }

  typename P::template atomic<u64> count_{0};
  typename P::template atomic<u64> owner_{0};
  Osq<P> osq_;
  Ticket<P> wait_lock_;
  Waiter* first_ = nullptr;
  Waiter* last_ = nullptr;
  PerThread<P, Parker> parkers_;
  EventCounters<P, event_count> counters_{event_names};
};

}  // namespace faultline
