// The lock of one entry of the maple tree that locks its entries (locking_maple.hpp): the flags and
// the count of a word. The word of a VMA lies in the VMA, or in the tree's slot with the VMA's
// address. The word of a hole lies in the slot.
#pragma once

#include "locks/types.hpp"

namespace faultline::vmas {

// A word by value.
//   exclusive    a thread holds the entry exclusively
//   waited_for   threads wait for the entry. A thread that comes for a shared hold then waits
//                behind them, so readers that come one after another do not keep a writer out
//   moved        the slot's word has gone to another slot
//   continues    the slot is not that of the VMA's start. Such a slot has no lock
// Bits 6 to 47: the VMA's address, where the word lies in a slot. Bits 48 and up: how many threads
// hold the entry shared.
struct EntryWord {
  static constexpr u64 free = 0, exclusive = 1, waited_for = 2, moved = 4, continues = 8;
  static constexpr u64 one_shared = u64{1} << 48, address_mask = (one_shared - 1) & ~u64{63};

  static u64 address(u64 word) { return word & address_mask; }
  static u64 shared(u64 word) { return word / one_shared; }
  static bool has(u64 word, u64 flag) { return (word & flag) != 0; }
  // Whether a hold has to wait: a shared one, or an exclusive one.
  static bool bars(u64 word, bool shared_hold) {
    return has(word, exclusive) || (shared_hold ? has(word, waited_for) : shared(word) != 0);
  }
};

// What a locking or an unlocking has done. `gone`: nothing, since the word lies elsewhere now.
enum class Locked : int { gone, barred, locked };
enum class Unlocked : int { gone, quiet, wakes };

// A view of the word in `cell`. `identity`: the VMA's address if the cell is a slot, else 0. Every
// exchange expects it, so none succeeds in a slot that has come to lead to another VMA.
template <class P>
class EntryLock {
 public:
  using Cell = typename P::template atomic<u64>;
  EntryLock(Cell& cell, u64 identity) : cell_(cell), identity_(identity) {}

  Locked try_lock_shared() {
    u64 seen = cell_.load(std::memory_order_relaxed);  // relaxed: the exchange decides
    while (seen % EntryWord::one_shared == identity_)
      // acquire: pairs with the release in unlock(), and so with all that the last exclusive holder
      // did to the VMA. Where the word has moved since, it pairs with the release in
      // EntryTree::write(). relaxed on failure: the next turn decides.
      if (cell_.compare_exchange_weak(seen, seen + EntryWord::one_shared, std::memory_order_acquire,
                                      std::memory_order_relaxed))
        return Locked::locked;
    return barred_or_gone(seen);
  }
  Unlocked unlock_shared() {
    u64 seen = cell_.load(std::memory_order_relaxed);  // relaxed: the exchange decides
    while (EntryWord::address(seen) == identity_ && EntryWord::shared(seen) != 0) {
      const u64 left = seen - EntryWord::one_shared;
      const bool wakes = left == (identity_ | EntryWord::waited_for);
      // release: pairs with the acquire in try_lock(). relaxed on failure: the next turn decides.
      if (cell_.compare_exchange_weak(seen, wakes ? identity_ : left, std::memory_order_release,
                                      std::memory_order_relaxed))
        return wakes ? Unlocked::wakes : Unlocked::quiet;
    }
    return Unlocked::gone;
  }

  Locked try_lock() {
    u64 seen = identity_;
    // acquire: pairs with the releases in unlock() and unlock_shared(), and in EntryTree::write().
    // relaxed on failure: nothing is read.
    return cell_.compare_exchange_strong(seen, identity_ | EntryWord::exclusive,
                                         std::memory_order_acquire, std::memory_order_relaxed)
               ? Locked::locked
               : barred_or_gone(seen);
  }
  Unlocked unlock() {
    u64 seen = cell_.load(std::memory_order_relaxed);  // relaxed: the exchange decides
    while ((seen & ~EntryWord::waited_for) == (identity_ | EntryWord::exclusive)) {
      const bool wakes = EntryWord::has(seen, EntryWord::waited_for);
      // release: pairs with the acquires in try_lock() and try_lock_shared(). relaxed on failure:
      // the next turn decides.
      if (cell_.compare_exchange_weak(seen, identity_, std::memory_order_release,
                                      std::memory_order_relaxed))
        return wakes ? Unlocked::wakes : Unlocked::quiet;
    }
    return Unlocked::gone;
  }

  // Notes that a thread waits for a hold. False: nothing bars that hold, or the word lies elsewhere
  // now.
  bool note_waiter(bool shared_hold) {
    constexpr u64 flags = EntryWord::exclusive | EntryWord::waited_for;
    u64 seen = cell_.load(std::memory_order_relaxed);  // relaxed: the exchange decides
    while ((seen % EntryWord::one_shared & ~flags) == identity_ &&
           EntryWord::bars(seen, shared_hold))
      // relaxed, both: the lock of the list of waiters orders the waiter before the thread that
      // wakes it.
      if (cell_.compare_exchange_weak(seen, seen | EntryWord::waited_for, std::memory_order_relaxed,
                                      std::memory_order_relaxed))
        return true;
    return false;
  }

 private:
  Locked barred_or_gone(u64 seen) const {
    constexpr u64 place = EntryWord::address_mask | EntryWord::continues;
    return (seen & place) == identity_ ? Locked::barred : Locked::gone;
  }

  Cell& cell_;
  const u64 identity_;
};

}  // namespace faultline::vmas
