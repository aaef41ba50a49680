// Locks that are broken on purpose. The stress tests must find each of them.
#pragma once

#include <sched.h>

#include <atomic>
#include <string>

#include "harness/native/platform.hpp"
#include "locks/events.hpp"
#include "locks/shared/rwsem.hpp"

namespace faultline::broken {

using P = NativePlatform;

// A ticket lock that does not wait for its turn.
class ImpatientTicket {
 public:
  struct Node {};
  void lock(Node&) { next_.fetch_add(1, std::memory_order_acquire); }
  bool try_lock(Node& node) {
    lock(node);
    return true;
  }
  void unlock(Node&) { serving_.fetch_add(1, std::memory_order_release); }

 private:
  std::atomic<u32> next_{0};
  std::atomic<u32> serving_{0};
};

// A mutex that sleeps, and whose unlock wakes nobody.
class Sleepy {
 public:
  struct Node {};
  void lock(Node& node) {
    while (!try_lock(node)) {
      const WaitScope<P> waiting(this, "sleepy");
      P::wait(held_, 1);
      if (rescued_) return;
    }
  }
  bool try_lock(Node&) { return held_.exchange(1) == 0; }
  void unlock(Node&) { held_ = 0; }
  void rescue() {
    rescued_ = true;
    P::wake(held_, ~u32{0});
  }

 private:
  std::atomic<u32> held_{0};
  std::atomic<bool> rescued_{false};
};

// An rwsem. A derived lock breaks one part of it.
class Spoilt {
 public:
  static constexpr bool atomic_downgrade = true;
  void lock_shared() { lock_.lock_shared(); }
  bool try_lock_shared() { return lock_.try_lock_shared(); }
  void unlock_shared() { lock_.unlock_shared(); }
  void lock() { lock_.lock(); }
  bool try_lock() { return lock_.try_lock(); }
  void unlock() { lock_.unlock(); }
  void downgrade() { lock_.downgrade(); }
  void append_events(Events& events) const { lock_.append_events(events); }
  std::string describe() const { return lock_.describe(); }

 protected:
  Rwsem<P> lock_;
};

// Readers enter even while others hold the lock.
class RudeReaders : public Spoilt {
 public:
  void lock_shared() {}
  bool try_lock_shared() { return true; }
  void unlock_shared() {}
  void downgrade() { unlock(); }
};

// Writers share the lock like readers, which breaks the invariant of writers and that of readers.
class SharingWriters : public Spoilt {
 public:
  void lock() { lock_.lock_shared(); }
  bool try_lock() { return lock_.try_lock_shared(); }
  void unlock() { lock_.unlock_shared(); }
  void downgrade() {}
};

// Releases the lock during a downgrade, but claims that it does not.
class GappyDowngrade : public Spoilt {
 public:
  void downgrade() {
    lock_.unlock();
    sched_yield();
    lock_.lock_shared();
  }
};

}  // namespace faultline::broken
