// A maple tree that locks its own entries: the lock inside the tree, which Matthew Wilcox announced
// at the summit of 2019 (LWN, "How to get rid of mmap_sem") and nobody has built. Each VMA and each
// hole can be locked, and threads that hold different entries edit the tree at the same time
// (entry_tree.hpp).
//
// Entries. The word of a VMA (entry_lock.hpp) lies in the VMA (Words::in_vmas), or in its slot
// (Words::in_nodes), so that a fault touches no line more than it reads anyway, but 16 VMAs share
// four lines. A hole, or a part of one, is locked by an empty entry: a slot of its own, as DAX
// locks an index of the page cache that has no entry (fs/dax.c, grab_mapping_entry()). So to lock a
// hole is to edit the tree, and may split a node. lock() takes the entries of a range from left to
// right: a VMA with all of its range, of a hole only what lies in the range. All that a thread
// holds lies left of what it waits for, so there is no deadlock.
//
// A VMA that was put over the edge of leaves has a slot in each. The one with its start has its
// lock (EntryWord::continues marks the others).
//
// Waiters are kept by address, since edits move entries from slot to slot and from node to node: a
// thread sleeps until the holder of the entry at its address has unlocked it, and then looks the
// entry up anew. What an edit cuts off from a VMA, or puts into its place, takes over the mark that
// threads wait.
#pragma once

#include <algorithm>
#include <string>
#include <type_traits>
#include <vector>

#include "locks/events.hpp"
#include "locks/layout.hpp"
#include "locks/mutex/qspinlock.hpp"
#include "locks/mutex/section.hpp"
#include "locks/per_thread.hpp"
#include "locks/range/waiter_queue.hpp"
#include "locks/range/waiters.hpp"
#include "locks/types.hpp"
#include "locks/vmas/entry_lock.hpp"
#include "locks/vmas/entry_tree.hpp"
#include "locks/vmas/rcu_nodes.hpp"

namespace faultline::vmas {

// Where the words of VMAs are.
enum class Words : bool { in_vmas, in_nodes };

// `slot_count` and `edits_of_heat` (entry_tree.hpp) are smaller in tests and in the checker.
// `Mutex` guards the list of waiters. `Nodes` keeps the nodes' memory.
template <Words words, u32 slot_count = 16, u32 edits_of_heat = 256,
          template <class> class Mutex = Qspinlock, template <class, class> class Nodes = RcuNodes>
struct LockingMapleOf {
  template <class P, class V>
  struct Links {};

  template <class P, class V>
  class Container;
};

// V::hot has `entry`, an atomic word, if the words are in the VMAs; its start value is
// EntryWord::exclusive. The functions of a container (concept.hpp) may run concurrently. `insert`,
// `erase` and `resize` need the entries that they change locked exclusively, so a VMA and the holes
// that it grows into. What they leave behind is a locked hole. A VMA enters locked.
template <Words words, u32 slot_count, u32 edits_of_heat, template <class> class Mutex,
          template <class, class> class Nodes>
template <class P, class V>
class LockingMapleOf<words, slot_count, edits_of_heat, Mutex, Nodes>::Container {
  static constexpr bool in_nodes = words == Words::in_nodes;
  using Tree = EntryTree<P, slot_count, edits_of_heat, in_nodes, Nodes>;
  using Entry = typename Tree::Entry;
  using Section = typename Tree::Section;
  using Leaf = typename Tree::Leaf;

 public:
  static constexpr bool searchable_under_rcu = true;

  Container() { P::label(&waiters_, "vmas.waiters"); }

  // --- locks of entries ---

  // Waits until no other thread holds the entry of the address exclusively. Answers its VMA, held
  // shared, or null for a free hole, which is not held.
  V* lock_shared(u64 address) {
    for (;;) {
      V* vma = nullptr;
      switch (try_lock(address, true, vma)) {
        case Tried::locked:
          return vma;
        case Tried::hole:
          return nullptr;
        case Tried::barred:
          sleep(address, true);
          break;
        case Tried::changed:
          break;
      }
    }
  }
  // The VMA of the address, held shared, or null if another thread bars that or there is none.
  V* try_lock_shared(u64 address) {
    for (;;) {
      V* vma = nullptr;
      const Tried tried = try_lock(address, true, vma);
      if (tried != Tried::changed) return tried == Tried::locked ? vma : nullptr;
    }
  }
  void unlock_shared(V& vma) {
    const Range range = vma.range();
    if (unlock_vma(vma, true)) wake(range);
  }

  // Locks the entries of `range` exclusively, and answers the range that is held: VMAs that the
  // edges of `range` cut are held as a whole.
  Range lock(Range range) {
    Range held = range;
    for (u64 at = range.start; at < range.end;) {
      V* vma = nullptr;
      switch (try_lock(at, false, vma)) {
        case Tried::locked:
          held = {std::min(held.start, vma->range().start), std::max(held.end, vma->range().end)};
          at = vma->range().end;
          break;
        case Tried::hole:
          at = lock_hole(at, range.end);
          break;
        case Tried::barred:
          sleep(at, false);
          break;
        case Tried::changed:
          break;
      }
    }
    return held;
  }
  // The caller holds all of it exclusively.
  void unlock(Range held) {
    bool wakes = false;
    for (u64 at = held.start; at < held.end;) {
      if (V* vma = find_rcu(at)) {
        at = vma->range().end;
        wakes = unlock_vma(*vma, false) || wakes;
      } else {
        at = unlock_holes({at, held.end}, wakes);
      }
    }
    if (wakes) wake(held);
  }

  void append_events(Events& events) const {
    events_.append_to(events);
    tree_.append_events(events);
  }
  // Lines that say which entries are locked, as far as racy reads can tell.
  std::vector<std::string> locked() const {
    std::vector<std::string> lines;
    for_each_entry([&](const Entry& entry) {
      const V* vma = vma_of(entry);
      const u64 word = lock_word(entry);
      if (EntryWord::has(word, EntryWord::exclusive) || EntryWord::shared(word) != 0)
        lines.push_back((vma == nullptr ? "hole " : "VMA ") + std::to_string(entry.first) + " to " +
                        std::to_string(entry.last) + ", held " +
                        (EntryWord::shared(word) != 0
                             ? "shared by " + std::to_string(EntryWord::shared(word))
                             : std::string("exclusively")));
    });
    return lines;
  }

  // --- the container ---

  V* first() const { return find(Tree::bottom); }
  V* last() const { return at_or_below(Tree::top); }
  V* next(const V& vma) const { return find(vma.range().end); }
  V* previous(const V& vma) const {
    const u64 start = vma.range().start;
    return start == Tree::bottom ? nullptr : at_or_below(start - 1);
  }
  V* find(u64 address) const { return first_in({address, address_space_end}); }
  V* find_rcu(u64 address) const { return address > Tree::top ? nullptr : vma_of(look(address)); }
  // The first VMA that has a part of `range`, or null.
  V* first_in(Range range) const {
    for (u64 at = range.start; at < range.end;) {
      const Entry entry = look(at);
      if (V* vma = vma_of(entry)) return vma;
      at = entry.last + 1;
    }
    return nullptr;
  }
  // Whether one free slot covers `range`. False does not mean that something is in the range, since
  // a hole may have slots in several leaves.
  bool is_free_slot(Range range) const {
    const Entry entry = look(range.start);
    return entry.word == EntryWord::free && entry.last + 1 >= range.end;
  }
  // The first address in `range` that is not in a free hole, or the range's end.
  u64 first_taken(Range range) const {
    u64 at = range.start;
    while (at < range.end) {
      const Entry entry = look(at);
      if (entry.word != EntryWord::free) return at;
      at = entry.last + 1;
    }
    return range.end;
  }
  // How many VMAs a walk in ascending order passes. Racy.
  u64 count_vmas() const {
    u64 vmas = 0;
    for_each_entry([&](const Entry& entry) { vmas += is_start(entry); });
    return vmas;
  }

  void insert(V& vma) { put(vma, vma.range()); }
  void erase(V& vma) {
    const Range range = vma.range();
    leave_waiters(vma, range, cut_off(range));
    // relaxed: the pool orders this VMA's next life after this one.
    if constexpr (!in_nodes) vma.hot.entry.store(EntryWord::exclusive, std::memory_order_relaxed);
  }
  void resize(V& vma, Range range) {
    const Range old = vma.range();
    const Range below{old.start, std::max(old.start, range.start)};
    const Range above{std::min(old.end, range.end), old.end};
    vma.set_range(range);
    const u64 flags = cut_off(below);
    // Where the start moves, all slots are put anew, since the slot of the start has the lock.
    if (range.start != old.start)
      put(vma, range);
    else if (range.end > old.end)
      put(vma, {old.end, range.end});
    leave_waiters(vma, below, flags);
    leave_waiters(vma, above, cut_off(above));
  }

  // Where the first hole of `length` bytes in the range begins, or 0. Racy: a hole that is locked
  // may be free by the time that the caller has locked it.
  u64 find_hole(Range in, u64 length) const {
    u64 begin = in.start;
    for (u64 at = in.start; at < in.end;) {
      const Entry entry = look(at);
      at = entry.last + 1;
      if (vma_of(entry) != nullptr)
        begin = at;
      else if (std::min(at, in.end) - begin >= length)
        return begin;
    }
    return 0;
  }
  void reserve(u64 n) { tree_.reserve(n); }

  std::string check() const {
    const V* open = nullptr;  // its last slot has not come yet
    u64 end = 0;              // where the slots of `open` end so far
    std::string wrong = tree_.check([&](const Entry& entry) -> std::string {
      const V* vma = vma_of(entry);
      if (lock_word(entry) != EntryWord::free) return "an entry is locked, or waited for";
      if (open != nullptr && (vma != open || entry.first != end)) return "a VMA has lost a slot";
      if (vma == nullptr) return "";
      if (open == nullptr && (!is_start(entry) || vma->range().start != entry.first))
        return "a VMA and its first slot differ";
      if (open != nullptr && is_start(entry)) return "a VMA has two first slots";
      if (entry.last >= vma->range().end) return "a VMA ends before its last slot";
      end = entry.last + 1;
      open = end == vma->range().end ? nullptr : vma;
      return "";
    });
    return wrong;
  }
  // For tests, with all threads at rest.
  u64 leaves() const { return tree_.leaves(); }
  u32 height() const { return tree_.height(); }

 protected:
  // Makes locked holes of a part of a VMA that is held exclusively. Answers the flags of its slots,
  // or-ed.
  u64 cut_off(Range part) {
    return replace(part, [](u64) { return EntryWord::exclusive; });
  }
  // `part` has been cut off the VMA. Threads that wait for the VMA may wait at an address of that
  // part, and others for what the VMA has kept. Once the part is out, no thread marks the VMA for
  // an address of that part.
  void leave_waiters(V& vma, Range part, u64 flags) {
    if (part.length() == 0) return;
    if (!EntryWord::has(flags | lock_word_of(vma), EntryWord::waited_for)) return;
    replace(part, [](u64) { return EntryWord::exclusive | EntryWord::waited_for; });
    add_waiters(vma);
  }
  // Puts a slot with word_at(its first address) in place of each leaf's part of `range`. Answers
  // the flags of what it has replaced, or-ed.
  template <class F>
  u64 replace(Range range, const F& word_at) {
    u64 replaced = 0;
    for (u64 at = range.start; at < range.end;) {
      const Section section;
      Leaf leaf;
      tree_.lock_leaf(at, leaf, 2);
      const u64 last = std::min(range.end - 1, leaf.last());
      replaced |= tree_.replace(leaf, at, last, word_at(at));
      at = last + 1;
    }
    return replaced;
  }

 private:
  enum Event : usize { waits, event_count };
  enum class Tried : int { locked, hole, barred, changed };

  static V* vma_of(const Entry& entry) {
    return reinterpret_cast<V*>(EntryWord::address(entry.word));
  }
  static bool is_start(const Entry& entry) {
    return vma_of(entry) != nullptr && !EntryWord::has(entry.word, EntryWord::continues);
  }
  // The lock of a VMA whose slot, or the slot of whose start, the entry is.
  static EntryLock<P> lock_of(const Entry& entry, V& vma) {
    if constexpr (in_nodes)
      return {*entry.cell, reinterpret_cast<u64>(&vma)};
    else
      return {vma.hot.entry, 0};
  }
  // The flags and the count of an entry. A slot in which a VMA continues has none.
  static u64 lock_word(const Entry& entry) {
    const V* vma = vma_of(entry);
    if (vma == nullptr) return entry.word;
    if (!is_start(entry)) return EntryWord::free;
    if constexpr (in_nodes)
      return entry.word & ~EntryWord::address_mask;
    else
      return vma->hot.entry.load(std::memory_order_relaxed);  // relaxed: a hint
  }

  // The flags and the count of a VMA that is held exclusively. With the words in nodes it is 0 if
  // the VMA has left the tree, and its word with it.
  u64 lock_word_of(const V& vma) const {
    // relaxed: a thread marks the VMA for an address under the lock of that address's leaf, which
    // cut_off() has locked since.
    if constexpr (!in_nodes) return vma.hot.entry.load(std::memory_order_relaxed);
    const Entry entry = look(vma.range().start);
    return vma_of(entry) == &vma ? lock_word(entry) : 0;
  }

  Entry look(u64 address) const {
    const Section section;
    return tree_.look(address);
  }
  V* at_or_below(u64 address) const {
    for (;;) {
      const Entry entry = look(address);
      if (V* vma = vma_of(entry)) return vma;
      if (entry.first == Tree::bottom) return nullptr;
      address = entry.first - 1;
    }
  }
  // Racy, unless threads are at rest: each entry is as it was at some moment.
  template <class F>
  void for_each_entry(const F& visit) const {
    for (u64 at = Tree::bottom; at <= Tree::top;) {
      const Entry entry = look(at);
      visit(entry);
      at = entry.last + 1;
    }
  }

  // In a Section. The entry with the lock of the VMA in `entry`. False: it has changed.
  bool go_to_start(Entry& entry) const {
    if (!in_nodes || is_start(entry)) return true;
    V* vma = vma_of(entry);
    const auto* seen = entry.cell;
    entry = tree_.look(vma->range().start);
    if (vma_of(entry) == vma && is_start(entry)) return true;
    // Its holder moves the VMA's start, or takes the VMA out slot by slot.
    P::pause(seen);
    return false;
  }

  // Tries to lock the VMA at the address. Answers it in `vma` if that has succeeded.
  Tried try_lock(u64 address, bool shared_hold, V*& vma) {
    {
      const Section section;
      Entry entry = tree_.look(address);
      if (entry.word == EntryWord::free) return Tried::hole;
      vma = vma_of(entry);
      if (vma == nullptr) return Tried::barred;
      if (!go_to_start(entry)) return Tried::changed;
      EntryLock<P> lock = lock_of(entry, *vma);
      const Locked done = shared_hold ? lock.try_lock_shared() : lock.try_lock();
      if (done != Locked::locked) return done == Locked::gone ? Tried::changed : Tried::barred;
    }
    if (vma->range().contains(address)) return Tried::locked;
    const Range range = vma->range();
    if (unlock_vma(*vma, shared_hold)) wake(range);
    return Tried::changed;
  }
  // True: threads wait for it. The VMA stays where it is while it is held, but edits beside it may
  // move its slot.
  bool unlock_vma(V& vma, bool shared_hold) {
    const u64 start = vma.range().start;
    for (;;) {
      const Section section;
      Entry entry{};
      if constexpr (in_nodes) entry = tree_.look(start);
      EntryLock<P> lock = lock_of(entry, vma);
      const Unlocked done = shared_hold ? lock.unlock_shared() : lock.unlock();
      if (done != Unlocked::gone) return done == Unlocked::wakes;
    }
  }

  // Puts the VMA, which is held exclusively, over `range`: locked holes, and slots of its own.
  // Threads that wait there wait for the VMA from now on.
  void put(V& vma, Range range) {
    const u64 address = reinterpret_cast<u64>(&vma);
    const u64 start = vma.range().start;
    const u64 flags = replace(range, [&](u64 at) {
      if (at != start) return address | EntryWord::continues;
      return in_nodes ? address | EntryWord::exclusive : address;
    });
    if (EntryWord::has(flags, EntryWord::waited_for)) add_waiters(vma);
  }
  // Marks a VMA that is held exclusively, if it is in the tree, so that who unlocks it wakes.
  void add_waiters(V& vma) {
    // relaxed, both: as in EntryLock::note_waiter().
    if constexpr (!in_nodes) {
      vma.hot.entry.fetch_or(EntryWord::waited_for, std::memory_order_relaxed);
    } else {
      const u64 start = vma.range().start;
      const Section section;
      Leaf leaf;
      tree_.lock_leaf(start, leaf, 0);
      const Entry entry = leaf.entry(start);
      if (vma_of(entry) == &vma)
        entry.cell->fetch_or(EntryWord::waited_for, std::memory_order_relaxed);
      tree_.leave(leaf);
    }
  }

  // Locks the hole at `at`, up to `end`, or as much of it as is in one slot. Answers where the
  // locked part ends, or `at` if there is no free hole any more.
  u64 lock_hole(u64 at, u64 end) {
    const Section section;
    Leaf leaf;
    tree_.lock_leaf(at, leaf, 2);
    const Entry entry = leaf.entry(at);
    if (entry.word != EntryWord::free) {
      tree_.leave(leaf);
      return at;
    }
    const u64 last = std::min(end - 1, entry.last);
    tree_.replace(leaf, at, last, EntryWord::exclusive);
    return last + 1;
  }
  // Unlocks the locked holes from the start of `held` on, as far as they lie in one leaf and no VMA
  // comes between. Answers where they end. The edges of `held` are edges of entries.
  u64 unlock_holes(Range held, bool& wakes) {
    Leaf leaf;
    u64 end = held.start;
    {
      const Section section;
      tree_.lock_leaf(held.start, leaf, 0);
      while (end < held.end && end <= leaf.last()) {
        const Entry entry = leaf.entry(end);
        if (vma_of(entry) != nullptr) break;
        end = entry.last + 1;
      }
      const u64 flags = tree_.replace(leaf, held.start, end - 1, EntryWord::free);
      wakes = EntryWord::has(flags, EntryWord::waited_for) || wakes;
    }
    if (leaf.is_idle) tree_.remove_if_empty(held.start);
    return end;
  }

  // --- waiting ---

  struct Waiting : Waiter<P> {
    typename P::template data<u64> address;
  };

  // Sleeps until the entry at the address has been unlocked. Returns at once where nothing bars the
  // hold.
  void sleep(u64 address, bool shared_hold) {
    Waiting waiting;
    waiting.address.store(address);
    waiting.prepare(parkers_.here());
    {
      MutexSection<Mutex<P>> section(waiters_.lock);
      if (!note_waiter(address, shared_hold)) return;
      waiters_.queue.add(waiting);
    }
    events_.add(waits);
    const WaitScope<P> scope(this, "maple entry");
    waiting.sleep([] {});
  }
  // Marks the entry at the address, so that who unlocks it wakes. Meanwhile the leaf of the address
  // is locked. So who takes the address out of a VMA does that before, and then the mark goes
  // elsewhere, or later, and then finds the mark.
  bool note_waiter(u64 address, bool shared_hold) {
    const Section section;
    Leaf leaf;
    tree_.lock_leaf(address, leaf, 0);
    const Entry entry = leaf.entry(address);
    if (vma_of(entry) == nullptr && entry.word != EntryWord::free) {
      tree_.replace(leaf, entry.first, entry.last, entry.word | EntryWord::waited_for);
      return true;
    }
    const bool barred = vma_of(entry) != nullptr && note_waiter(leaf, entry, shared_hold);
    tree_.leave(leaf);
    return barred;
  }
  // The same for a VMA, whose start may lie in a leaf further left. A thread that has locked a leaf
  // waits only for leaves further left, so this brings no deadlock.
  bool note_waiter(const Leaf& leaf, Entry entry, bool shared_hold) {
    V& vma = *vma_of(entry);
    if (in_nodes && !is_start(entry)) {
      const u64 start = vma.range().start;
      if (start > entry.first) return false;
      entry = start < leaf.first() ? tree_.look(start) : leaf.entry(start);
      if (vma_of(entry) != &vma || !is_start(entry)) return false;
    }
    return lock_of(entry, vma).note_waiter(shared_hold);
  }
  // Wakes those who wait in `range`.
  void wake(Range range) {
    Wakes<P> wakes;
    {
      MutexSection<Mutex<P>> section(waiters_.lock);
      waiters_.queue.move_to(wakes, [&](const Waiter<P>& waiter) {
        return range.contains(static_cast<const Waiting&>(waiter).address.load());
      });
    }
    wakes.send();
  }

  struct alignas(cache_line) Waiters {
    Mutex<P> lock;
    WaiterQueue<P> queue;
  };

  Tree tree_;
  Waiters waiters_;
  PerThread<P, Parker<P>> parkers_;
  EventCounters<P, event_count> events_{{"maple.waits"}};
};

}  // namespace faultline::vmas
