// A ticket lock: FIFO, two words (Reed and Kanodia 1979; Mellor-Crummey and Scott 1991,
// algorithm 2.2).
//
//   lock    draw a number; wait until that number is served
//   unlock  serve the next number
#pragma once

#include "locks/layout.hpp"
#include "locks/mutex/concept.hpp"
#include "locks/platform.hpp"
#include "locks/promise.hpp"

namespace faultline {

// `Number` counts acquisitions and wraps. It must have more values than there are threads that can
// wait at the same time. Both words lie side by side in eight bytes, on the line of the data that
// they guard. The kernel's spinlock (arch_spinlock_t) has four bytes.
template <class P, class Number>
class TicketOf {
 public:
  struct Node {};
  // Numbers are served in order, and a try draws one too.
  static constexpr Promise promise{.most_passes = 0, .since = "has drawn its number"};

  TicketOf() {
    if constexpr (PlainCells<P>) static_assert(sizeof(TicketOf) == 2 * sizeof(Number));
  }

  void lock(Node&) {
    // relaxed: the acquire load below, which sees the number served, orders.
    const Number mine = next_.fetch_add(1, std::memory_order_relaxed);
    // acquire: pairs with unlock's release.
    if (serving_.load(std::memory_order_acquire) != mine) [[unlikely]]
      await(mine);
  }

  // Draws the number that is being served, if no thread has drawn it yet. Between the first load
  // and the exchange that number can come round again, if as many acquisitions pass as Number has
  // values (ABA). The exchange then draws a number that is not served yet, and try_lock waits for
  // it as lock does. The lock is still exclusive; try_lock only returns late.
  bool try_lock(Node&) {
    // relaxed: the acquire load below, which sees the number served, orders.
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
    // relaxed load: only the holder writes the word. release: pairs with the acquire in lock and
    // try_lock.
    serving_.store(static_cast<Number>(serving_.load(std::memory_order_relaxed) + 1),
                   std::memory_order_release);
  }

  // Whether another thread has drawn a number. Only the holder asks. A thread that has drawn takes
  // the lock in the end.
  bool has_waiters() const {
    // relaxed, both: the holder alone writes the one word, and the other passes no data.
    return next_.load(std::memory_order_relaxed) !=
           static_cast<Number>(serving_.load(std::memory_order_relaxed) + 1);
  }

 private:
  // A function of its own, so that the compiler inlines the rest of lock().
  [[gnu::noinline]] void await(Number mine) {
    P::promised(promise, P::self());
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
