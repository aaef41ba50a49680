// Abseil's mutex, which readers may share (absl/synchronization/mutex.h): a word that is changed by
// compare-and-exchange, and a queue of waiters. Writers spin while a writer holds, then queue and
// sleep; readers queue at once. Native only.
//
// Distributions build the library with its deadlock detector, which takes a spinlock of the whole
// process at each acquisition. The constructor switches it off for the process. Each operation
// still loads the switch.
#pragma once

#include <absl/synchronization/mutex.h>

#include <string>

#include "locks/external/tsan.hpp"
#include "locks/platform.hpp"
#include "locks/promise.hpp"
#include "locks/shared/concept.hpp"

namespace faultline {

template <class P>
class AbslMutex {
 public:
  static constexpr bool atomic_downgrade = false;
  static constexpr Promise promise = no_promise;  // Abseil promises no order of arrival

  AbslMutex() {
    [[maybe_unused]] static const bool is_off = [] {
      absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
      return true;
    }();
  }
  AbslMutex(const AbslMutex&) = delete;
  AbslMutex& operator=(const AbslMutex&) = delete;

  void lock_shared() {
    if (try_lock_shared()) return;
    WaitScope<P> waiting(this, "absl_mutex to read");
    mutex_.ReaderLock();
    tell_tsan_acquired(&mutex_);
  }
  bool try_lock_shared() {
    if (!mutex_.ReaderTryLock()) return false;
    tell_tsan_acquired(&mutex_);
    return true;
  }
  void unlock_shared() {
    tell_tsan_released(&mutex_);
    mutex_.ReaderUnlock();
  }

  void lock() {
    if (try_lock()) return;
    WaitScope<P> waiting(this, "absl_mutex to write");
    mutex_.WriterLock();
    tell_tsan_acquired(&mutex_);
  }
  bool try_lock() {
    if (!mutex_.WriterTryLock()) return false;
    tell_tsan_acquired(&mutex_);
    return true;
  }
  void unlock() {
    tell_tsan_released(&mutex_);
    mutex_.WriterUnlock();
  }
  void downgrade() {
    unlock();
    lock_shared();
  }

  void append_events(Events&) const {}
  std::string describe() const { return "absl_mutex, which does not say who holds it"; }

 private:
  absl::Mutex mutex_;
};

}  // namespace faultline
