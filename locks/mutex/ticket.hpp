// A ticket lock: FIFO, two words (Reed and Kanodia 1979; Mellor-Crummey and Scott 1991,
// algorithm 2.2).
//
//   lock    take a number; wait until it is served
//   unlock  serve the next number
#pragma once

#include "locks/layout.hpp"
#include "locks/mutex/concept.hpp"
#include "locks/platform.hpp"

namespace faultline {

// `Number` counts acquisitions and wraps: more values than threads that can wait at once. Both
// words lie side by side in eight bytes, as the kernel's spinlock lies in four (arch_spinlock_t),
// on the line of what they guard.
template <class P, class Number>
class TicketOf {
 public:
  struct Node {};

  TicketOf() {
    if constexpr (PlainCells<P>) static_assert(sizeof(TicketOf) == 2 * sizeof(Number));
  }

  void lock(Node&) {
    // relaxed: the load that finds it served orders.
    const Number mine = next_.fetch_add(1, std::memory_order_relaxed);
    // acquire: pairs with unlock's release.
    if (serving_.load(std::memory_order_acquire) != mine) [[unlikely]]
      await(mine);
  }

  // Takes the number that is being served, if nobody has it yet. Between the first load and the
  // exchange a number comes round again only when as many acquisitions go by as Number has values
  // (ABA). The exchange then draws a number that is not served yet, and try_lock waits for it as
  // lock does: late, but exclusive.
  bool try_lock(Node&) {
    // relaxed: the load that finds it served orders.
    Number mine = serving_.load(std::memory_order_relaxed);
    // relaxed: as above.
    if (!next_.compare_exchange_strong(mine, static_cast<Number>(mine + 1),
                                       std::memory_order_relaxed, std::memory_order_relaxed))
      return false;
    // acquire: pairs with unlock's release.
    if (serving_.load(std::memory_order_acquire) != mine) [[unlikely]]
      await(mine);
    return true;
  }

  void unlock(Node&) {
    // relaxed load: only the holder writes it. release: pairs with lock's and try_lock's acquire.
    serving_.store(static_cast<Number>(serving_.load(std::memory_order_relaxed) + 1),
                   std::memory_order_release);
  }

 private:
  // Apart, so that the compiler inlines what is left of lock().
  [[gnu::noinline]] void await(Number mine) {
    WaitScope<P> waiting(this, "ticket");
    // acquire: pairs with unlock's release.
    while (serving_.load(std::memory_order_acquire) != mine) P::pause(this);
  }

  typename P::template atomic<Number> next_{0};
  typename P::template atomic<Number> serving_{0};
};

template <class P>
using Ticket = TicketOf<P, u32>;

}  // namespace faultline
