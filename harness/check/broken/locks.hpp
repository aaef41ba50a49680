// Locks that are broken by hand, each in one place: two mutexes, two semaphores, one range lock and
// one queue of spinners. With Flaw::none they are simple and sound, and serve as controls. All but
// the queue sleep on one word that counts the releases. One mutex and one semaphore are fair.
#pragma once

#include <string>
#include <vector>

#include "harness/check/broken/flaws.hpp"
#include "locks/events.hpp"
#include "locks/mutex/osq.hpp"
#include "locks/platform.hpp"
#include "locks/promise.hpp"
#include "locks/types.hpp"

namespace faultline::check {

// Repeats `take`, which it calls under the inner lock, and sleeps until a release where that fails.
template <class P, Flaw flaw, template <class> class Inner>
class Sleeper {
 public:
  template <class F>
  void until(const char* what, const F& take) {
    const WaitScope<P> waiting(this, what);
    for (;;) {
      // acquire: pairs with release's release.
      u32 ticket = releases_.load(std::memory_order_acquire);
      if (attempt(take)) return;
      if constexpr (flaw == Flaw::late_ticket) ticket = releases_.load(std::memory_order_acquire);
      P::wait(releases_, ticket);
    }
  }
  template <class F>
  bool attempt(const F& take) {
    typename Inner<P>::Node node;
    inner_.lock(node);
    const bool taken = take();
    inner_.unlock(node);
    return taken;
  }
  template <class F>
  void release(const F& give, bool silent = false) {
    attempt([&] { return give(), true; });
    releases_.fetch_add(1, std::memory_order_release);  // release: pairs with until's acquire
    if (flaw != Flaw::no_wake && !silent) P::wake(releases_, ~u32{0});
  }

 private:
  Inner<P> inner_;
  typename P::template atomic<u32> releases_{0};
};

template <class P, Flaw flaw, template <class> class Inner>
class FlawedMutex {
 public:
  static constexpr Promise promise = no_promise;
  struct Node {};
  void lock(Node& node) {
    if (flaw == Flaw::early_publication) publish();
    sleeper_.until("flawed mutex", [&] { return take(node); });
  }
  bool try_lock(Node& node) {
    if (flaw == Flaw::trying_waits) return lock(node), true;
    return sleeper_.attempt([&] { return take(node); });
  }
  void unlock(Node&) {
    // release: pairs with take's acquire.
    sleeper_.release([&] { held_.store(0, std::memory_order_release); });
  }

 private:
  using Word = typename P::template atomic<u32>;

  bool take(Node&) { return held_.exchange(1, std::memory_order_acquire) == 0; }

  void publish() {
    // acquire: pairs with nothing, which is the flaw. relaxed: the value does not matter.
    if (Word* word = made_.load(std::memory_order_acquire)) word->load(std::memory_order_relaxed);
    Word* word = new (P::allocate(sizeof(Word), alignof(Word))) Word{1};
    made_.store(word, std::memory_order_relaxed);  // relaxed: the flaw
  }

  Sleeper<P, flaw, Inner> sleeper_;
  typename P::template atomic<Word*> made_{nullptr};
  typename P::template atomic<u32> held_{0};
};

template <class P, Flaw flaw, template <class> class Inner>
class FlawedShared {
 public:
  static constexpr Promise promise = no_promise;
  static constexpr bool atomic_downgrade = true;
  void lock_shared() {
    sleeper_.until("flawed semaphore to read", [&] { return take_shared(); });
  }
  bool try_lock_shared() {
    return sleeper_.attempt([&] { return take_shared(); });
  }
  void unlock_shared() {
    sleeper_.release([&] { readers_.store(readers_.load() - 1); });
  }
  void lock() {
    sleeper_.until("flawed semaphore to write", [&] { return take(); });
  }
  bool try_lock() {
    return sleeper_.attempt([&] { return take(); });
  }
  void unlock() {
    sleeper_.release([&] { writer_.store(false); });
  }
  void downgrade() {
    if (flaw == Flaw::downgrade_gap) return unlock(), lock_shared();
    sleeper_.release([&] { return writer_.store(false), readers_.store(1); },
                     flaw == Flaw::downgrade_silent);
  }
  void append_events(Events&) const {}
  std::string describe() const { return "flawed"; }

 private:
  bool take_shared() {
    if (flaw != Flaw::rude_readers && writer_.load()) return false;
    return readers_.store(readers_.load() + 1), true;
  }
  bool take() {
    if (writer_.load() || readers_.load() != 0) return false;
    return writer_.store(true), true;
  }

  Sleeper<P, flaw, Inner> sleeper_;
  typename P::template data<bool> writer_;
  typename P::template data<u32> readers_;
};

// Threads get in by the numbers that they have drawn.
template <class P, Flaw flaw, template <class> class Inner>
class FlawedFairMutex {
 public:
  static constexpr Promise promise{.most_passes = 0, .since = "has drawn its number"};
  struct Node {};

  void lock(Node&) {
    u32 mine = 0;
    sleeper_.attempt([&] { return mine = next_.load(), next_.store(mine + 1), true; });
    P::promised(promise, P::self());
    sleeper_.until("flawed fair mutex", [&] {
      if (held_.load() || serving_.load() != mine) return false;
      return serving_.store(mine + 1), held_.store(true), true;
    });
  }
  bool try_lock(Node&) {
    return sleeper_.attempt([&] {
      if (held_.load() || (flaw != Flaw::barging && serving_.load() != next_.load())) return false;
      return held_.store(true), true;
    });
  }
  void unlock(Node&) {
    sleeper_.release([&] { held_.store(false); });
  }

 private:
  Sleeper<P, flaw, Inner> sleeper_;
  typename P::template data<u32> next_;
  typename P::template data<u32> serving_;
  typename P::template data<bool> held_;
};

// Threads get in as they come. The lock is kept for a waiter that fails after its time.
template <class P, Flaw flaw, template <class> class Inner>
class FlawedHandoff {
 public:
  static constexpr bool atomic_downgrade = true;
  static constexpr Promise promise{.most_passes = 0, .since = "has the lock kept for it"};

  void lock_shared() { acquire(false); }
  bool try_lock_shared() {
    return sleeper_.attempt([&] { return take(false); });
  }
  void unlock_shared() {
    sleeper_.release([&] { return readers_.store(readers_.load() - 1), forget(); });
  }
  void lock() { acquire(true); }
  bool try_lock() {
    return sleeper_.attempt([&] { return take(true); });
  }
  void unlock() {
    sleeper_.release([&] { return writer_.store(false), forget(); });
  }
  void downgrade() {
    sleeper_.release([&] { return writer_.store(false), readers_.store(1); });
  }
  void append_events(Events&) const {}
  std::string describe() const { return "flawed"; }

 private:
  static constexpr u64 patience = 4'000'000;  // nanoseconds

  void acquire(bool writes) {
    const u64 deadline = P::now() + patience;
    sleeper_.until("flawed handoff", [&] {
      if (take(writes)) return true;
      if (kept_for_.load() == 0 && P::now() > deadline) {
        kept_for_.store(P::self() + 1);
        P::promised(promise, P::self());
      }
      return false;
    });
  }
  bool take(bool writes) {
    if (kept_for_.load() != 0 && kept_for_.load() != P::self() + 1) return false;
    if (writer_.load() || (writes && readers_.load() != 0)) return false;
    kept_for_.store(0);
    return writes ? writer_.store(true) : readers_.store(readers_.load() + 1), true;
  }
  void forget() {
    if (flaw == Flaw::lost_handoff) kept_for_.store(0);
  }

  Sleeper<P, flaw, Inner> sleeper_;
  typename P::template data<u32> kept_for_;  // 0: for no thread; else the thread's number + 1
  typename P::template data<bool> writer_;
  typename P::template data<u32> readers_;
};

// The held nodes stand in a list without order. Waiters get in as they come.
template <class P, Flaw flaw, template <class> class Inner>
class FlawedRange {
 public:
  static constexpr Promise promise = no_promise;
  class Node {
    friend class FlawedRange;
    typename P::template data<u64> start;
    typename P::template data<u64> end;
    typename P::template data<bool> exclusive;
    typename P::template data<Node*> next;
  };

  void lock(Node& node, Range range, bool exclusive) {
    prepare(node, range, exclusive);
    sleeper_.until("flawed range lock", [&] { return take(node); });
  }
  bool try_lock(Node& node, Range range, bool exclusive) {
    prepare(node, range, exclusive);
    return sleeper_.attempt([&] { return take(node); });
  }
  void unlock(Node& node) {
    sleeper_.release([&] { remove(node); });
  }
  void downgrade(Node& node) {
    sleeper_.release([&] { node.exclusive.store(false); }, flaw == Flaw::downgrade_silent);
  }
  void downgrade_range(Node& node, Range range) {
    sleeper_.release(
        [&] {
          if (flaw != Flaw::kept_start) node.start.store(range.start);
          node.end.store(range.end);
        },
        flaw == Flaw::shrink_silent);
    if (flaw == Flaw::late_touch) node.end.store(range.end);
  }
  void append_events(Events&) const {}
  std::vector<std::string> describe() const { return {}; }

 private:
  static void prepare(Node& node, Range range, bool exclusive) {
    node.start.store(range.start);
    node.end.store(flaw == Flaw::hole ? range.end - page_size : range.end);
    node.exclusive.store(exclusive);
  }
  bool take(Node& node) {
    for (Node* other = first_.load(); other != nullptr; other = other->next.load())
      if (conflict(*other, node)) return false;
    node.next.store(first_.load());
    first_.store(&node);
    return true;
  }
  static bool conflict(const Node& other, const Node& node) {
    if (other.start.load() >= node.end.load() || node.start.load() >= other.end.load())
      return false;
    return node.exclusive.load() || (flaw != Flaw::rude_readers && other.exclusive.load());
  }
  void remove(Node& node) {
    if (first_.load() == &node) return first_.store(node.next.load());
    for (Node* other = first_.load(); other != nullptr; other = other->next.load())
      if (other->next.load() == &node) return other->next.store(node.next.load());
  }

  Sleeper<P, flaw, Inner> sleeper_;
  typename P::template data<Node*> first_;
};

// The members of the queue, which may leave it, stand in an array under a mutex.
template <class P, Flaw flaw, template <class> class Inner>
class FlawedQueue {
 public:
  OsqEntry enter() {
    const u32 self = P::self();
    // relaxed: mutex_ orders this store before the one by which another thread makes self the head.
    if (flaw != Flaw::stale_head) is_head_[self].store(0, std::memory_order_relaxed);
    const bool first = locked([&] { return append(self); });
    if (first) return OsqEntry::at_once;
    // acquire: pairs with exit's release.
    while (is_head_[self].load(std::memory_order_acquire) == 0) {
      if (!P::running(self) && locked([&] { return leave(self); })) return OsqEntry::left;
      P::pause(this);
    }
    return OsqEntry::waited;
  }
  void exit() {
    locked([&] {
      remove(0);
      // release: pairs with enter's acquire.
      if (flaw != Flaw::no_handoff && count_.load() != 0)
        is_head_[members_[0].load()].store(1, std::memory_order_release);
      return true;
    });
  }

 private:
  template <class F>
  bool locked(const F& edit) {
    typename Inner<P>::Node node;
    mutex_.lock(node);
    const bool answer = edit();
    mutex_.unlock(node);
    return answer;
  }
  bool append(u32 self) {
    members_[count_.load()].store(self);
    count_.store(count_.load() + 1);
    return count_.load() == 1;
  }
  void remove(u32 place) {
    count_.store(count_.load() - 1);
    for (u32 i = place; i < count_.load(); ++i) members_[i].store(members_[i + 1].load());
  }
  // False: `self` has become the head.
  bool leave(u32 self) {
    u32 place = 0;
    while (members_[place].load() != self) ++place;
    if (place == 0) return flaw == Flaw::handoff_ignored;
    remove(place);
    return true;
  }

  Inner<P> mutex_;
  typename P::template data<u32> members_[P::max_threads];
  typename P::template data<u32> count_;
  typename P::template atomic<u32> is_head_[P::max_threads] = {};
};

}  // namespace faultline::check
