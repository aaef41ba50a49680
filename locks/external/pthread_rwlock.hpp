// The C library's reader-writer lock with its default attributes, with which glibc prefers readers.
// Native only.
#pragma once

#include <pthread.h>

#include "locks/platform.hpp"
#include "locks/promise.hpp"
#include "locks/shared/concept.hpp"

namespace faultline {

template <class P>
class PthreadRwlock {
 public:
  static constexpr bool atomic_downgrade = false;
  static constexpr Promise promise = no_promise;  // readers pass waiting writers

  PthreadRwlock() = default;
  PthreadRwlock(const PthreadRwlock&) = delete;
  PthreadRwlock& operator=(const PthreadRwlock&) = delete;
  ~PthreadRwlock() { pthread_rwlock_destroy(&lock_); }

  void lock_shared() {
    if (try_lock_shared()) return;
    WaitScope<P> waiting(this, "pthread_rwlock to read");
    pthread_rwlock_rdlock(&lock_);
  }
  bool try_lock_shared() { return pthread_rwlock_tryrdlock(&lock_) == 0; }
  void unlock_shared() { pthread_rwlock_unlock(&lock_); }

  void lock() {
    if (try_lock()) return;
    WaitScope<P> waiting(this, "pthread_rwlock to write");
    pthread_rwlock_wrlock(&lock_);
  }
  bool try_lock() { return pthread_rwlock_trywrlock(&lock_) == 0; }
  void unlock() { pthread_rwlock_unlock(&lock_); }
  void downgrade() {
    unlock();
    lock_shared();
  }

  void append_events(Events&) const {}
  std::string describe() const { return "pthread_rwlock, which does not say who holds it"; }

 private:
  pthread_rwlock_t lock_ = PTHREAD_RWLOCK_INITIALIZER;
};

}  // namespace faultline
