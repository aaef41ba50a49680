// The C++ library's reader-writer lock (libstdc++ puts it on pthread_rwlock). Native only.
#pragma once

#include <shared_mutex>

#include "locks/platform.hpp"
#include "locks/promise.hpp"
#include "locks/shared/concept.hpp"

namespace faultline {

template <class P>
class StdSharedMutex {
 public:
  static constexpr bool atomic_downgrade = false;
  static constexpr Promise promise = no_promise;  // the C++ standard makes none

  void lock_shared() {
    if (lock_.try_lock_shared()) return;
    WaitScope<P> waiting(this, "std_shared_mutex to read");
    lock_.lock_shared();
  }
  bool try_lock_shared() { return lock_.try_lock_shared(); }
  void unlock_shared() { lock_.unlock_shared(); }

  void lock() {
    if (lock_.try_lock()) return;
    WaitScope<P> waiting(this, "std_shared_mutex to write");
    lock_.lock();
  }
  bool try_lock() { return lock_.try_lock(); }
  void unlock() { lock_.unlock(); }
  void downgrade() {
    unlock();
    lock_shared();
  }

  void append_events(Events&) const {}
  std::string describe() const { return "std_shared_mutex, which does not say who holds it"; }

 private:
  std::shared_mutex lock_;
};

}  // namespace faultline
