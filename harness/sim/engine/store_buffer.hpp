// The state of one CPU's store buffer. The class StoreBuffers changes it.
#pragma once

#include <vector>

#include "harness/sim/types.hpp"

namespace faultline::sim {

// A ring of the stores that the CPU posted last. Stores get their lines in program order. The
// newest `waiting` stores have not got theirs.
struct StoreBuffer {
  // The time at which a waiting store completes is not known.
  static constexpr Time not_known = ~Time{0};

  struct Store {
    Time complete = 0;
    u32 request = 0;  // the request in LineQueues, while the store waits
  };
  enum class Awaits : u8 { nothing, slot, all };

  u32 waiting = 0;
  u32 next = 0;                     // the slot of the next store
  Time complete = 0;                // when all stores that have their lines are complete
  std::vector<Store> ring;          // its size is a power of two and at least the buffer's depth
  Awaits awaits = Awaits::nothing;  // what the blocked CPU needs in order to go on

  // The slot of the n-th last store.
  u32 slot(u32 n) const { return (next - n) & static_cast<u32>(ring.size() - 1); }
  void advance() { next = slot(~u32{0}); }
  const Store& oldest_waiting() const { return ring[slot(waiting)]; }
  // Whether the CPU's stores are complete at that time.
  bool is_drained(Time now) const { return waiting == 0 && complete <= now; }
};

}  // namespace faultline::sim
