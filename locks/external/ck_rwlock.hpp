// Concurrency Kit's reader-writer lock (ck_rwlock.h): a flag of the writer, a count of the readers,
// side by side. A writer that waits keeps new readers out. All spin. Native only.
#pragma once

extern "C" {
#include <ck_rwlock.h>
}

#include <optional>
#include <string>

#include "locks/external/tsan.hpp"
#include "locks/layout.hpp"
#include "locks/platform.hpp"
#include "locks/promise.hpp"
#include "locks/shared/concept.hpp"

namespace faultline {

template <class P>
class CkRwlock {
 public:
  static constexpr bool atomic_downgrade = true;
  static constexpr Promise promise = no_promise;  // whoever exchanges the flag first has it

  CkRwlock() { ck_rwlock_init(&lock_); }

  void lock_shared() {
    // Only looks: a try that fails would count the reader twice.
    std::optional<WaitScope<P>> waiting;
    if (ck_rwlock_locked_writer(&lock_)) waiting.emplace(this, "ck_rwlock to read");
    ck_rwlock_read_lock(&lock_);
    tell_tsan_acquired(&lock_);
  }
  bool try_lock_shared() {
    if (!ck_rwlock_read_trylock(&lock_)) return false;
    tell_tsan_acquired(&lock_);
    return true;
  }
  void unlock_shared() {
    tell_tsan_released(&lock_);
    ck_rwlock_read_unlock(&lock_);
  }

  void lock() {
    // Only looks: a try that fails would let readers in before the writer waits.
    std::optional<WaitScope<P>> waiting;
    if (ck_rwlock_locked(&lock_)) waiting.emplace(this, "ck_rwlock to write");
    ck_rwlock_write_lock(&lock_);
    tell_tsan_acquired(&lock_);
  }
  bool try_lock() {
    if (!ck_rwlock_write_trylock(&lock_)) return false;
    tell_tsan_acquired(&lock_);
    return true;
  }
  void unlock() {
    tell_tsan_released(&lock_);
    ck_rwlock_write_unlock(&lock_);
  }
  void downgrade() {
    tell_tsan_released(&lock_);
    ck_rwlock_write_downgrade(&lock_);
  }

  void append_events(Events&) const {}
  std::string describe() const { return "ck_rwlock, which does not say who holds it"; }

 private:
  alignas(cache_line) ck_rwlock_t lock_;
};

}  // namespace faultline
