// Concurrency Kit's default spinlock (spinlock/fas.h): threads exchange a flag until it was not
// set, and only read it in between. Native only.
#pragma once

extern "C" {
#include <spinlock/fas.h>
}

#include "locks/external/tsan.hpp"
#include "locks/mutex/concept.hpp"
#include "locks/platform.hpp"
#include "locks/promise.hpp"

namespace faultline {

template <class P>
class CkFas {
 public:
  struct Node {};
  static constexpr Promise promise = no_promise;  // whoever exchanges the flag first has it

  CkFas() { ck_spinlock_fas_init(&lock_); }

  void lock(Node& node) {
    if (try_lock(node)) return;
    WaitScope<P> waiting(this, "ck_fas");
    ck_spinlock_fas_lock(&lock_);
    tell_tsan_acquired(&lock_);
  }
  bool try_lock(Node&) {
    if (!ck_spinlock_fas_trylock(&lock_)) return false;
    tell_tsan_acquired(&lock_);
    return true;
  }
  void unlock(Node&) {
    tell_tsan_released(&lock_);
    ck_spinlock_fas_unlock(&lock_);
  }

 private:
  ck_spinlock_fas_t lock_;
};

}  // namespace faultline
