// A lock's own events, such as steals, handoffs and fall-backs by reason: named counters, one set
// per thread, summed when they are read. The kernel's counterparts are
// kernel/locking/lock_events_list.h and the vma_lock_* counters of /proc/vmstat.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "locks/per_thread.hpp"

namespace faultline {

struct EventCount {
  std::string name;
  u64 value;
};

using Events = std::vector<EventCount>;

template <class P, usize N>
class EventCounters {
 public:
  // `names` as they appear in results: the lock's name, a dot, the event, as in
  // "rwsem.reader_steal".
  explicit EventCounters(const std::array<const char*, N>& names) : names_(names) {}

  void add(usize event, u64 amount = 1) {
    auto& count = counts_.here().values[event];
    // relaxed: one thread writes each counter, and a reader of totals needs no order.
    count.store(count.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }

  void append_to(Events& events) const {
    std::array<u64, N> totals{};
    counts_.for_each([&](u32, const Counts& counts) {
      for (usize i = 0; i < N; ++i)
        totals[i] += counts.values[i].load(std::memory_order_relaxed);  // relaxed: see add()
    });
    for (usize i = 0; i < N; ++i) events.push_back({names_[i], totals[i]});
  }

 private:
  struct Counts {
    typename P::template atomic<u64> values[N] = {};
  };
  std::array<const char*, N> names_;
  PerThread<P, Counts> counts_;
};

}  // namespace faultline
