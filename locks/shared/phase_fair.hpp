// The phase-fair ticket lock, PF-T (Brandenburg and Anderson, "Reader-Writer Synchronization for
// Shared-Memory Multiprocessor Real-Time Systems", ECRTS 2009; "Spin-Based Reader-Writer
// Synchronization for Multiprocessor Real-Time Systems", Real-Time Systems 46, 2010). Phases of
// readers and of one writer take turns while both kinds wait, so a reader waits for one writer at
// most.
//
//   in     readers that have come (from bit 8 on); bit 1: a writer is present; bit 0: its phase
//   out    readers that have left (from bit 8 on)
//   read   add one to `in`; where a writer is present, wait until the two bits change: the next
//          writer has the other phase, and waits for this reader
//   leave  add one to `out`
//   write  draw a number and wait until it is served; add the bits to `in`, which keeps out the
//          readers that come later; wait until `out` is what `in` was
//   unlock take the bits back, then serve the next number
//
// Differences: the words have 64 bits, so no count wraps. The paper's phase is the lowest bit of
// the writer's number. Here it is a field, which only a writer that has come in changes: a try
// that fails draws a number too, and two writers in a row would have one phase. The paper has
// neither tries nor a downgrade, and its x86 version takes the bits back by a store of one byte.
#pragma once

#include <cstddef>
#include <string>

#include "locks/layout.hpp"
#include "locks/platform.hpp"
#include "locks/promise.hpp"
#include "locks/shared/concept.hpp"

namespace faultline {

template <class P>
class PhaseFair {
 public:
  static constexpr bool atomic_downgrade = true;
  // The next writer waits for a reader that is counted. A reader that comes after a writer's bits
  // waits for that writer.
  static constexpr Promise promise{.most_passes = 0,
                                   .since = "is counted as a reader, or keeps readers out"};

  PhaseFair() {
    if constexpr (PlainCells<P>)
      static_assert(line_of(offsetof(PhaseFair, phase_) + sizeof(phase_) - 1) == 0);
  }

  void lock_shared() {
    // acquire: pairs with unlock's and downgrade's release.
    const u64 bits = in_.fetch_add(reader, std::memory_order_acquire) & writer_bits;
    if (bits != 0) [[unlikely]]
      await_phase(bits);
  }
  bool try_lock_shared() {
    u64 seen = in_.load(std::memory_order_relaxed);  // relaxed: the exchange decides
    while ((seen & writer_bits) == 0)
      // acquire: as in lock_shared. relaxed on failure: the next turn decides.
      if (in_.compare_exchange_weak(seen, seen + reader, std::memory_order_acquire,
                                    std::memory_order_relaxed))
        return true;
    return false;
  }
  // release: pairs with the writers' acquire of `out_`.
  void unlock_shared() { out_.fetch_add(reader, std::memory_order_release); }

  void lock() {
    // relaxed: the acquire below, which sees the number served, orders.
    const u64 mine = drawn_.fetch_add(1, std::memory_order_relaxed);
    // acquire: pairs with the release by which the number is served.
    if (served_.load(std::memory_order_acquire) != mine) [[unlikely]]
      await_number(mine);
    const u64 phase = phase_.load() ^ 1;
    phase_.store(phase);
    // relaxed: a reader that is not in the sum comes later, and waits for unlock's release.
    const u64 before = in_.fetch_add(present | phase, std::memory_order_relaxed);
    P::promised(promise, P::self());
    // acquire: pairs with unlock_shared's release.
    if (out_.load(std::memory_order_acquire) != before) [[unlikely]]
      drain(before);
  }
  bool try_lock() {
    // acquire: pairs with unlock_shared's release.
    const u64 out = out_.load(std::memory_order_acquire);
    // relaxed: an early answer; the exchange below decides.
    if (in_.load(std::memory_order_relaxed) != out) return false;
    // acquire: pairs with the release by which the number is served.
    u64 mine = served_.load(std::memory_order_acquire);
    // relaxed, both: no data passes by the word. The number that is drawn is served, since numbers
    // are drawn before they are served.
    if (!drawn_.compare_exchange_strong(mine, mine + 1, std::memory_order_relaxed,
                                        std::memory_order_relaxed))
      return false;
    const u64 phase = phase_.load() ^ 1;
    u64 seen = out;
    // relaxed, both: as in lock. Readers only leave after they have come, so none is in.
    if (in_.compare_exchange_strong(seen, seen + (present | phase), std::memory_order_relaxed,
                                    std::memory_order_relaxed)) {
      phase_.store(phase);
      return true;
    }
    serve_next();
    return false;
  }
  void unlock() {
    // release: pairs with the readers' acquire.
    in_.fetch_sub(present | phase_.load(), std::memory_order_release);
    serve_next();
  }
  void downgrade() {
    // release: pairs with the readers' acquire.
    in_.fetch_add(reader - (present | phase_.load()), std::memory_order_release);
    serve_next();
  }

  void append_events(Events&) const {}
  std::string describe() const {
    // relaxed, all: a racy report.
    const u64 out = out_.load(std::memory_order_relaxed);
    const u64 in = in_.load(std::memory_order_relaxed);
    const u64 served = served_.load(std::memory_order_relaxed);
    const u64 drawn = drawn_.load(std::memory_order_relaxed);
    return std::to_string((in - out) / reader) + " reader(s) that hold it or wait, " +
           std::to_string(drawn - served) + " writer(s)" +
           ((in & present) != 0 ? ", one of them present" : "");
  }

 private:
  static constexpr u64 present = 2, writer_bits = 3, reader = 256;

  [[gnu::noinline]] void await_phase(u64 bits) {
    P::promised(promise, P::self());
    WaitScope<P> waiting(this, "phase_fair to read");
    // acquire: pairs with unlock's and downgrade's release.
    while ((in_.load(std::memory_order_acquire) & writer_bits) == bits) P::pause(this);
  }
  [[gnu::noinline]] void await_number(u64 mine) {
    WaitScope<P> waiting(this, "phase_fair to write");
    // acquire: pairs with serve_next's release.
    while (served_.load(std::memory_order_acquire) != mine) P::pause(this);
  }
  [[gnu::noinline]] void drain(u64 before) {
    WaitScope<P> waiting(this, "phase_fair's readers");
    // acquire: pairs with unlock_shared's release.
    while (out_.load(std::memory_order_acquire) != before) P::pause(this);
  }
  // relaxed load: only the writer whose number is served writes the word. release: pairs with the
  // acquires of the word.
  void serve_next() {
    served_.store(served_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }

  // One line for all, as in the paper's pft_lock.
  alignas(cache_line) typename P::template atomic<u64> in_{0};
  typename P::template atomic<u64> out_{0};
  typename P::template atomic<u64> drawn_{0};
  typename P::template atomic<u64> served_{0};
  typename P::template data<u64> phase_;  // of the writer that came in last: 0 or 1
};

}  // namespace faultline
