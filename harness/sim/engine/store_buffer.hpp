// The state of one CPU's store buffer. StoreBuffers is what happens to it.
#pragma once

#include <vector>

#include "harness/sim/types.hpp"

namespace faultline::sim {

// A ring of the stores that the CPU posted last. Stores get their lines in program order, and the
// newest `waiting` have not got theirs.
struct StoreBuffer {
  static constexpr Time not_known = ~Time{0};  // when a waiting store completes

  struct Store {
    Time complete = 0;
    u32 request = 0;  // LineQueues, while it waits
  };
  enum class Awaits : u8 { nothing, slot, all };

  u32 waiting = 0;
  u32 next = 0;                     // the place in the ring of the store to come
  Time complete = 0;                // when all stores that have their lines are complete
  std::vector<Store> ring;          // a power of two of them, not less than the buffer's depth
  Awaits awaits = Awaits::nothing;  // what the blocked CPU needs to go on

  // The place in the ring of the n-th last store.
  u32 slot(u32 n) const { return (next - n) & static_cast<u32>(ring.size() - 1); }
  void advance() { next = slot(~u32{0}); }
  bool is_oldest_waiting(u32 place) const { return place == slot(waiting); }
  // Whether the CPU's stores are complete at that time.
  bool is_drained(Time now) const { return waiting == 0 && complete <= now; }
};

}  // namespace faultline::sim
