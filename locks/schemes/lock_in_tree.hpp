// Scheme `lock_in_tree`: its only locks are the slots of the radix tree that holds the mappings,
// after RadixVM (Clements, Kaashoek, Zeldovich, EuroSys 2013, section 3). A fault locks the slot of
// its page. map, unmap and protect lock the slots of their range from left to right, holes
// included. Operations on disjoint ranges share no lock word. PerPageSpace has the operations.
//
// How the model differs from RadixVM, beside what PerPageSpace says:
// - A slot also guards the break: the slot of the page below the break's start.
// - A fault expands the tree down to a leaf slot for its page, since all faults of 2 MiB would wait
//   for one another on a folded slot.
#pragma once

#include <algorithm>
#include <type_traits>
#include <utility>

#include "locks/address_space/radix_tree.hpp"
#include "locks/schemes/per_page_space.hpp"
#include "locks/star.hpp"

namespace faultline {

// `Tree` has the public functions of RadixTree. Only tests pass another class.
template <class P, class Tree = RadixTree<P>>
using LockInTree = PerPageSpace<P, Tree>;

// RadixVM's tree on sv6, whose leaves have 64 slots. It takes one level more to reach all pages.
template <class P>
using Sv6Tree = RadixTree<P, 9, 5, Sv6Slot, 6>;

// Frames as RadixVM's Refcache frees them. A CPU flushes its cache of reference counts at its next
// tick, and frees what is still unused two epochs later. An epoch is a tick of 10 ms
// (kernel/refcache.cc, kernel/trap.cc and QUANTUM in param.h of sv6). A thread uses a frame again
// after 20 to 40 ms, so it has frames for 40 ms of maps and unmaps of 2.5 us.
template <class Base>
class RefcachedFrames final : public Base {
 public:
  explicit RefcachedFrames(AddressSpaceOptions options) : Base(delayed(std::move(options))) {}

 private:
  static constexpr u64 tick_ns = 10'000'000, delay_ns = 2 * tick_ns;
  static constexpr u64 most_frames = 16384, most_times = 256;

  // A small space of the checker stays small.
  static AddressSpaceOptions delayed(AddressSpaceOptions options) {
    const u64 most = std::min(options.frames_per_thread * most_times, most_frames);
    options.frame_delay = {.ns = delay_ns, .tick = tick_ns, .most = most};
    options.fault_work = false;
    return options;
  }
};

struct lock_in_tree_scheme {
  template <class P, Choices choices>
  using OverTree = LockInTree<P, std::conditional_t<choices[0] == 0, RadixTree<P>, Sv6Tree<P>>>;
  template <class P, Choices choices>
  using Made = std::conditional_t<choices[1] == 0, OverTree<P, choices>,
                                  RefcachedFrames<OverTree<P, choices>>>;
};

}  // namespace faultline
