// The list-based range lock: the ranges that threads hold or are about to hold stand in one linked
// list, in the order of their starts, which threads change without a lock. Source: Alex Kogan, Dave
// Dice and Shady Issa, "Scalable Range Locks for Scalable Address Spaces and Beyond", EuroSys 2020,
// doi 10.1145/3342195.3387533 (arXiv 2006.12144). This is a new implementation of the algorithm.
//
// PATENTS: US patents 11,636,152 and 12,079,278 are said to cover this lock. It is compiled only
// with the CMake option -DFAULTLINE_PATENTED=ON, which is off unless somebody sets it.
//
// A thread walks the list to the place of its range. It waits for each range on the way that
// conflicts with its own, and then inserts its own by one compare-and-swap. Exclusive ranges that
// overlap have the same place, so at most one of them gets in. A shared range may stand before or
// after an overlapping one, so two threads may insert such ranges at different places and miss each
// other. Hence each looks again after its insertion: a shared range at those behind it, where it
// waits for exclusive ones, and an exclusive range at those ahead of it. If it finds one that
// overlaps, it leaves the list and tries again. So readers come first, and a stream of readers may
// keep a writer out for ever. To release a range is to set the low bit of its `next`; threads that
// walk past unlink it. Where the list is empty, one compare-and-swap of the head acquires
// the lock, and another one releases it; the low bit of the head says so.
//
// How it differs from its source:
// - Entries are reclaimed by the platform's RCU in batches, and no thread waits for a grace period.
//   In the paper a thread that has used up its entries waits until each other thread has left the
//   list.
// - A thread leaves its read section before it waits, and then begins at the head again, as
//   FreeBSD's rangelock does (sys/kern/kern_rangelock.c since 2024). In the paper it waits within
//   the section. So each entry counts its changes: one that has been reused meanwhile has counted
//   its release. A waiter spins, as in the paper.
// - The second look passes released entries and does not unlink them.
// - The paper has neither tries nor downgrades. A hold that gives up its lower part inserts an
//   entry for what it keeps, since the list is sorted by the starts, and then leaves the old one.
// - The fairness gate is left out: the paper's auxiliary reader-writer lock, which a thread takes
//   exclusive after some failures.
#pragma once

#include <string>
#include <vector>

#include "locks/events.hpp"
#include "locks/layout.hpp"
#include "locks/per_thread.hpp"
#include "locks/platform.hpp"
#include "locks/promise.hpp"
#include "locks/range/text.hpp"
#include "locks/types.hpp"

namespace faultline {

// `batch_size`: how many entries a thread unlinks before it hands them to RCU.
template <class P, u32 batch_size = 64>
class ListRangeLock {
  struct Entry;
  using Word = typename P::template atomic<u64>;  // an Entry's address; the lowest bit is a mark
  static constexpr u64 mark = 1;

 public:
  // Readers pass a writer without end.
  static constexpr Promise promise = no_promise;

  // Only the thread that holds the range uses its node.
  class Node {
   public:
    Node() = default;

   private:
    friend class ListRangeLock;
    Entry* entry = nullptr;
    bool alone = false;  // the entry was the only one when it came
  };

  ListRangeLock()
      : events_({"range.listed", "range.waits", "range.retries", "range.trylock_failed"}) {
    P::label(&head_, "range.head");
  }
  ListRangeLock(const ListRangeLock&) = delete;
  ListRangeLock& operator=(const ListRangeLock&) = delete;

  // `range` is not empty. Do not nest: a thread that already holds a conflicting range deadlocks.
  void lock(Node& node, Range range, bool exclusive) {
    Entry* mine = &take(range, exclusive);
    node.alone = enter_empty(*mine);
    if (!node.alone) {
      events_.add(listed);
      bool inserted = false;
      while (const Blocker found = attempt(*mine, inserted)) {
        if (inserted && exclusive) {
          events_.add(retries);
          leave(*mine);
          mine = &take(range, exclusive);
          inserted = false;
        }
        await(found);
      }
    }
    node.entry = mine;
  }

  // Fails where a range in conflict is in the list, even if its thread is about to leave it.
  bool try_lock(Node& node, Range range, bool exclusive) {
    Entry& mine = take(range, exclusive);
    node.entry = &mine;
    node.alone = enter_empty(mine);
    if (node.alone) return true;
    events_.add(listed);
    bool inserted = false;
    if (!attempt(mine, inserted)) return true;
    inserted ? leave(mine) : give(mine);
    events_.add(trylock_failed);
    return false;
  }

  void unlock(Node& node) {
    Entry& mine = *node.entry;
    u64 alone = word_of(mine) | mark;
    // release: pairs with the acquire in enter_empty() and insert(). relaxed on failure: leave()
    // releases.
    if (node.alone && head_.compare_exchange_strong(alone, 0, std::memory_order_release,
                                                    std::memory_order_relaxed))
      give(mine);
    else
      leave(mine);
  }

  // Turns an exclusive hold into a shared one. Shared waiters no longer wait for it.
  void downgrade(Node& node) { change_reach(*node.entry, reach_of(end_of(*node.entry), false)); }

  // `range` is not empty and lies inside the held range. A shared hold may wait here until
  // exclusive ranges that others are about to give up have left the list.
  void downgrade_range(Node& node, Range range) {
    Entry& old = *node.entry;
    if (start_of(old) == range.start)
      return change_reach(old, reach_of(range.end, is_exclusive(old)));
    Entry& mine = take(range, is_exclusive(old));
    node.entry = &mine;
    node.alone = false;
    if (is_exclusive(old)) {
      // The old entry keeps others out. What conflicts with it can only be a reader that stands
      // before it and waits.
      const RcuSection<P> section;
      insert(mine, Conflicts::ignored);
    } else {
      // A writer in the list finds the old entry when it looks again, and leaves.
      bool inserted = false;
      while (const Blocker found = attempt(mine, inserted)) await(found);
    }
    leave(old);
  }

  void append_events(Events& events) const { events_.append_to(events); }

  // One line per entry, in the order of addresses: "thread 3 holds or tries [0x1000, 0x2000)
  // exclusive".
  std::vector<std::string> describe() const {
    std::vector<std::string> lines;
    const RcuSection<P> section;
    for (const Entry* entry = entry_of(head_.load(std::memory_order_acquire)); entry != nullptr;) {
      // acquire, here and above: pairs with the release in insert() and enter_empty().
      // weakened acquire survives, program: no program lists the holders.
      const u64 next = entry->next.load(std::memory_order_acquire);
      if (!is_marked(next))
        // relaxed: a report.
        lines.push_back("thread " + std::to_string(entry->thread.load(std::memory_order_relaxed)) +
                        " holds or tries " +
                        range_text({start_of(*entry), end_of(*entry)}, is_exclusive(*entry)));
      entry = entry_of(next);
    }
    return lines;
  }

 private:
  enum Event : usize { listed, waits, retries, trylock_failed, event_count };
  enum class Conflicts { waited_for, ignored };

  struct Local;
  // What RCU hands back: a chain of entries, and the thread that unlinked them.
  struct Batch : P::rcu::Node {
    typename P::template atomic<Local*> owner{nullptr};
    Entry* entries = nullptr;
    Batch* next = nullptr;
  };

  // Its memory only ever holds an Entry, so a thread outside a read section may load `changes`.
  // Others use the first line while the entry is in the list; the rest belongs to the thread that
  // took or unlinked it.
  struct alignas(cache_line) Entry {
    Word next{0};   // marked: released
    Word reach{0};  // twice the end, and 1 if exclusive: the two change together
    Word start{0};
    typename P::template atomic<u32> changes{0};  // releases, downgrades, shrinks
    typename P::template atomic<u32> thread{0};
    alignas(line_size) Batch batch;
    Entry* later = nullptr;
  };

  struct Local {
    Entry* free = nullptr;
    Entry* unlinked = nullptr;
    u32 unlinked_count = 0;
    u32 batch_count = 0;  // in `batches`, in `returned` and with RCU
    Batch* batches = nullptr;
    typename P::template atomic<Batch*> returned{nullptr};
  };
  static constexpr u32 kept_batches = 4;  // a thread that has more leaves them to all

  // An entry to wait for, with the count of its changes before the look at it.
  struct Blocker {
    const Entry* entry = nullptr;
    u32 changes = 0;
    explicit operator bool() const { return entry != nullptr; }
  };

  static bool is_marked(u64 word) { return (word & mark) != 0; }
  static Entry* entry_of(u64 word) { return reinterpret_cast<Entry*>(word & ~mark); }
  static u64 word_of(const Entry& entry) { return reinterpret_cast<u64>(&entry); }
  static u64 reach_of(u64 end, bool exclusive) { return end * 2 + (exclusive ? 1 : 0); }

  // relaxed: the acquire by which the entry was found orders the load.
  static u64 start_of(const Entry& entry) { return entry.start.load(std::memory_order_relaxed); }
  // acquire: pairs with the release in change_reach(): who no longer conflicts sees what the holder
  // did before.
  static u64 reach(const Entry& entry) { return entry.reach.load(std::memory_order_acquire); }
  static u64 end_of(const Entry& entry) { return reach(entry) / 2; }
  static bool is_exclusive(const Entry& entry) { return reach(entry) % 2 != 0; }

  static bool conflict(const Entry& other, const Entry& mine) {
    const u64 theirs = reach(other), own = reach(mine);
    return start_of(other) < own / 2 && start_of(mine) < theirs / 2 && (theirs | own) % 2 != 0;
  }

  // Whether `other`, which conflicts with `mine`, does so still. If it changes after this load of
  // the count, it counts once more, so the waiter goes on.
  static Blocker blocker(const Entry& other, const Entry& mine) {
    // acquire: pairs with the release in count_change(): who sees the count sees the change.
    const u32 changes = other.changes.load(std::memory_order_acquire);
    // relaxed: the load of the count orders it, and the caller loads it again.
    if (is_marked(other.next.load(std::memory_order_relaxed)) || !conflict(other, mine)) return {};
    return {&other, changes};
  }

  void await(const Blocker& found) {
    events_.add(waits);
    const WaitScope<P> waiting(this, "list_range_lock");
    // relaxed: the next attempt decides.
    while (found.entry->changes.load(std::memory_order_relaxed) == found.changes)
      P::pause(found.entry);
  }

  // Acquires an empty list.
  bool enter_empty(Entry& mine) {
    u64 empty = 0;
    // relaxed: a hint. The exchange decides.
    return head_.load(std::memory_order_relaxed) == 0 &&
           // acquire: pairs with the release in unlock() and unlink(): who finds the list empty has
           // seen each release. release: pairs with the acquire in insert(), for the entry's
           // fields. relaxed on failure: insert() walks the list.
           head_.compare_exchange_strong(empty, word_of(mine) | mark, std::memory_order_acq_rel,
                                         std::memory_order_relaxed);
  }

  // Inserts the entry unless it is inserted, and looks again. Answers whom it has to wait for.
  Blocker attempt(Entry& mine, bool& inserted) {
    const RcuSection<P> section;
    if (!inserted)
      if (const Blocker found = insert(mine)) return found;
    inserted = true;
    return is_exclusive(mine) ? any_ahead(mine) : writer_behind(mine);
  }

  // Inserts the entry, or answers whom it has to wait for. The caller is in a read section.
  Blocker insert(Entry& mine, Conflicts conflicts = Conflicts::waited_for) {
    Word* link = &head_;
    u64 seen = open_head();
    for (;;) {
      if (is_marked(seen)) {
        // The entry that `link` belongs to has been released, or the list was empty meanwhile.
        link = &head_;
        seen = open_head();
        continue;
      }
      if (Entry* other = entry_of(seen)) {
        // acquire: pairs with the release in leave() and, for the next entry's fields, with that
        // of insert() and unlink().
        const u64 next = other->next.load(std::memory_order_acquire);
        if (is_marked(next)) {
          unlink(*link, seen, next);
          continue;
        }
        if (conflicts == Conflicts::waited_for && conflict(*other, mine)) {
          if (const Blocker found = blocker(*other, mine)) return found;
          continue;
        }
        if (start_of(*other) <= start_of(mine)) {
          link = &other->next;
          seen = next;
          continue;
        }
      }
      // relaxed: the exchange publishes it.
      mine.next.store(seen, std::memory_order_relaxed);
      // seq_cst: pairs with the seq_cst loads of the second look. Of two that insert conflicting
      // ranges, one comes first in the one order of these accesses, and the other one's look sees
      // it. acquire on failure: pairs with the release half of another thread's exchange.
      if (link->compare_exchange_strong(seen, word_of(mine), std::memory_order_seq_cst,
                                        std::memory_order_acquire))
        return {};
    }
  }

  // The head's word. A thread that holds the lock alone loses the way to release it at once.
  u64 open_head() {
    // acquire: pairs with the release in enter_empty(), insert() and unlink().
    u64 seen = head_.load(std::memory_order_acquire);
    while (is_marked(seen))
      // acquire: as above, also on failure. The exchange continues the release of enter_empty(), so
      // it needs none of its own.
      // weakened acquire survives, program: an entry would have to come alone twice, once before
      // the load above and once after it.
      if (head_.compare_exchange_weak(seen, seen & ~mark, std::memory_order_acquire,
                                      std::memory_order_acquire))
        return seen & ~mark;
    return seen;
  }

  // Takes the released entry at `seen` out of the list. `seen` becomes the word of the link.
  void unlink(Word& link, u64& seen, u64 next) {
    Entry* const entry = entry_of(seen);
    // release: pairs with the acquire of who walks here, for the next entry's fields and for what
    // the released entry's holder did. acquire on failure: as in insert().
    // weakened acquire survives, compiler: GCC refuses release where the failure acquires.
    if (!link.compare_exchange_strong(seen, next & ~mark, std::memory_order_acq_rel,
                                      std::memory_order_acquire))
      return;
    seen = next & ~mark;
    Local& local = locals_.here();
    entry->later = local.unlinked;
    local.unlinked = entry;
    ++local.unlinked_count;
  }

  // The second look of a shared range.
  static Blocker writer_behind(const Entry& mine) {
    // acquire: pairs with the release half of the exchange in insert(). What comes in right behind
    // `mine` later has seen it.
    for (u64 seen = mine.next.load(std::memory_order_acquire); entry_of(seen) != nullptr;) {
      const Entry& other = *entry_of(seen);
      if (start_of(other) >= end_of(mine)) break;
      if (conflict(other, mine))
        if (const Blocker found = blocker(other, mine)) return found;
      // seq_cst: pairs with the seq_cst exchange in insert().
      seen = other.next.load(std::memory_order_seq_cst);
    }
    return {};
  }

  // The second look of an exclusive range. No entry of the list stands behind `mine` and overlaps.
  Blocker any_ahead(const Entry& mine) const {
    // seq_cst, here and below: pairs with the seq_cst exchange in insert().
    for (u64 seen = head_.load(std::memory_order_seq_cst); entry_of(seen) != &mine;) {
      const Entry& other = *entry_of(seen);
      if (conflict(other, mine))
        if (const Blocker found = blocker(other, mine)) return found;
      // weakened seq_cst survives, program: it takes two holders ahead of two that conflict, and
      // programs of four threads are searched at random alone, which does not come there.
      seen = other.next.load(std::memory_order_seq_cst);
    }
    return {};
  }

  // Releases the range. Another thread may take the entry over at once.
  static void leave(Entry& mine) {
    // release: pairs with the acquire of who finds the mark, and with what unlink() hands on.
    mine.next.fetch_or(mark, std::memory_order_release);
    count_change(mine);
  }
  static void change_reach(Entry& mine, u64 reach) {
    mine.reach.store(reach, std::memory_order_release);  // release: pairs with reach()'s acquire
    count_change(mine);
  }
  // Ends the waits for what the entry was.
  static void count_change(Entry& entry) {
    // release: pairs with the acquire in blocker().
    entry.changes.fetch_add(1, std::memory_order_release);
  }

  Entry& take(Range range, bool exclusive) {
    Local& local = locals_.here();
    if (local.unlinked_count >= batch_size) retire(local);
    if (local.free == nullptr) refill(local);
    Entry& entry = *local.free;
    local.free = entry.later;
    // relaxed, all of them: the exchange that puts the entry into the list publishes them.
    entry.next.store(0, std::memory_order_relaxed);
    entry.start.store(range.start, std::memory_order_relaxed);
    entry.reach.store(reach_of(range.end, exclusive), std::memory_order_relaxed);
    entry.thread.store(P::self(), std::memory_order_relaxed);
    return entry;
  }
  // The entry is in no list, and no other thread has seen it.
  void give(Entry& entry) {
    Local& local = locals_.here();
    entry.later = local.free;
    local.free = &entry;
  }

  void retire(Local& local) {
    Batch& batch = local.unlinked->batch;
    batch.entries = local.unlinked;
    local.unlinked = nullptr;
    local.unlinked_count = 0;
    if (++local.batch_count > kept_batches) share(local);
    // release: pairs with the acquire in reclaim(). RCU orders the two as well, but ThreadSanitizer
    // does not see into liburcu.
    // weakened release survives, ordered_elsewhere: RCU runs reclaim after this.
    batch.owner.store(&local, std::memory_order_release);
    P::rcu::retire(&batch, reclaim);
  }
  // Natively a thread of liburcu runs this. It may come after the lock's end, so it touches only
  // memory of P::allocate.
  static void reclaim(typename P::rcu::Node* node) {
    auto* batch = static_cast<Batch*>(node);
    // acquire: pairs with the release in retire().
    // weakened acquire survives, ordered_elsewhere: RCU runs this after retire().
    push(batch->owner.load(std::memory_order_acquire)->returned, batch, batch);
  }
  static void push(typename P::template atomic<Batch*>& chain, Batch* first, Batch* last) {
    Batch* seen = chain.load(std::memory_order_relaxed);  // relaxed: the exchange decides
    do {
      last->next = seen;
      // release: pairs with the acquire in collect(), for `next`. relaxed on failure: the next turn
      // decides.
      // weakened release survives, program: over Relacy the owner itself reclaims.
    } while (!chain.compare_exchange_weak(seen, first, std::memory_order_release,
                                          std::memory_order_relaxed));
  }
  // The chain, which the calling thread has then for itself.
  static Batch* collect(typename P::template atomic<Batch*>& chain) {
    // relaxed: the exchange decides.
    if (chain.load(std::memory_order_relaxed) == nullptr) return nullptr;
    // acquire: pairs with the release in push().
    // weakened acquire survives, program: over Relacy the owner itself reclaims.
    return chain.exchange(nullptr, std::memory_order_acquire);
  }

  // Leaves to all what has come back to the thread.
  void share(Local& local) {
    Batch* const first = collect(local.returned);
    if (first == nullptr) return;
    Batch* last = first;
    for (--local.batch_count; last->next != nullptr; last = last->next) --local.batch_count;
    push(surplus_, first, last);
  }

  void refill(Local& local) {
    if (local.batches == nullptr) local.batches = collect(local.returned);
    if (local.batches == nullptr) {
      local.batches = collect(surplus_);
      for (Batch* batch = local.batches; batch != nullptr; batch = batch->next) ++local.batch_count;
    }
    if (local.batches == nullptr) return grow(local);
    local.free = local.batches->entries;
    local.batches = local.batches->next;
    --local.batch_count;
  }
  static void grow(Local& local) {
    auto* entries = static_cast<std::byte*>(P::allocate(batch_size * sizeof(Entry), cache_line));
    for (u32 i = batch_size; i-- > 0;) {
      Entry* entry = new (entries + i * sizeof(Entry)) Entry();
      entry->later = local.free;
      local.free = entry;
    }
  }

  // Marked: the list has the one entry of a thread that has found it empty.
  alignas(cache_line) Word head_{0};
  alignas(cache_line) typename P::template atomic<Batch*> surplus_{nullptr};
  PerThread<P, Local, ItemsAtEnd::kept> locals_;
  EventCounters<P, event_count> events_;
};

}  // namespace faultline
