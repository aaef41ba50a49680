// Scheme `full_range`: mmap_sem over a range lock, where every hold covers the whole address space.
// It is the first step of the incremental conversion from mmap_sem to ranges (Bueso, "mm: towards
// parallel address space operations", LKML 2018), and shows the cost of the range lock itself.
// What mmap_sem says of its discards and walks holds here too: they are not linearizable.
#pragma once

#include <string>
#include <vector>

#include "locks/any.hpp"
#include "locks/per_thread.hpp"
#include "locks/range/concept.hpp"
#include "locks/schemes/mmap_sem.hpp"

namespace faultline {

// Each thread has one node, since it holds the lock at most once at a time and releases its own
// hold.
template <class P, RangeLock Lock>
class FullRange {
 public:
  static constexpr bool atomic_downgrade = true;

  explicit FullRange(const AddressSpaceOptions& options = {}) : lock_(lock_of<Lock>(options)) {}

  void lock_shared() { lock_.lock(nodes_.here(), whole_address_space, false); }
  bool try_lock_shared() { return lock_.try_lock(nodes_.here(), whole_address_space, false); }
  void unlock_shared() { lock_.unlock(nodes_.here()); }
  void lock() { lock_.lock(nodes_.here(), whole_address_space, true); }
  bool try_lock() { return lock_.try_lock(nodes_.here(), whole_address_space, true); }
  void unlock() { lock_.unlock(nodes_.here()); }
  void downgrade() { lock_.downgrade(nodes_.here()); }

  void append_events(Events& events) const { lock_.append_events(events); }
  void label(const char* name) {
    label_lock<P>(lock_, name);
    P::label(&nodes_, name);
  }
  std::string describe() const {
    std::string text;
    for (const std::string& line : lock_.describe()) text += (text.empty() ? "" : "; ") + line;
    return text;
  }

 private:
  Lock lock_;
  PerThread<P, typename Lock::Node> nodes_;
};

struct full_range_scheme {
  template <class P, class Vmas, class Ranges, Layout layout>
  using Space = MmapSem<Mm<P, Vmas, NoHooks, layout>, FullRange<P, Ranges>>;
};

}  // namespace faultline
