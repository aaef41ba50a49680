// One turn of a thread at a lock of each kind, and the checks that go with it: for the stress tests
// and for `faultline torture`. All classes have
//   bool turn()            makes the calling thread, which is registered, acquire and release the
//                          lock once; false: its try failed
//   u64 violations()       how many checks have failed until now
//   void settle()          with all threads at rest: checks the final state too
//   std::string probe()    with all threads at rest: what is wrong with the idle lock, or empty
#pragma once

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <type_traits>

#include "harness/torture/guarded.hpp"
#include "locks/mutex/concept.hpp"
#include "locks/range/concept.hpp"
#include "locks/shared/concept.hpp"

namespace faultline::torture {

template <Mutex L, bool plain = true>
class MutexTurns {
 public:
  using Lock = L;
  static constexpr const char* checks = "exclusion, try";

  explicit MutexTurns(L& lock) : lock_(lock) {}

  // A quarter of the turns use try_lock.
  bool turn() {
    typename L::Node node;
    const u64 dice = NativePlatform::random();
    if (dice % 4 != 0)
      lock_.lock(node);
    else if (!lock_.try_lock(node))
      return false;
    guarded_.enter_writer();
    guarded_.write(dice / 4);
    guarded_.leave_writer();
    lock_.unlock(node);
    writes_.fetch_add(1, std::memory_order_relaxed);  // relaxed: read at rest
    return true;
  }

  u64 violations() const { return guarded_.violations(); }
  void settle() { guarded_.settle(writes_); }

  std::string probe() {
    typename L::Node holder;
    typename L::Node other;
    if (!lock_.try_lock(holder)) return "a try failed while no thread held the lock";
    if (lock_.try_lock(other)) return "a try acquired the lock while it was held";
    lock_.unlock(holder);
    return {};
  }

 private:
  L& lock_;
  Guarded<plain> guarded_;
  std::atomic<u64> writes_{0};
};

template <SharedLock L, bool plain = true>
class SharedTurns {
 public:
  using Lock = L;
  static constexpr const char* checks =
      L::atomic_downgrade ? "exclusion, try, downgrade" : "exclusion, try, downgrade in two steps";

  explicit SharedTurns(L& lock) : lock_(lock) {}

  // Six of ten turns read, the others write; a third of both use the try functions.
  bool turn() {
    const u64 dice = NativePlatform::random();
    const bool tries = dice % 3 == 0;
    return dice / 3 % 10 < 6 ? read(tries, dice / 30) : write(tries, dice / 30);
  }

  u64 violations() const { return guarded_.violations(); }
  void settle() { guarded_.settle(writes_); }

  std::string probe() {
    if (!lock_.try_lock()) return "a try failed while no thread held the lock";
    if (elsewhere([&] { return reads() || writes(); }))
      return "a try acquired the lock beside a writer";
    lock_.downgrade();
    if (!elsewhere([&] { return reads(); })) return "a downgraded hold kept a reader out";
    if (elsewhere([&] { return writes(); })) return "a downgraded hold let a writer in";
    lock_.unlock_shared();
    return {};
  }

 private:
  bool read(bool tries, u64 dice) {
    if (!tries)
      lock_.lock_shared();
    else if (!lock_.try_lock_shared())
      return false;
    guarded_.enter_reader();
    guarded_.read(dice);
    guarded_.leave_reader();
    lock_.unlock_shared();
    return true;
  }

  bool write(bool tries, u64 dice) {
    if (!tries)
      lock_.lock();
    else if (!lock_.try_lock())
      return false;
    guarded_.enter_writer();
    const u64 written = guarded_.write(dice / 2);
    if (dice % 2 == 0) {
      guarded_.leave_writer();
      lock_.unlock();
    } else {
      end_as_reader(written, dice / 2);
    }
    writes_.fetch_add(1, std::memory_order_relaxed);  // relaxed: read at rest
    return true;
  }

  void end_as_reader(u64 written, u64 dice) {
    if constexpr (L::atomic_downgrade) {
      guarded_.downgrade();
      lock_.downgrade();
      guarded_.expect(guarded_.read(dice) == written);
    } else {
      guarded_.leave_writer();
      lock_.downgrade();
      guarded_.enter_reader();
      guarded_.read(dice);
    }
    guarded_.leave_reader();
    lock_.unlock_shared();
  }

  // Runs `attempt` on a thread of its own, since no lock here is recursive.
  template <class F>
  static bool elsewhere(F&& attempt) {
    bool result = false;
    const u32 other = NativePlatform::self() + 1;
    std::thread([&] {
      const NativeThread registered(other, 0, 0, other);
      result = attempt();
    }).join();
    return result;
  }
  bool reads() { return lock_.try_lock_shared() && (lock_.unlock_shared(), true); }
  bool writes() { return lock_.try_lock() && (lock_.unlock(), true); }

  L& lock_;
  Guarded<plain> guarded_;
  std::atomic<u64> writes_{0};
};

struct RangeMix {
  u64 longest = 16;    // pages
  u32 exclusive = 50;  // percent
};

template <RangeLock L, bool plain = true>
class RangeTurns {
 public:
  using Lock = L;
  using Pages = GuardedPages<plain>;
  static constexpr const char* checks = "exclusion by page, try, downgrade, shrink";

  explicit RangeTurns(L& lock, RangeMix mix = {}) : lock_(lock), mix_(mix) {}

  // Acquires a random range; the holder may shrink and downgrade it. A quarter of the turns use
  // try_lock.
  bool turn() {
    typename L::Node node;
    const u64 first = random() % Pages::pages;
    const u64 count = 1 + random() % std::min(mix_.longest, Pages::pages - first);
    Hold hold{page_range(first, count), random() % 100 < mix_.exclusive};
    if (random() % 4 != 0)
      lock_.lock(node, hold.range, hold.exclusive);
    else if (!lock_.try_lock(node, hold.range, hold.exclusive))
      return false;
    hold.exclusive = hold.exclusive || !shares_ranges<L>;
    pages_.enter(hold.range, hold.exclusive);
    pages_.touch(hold.range, hold.exclusive);
    if (hold.exclusive)
      writes_.fetch_add(count, std::memory_order_relaxed);  // relaxed: read at rest
    linger(random());
    const bool shrinks_first = random() % 2 == 0;
    for (const bool shrinks : {shrinks_first, !shrinks_first})
      if (random() % 3 == 0) shrinks ? shrink(node, hold) : downgrade(node, hold);
    pages_.leave(hold.range, hold.exclusive);
    lock_.unlock(node);
    return true;
  }

  u64 violations() const {
    return pages_.violations() + miscounted_.load(std::memory_order_relaxed);  // relaxed: a count
  }
  void settle() {
    if (pages_.writes() != writes_) ++miscounted_;
  }

  std::string probe() {
    if (!lock_.describe().empty()) return "at rest: " + lock_.describe().front();
    if constexpr (requires { lock_.check(); })
      if (const std::string wrong = lock_.check(); !wrong.empty()) return wrong;
    typename L::Node holder;
    typename L::Node other;
    const Range whole = page_range(0, Pages::pages);
    if (!lock_.try_lock(holder, whole, true)) return "a try failed while no thread held the lock";
    if (lock_.try_lock(other, page_range(3, 1), false))
      return "a try acquired the lock beside a writer";
    lock_.downgrade(holder);
    if (lock_.try_lock(other, page_range(3, 1), true)) return "a downgraded hold let a writer in";
    const bool shared = lock_.try_lock(other, page_range(3, 1), false);
    if (shared) lock_.unlock(other);
    if (shared != shares_ranges<L>)
      return shared ? "a hold that excludes let a reader in"
                    : "a downgraded hold kept a reader out";
    lock_.unlock(holder);
    return {};
  }

 private:
  struct Hold {
    Range range;
    bool exclusive;
  };

  static u64 random() { return NativePlatform::random(); }
  static Range page_range(u64 first, u64 count) {
    return {first * page_size, (first + count) * page_size};
  }

  void shrink(typename L::Node& node, Hold& hold) {
    const u64 first = hold.range.start / page_size;
    const u64 count = hold.range.length() / page_size;
    const u64 skip = random() % count;
    const Range kept = page_range(first + skip, 1 + random() % (count - skip));
    pages_.leave({hold.range.start, kept.start}, hold.exclusive);
    pages_.leave({kept.end, hold.range.end}, hold.exclusive);
    lock_.downgrade_range(node, kept);
    hold.range = kept;
    pages_.touch(kept, false);
  }
  void downgrade(typename L::Node& node, Hold& hold) {
    if (!hold.exclusive) return;
    if (shares_ranges<L>) {
      pages_.downgrade(hold.range);
      hold.exclusive = false;
    }
    lock_.downgrade(node);
    pages_.touch(hold.range, false);
  }

  L& lock_;
  const RangeMix mix_;
  Pages pages_;
  std::atomic<u64> writes_{0};
  std::atomic<u64> miscounted_{0};
};

// Turns<L, plain>: the class of turns that fits the kind of the lock L.
template <class L, bool plain>
struct TurnsFor;
template <Mutex L, bool plain>
struct TurnsFor<L, plain> : std::type_identity<MutexTurns<L, plain>> {};
template <SharedLock L, bool plain>
struct TurnsFor<L, plain> : std::type_identity<SharedTurns<L, plain>> {};
template <RangeLock L, bool plain>
struct TurnsFor<L, plain> : std::type_identity<RangeTurns<L, plain>> {};
template <class L, bool plain>
using Turns = typename TurnsFor<L, plain>::type;

}  // namespace faultline::torture
