// The operations of a reader-writer semaphore without a lock. Scheme `none` is mmap_sem over it,
// and shows the costs of the harness and the address space alone. For one thread only.
#pragma once

#include "locks/shared/concept.hpp"

namespace faultline {

template <class P>
class NoLock {
 public:
  static constexpr bool atomic_downgrade = true;
  void lock_shared() {}
  bool try_lock_shared() { return true; }
  void unlock_shared() {}
  void lock() {}
  bool try_lock() { return true; }
  void unlock() {}
  void downgrade() {}
  void append_events(Events&) const {}
  std::string describe() const { return "no lock"; }
};

}  // namespace faultline
