// The owner word of an Rwsem: a hint about the holder, which guides spinning. The count alone
// decides who holds the lock, and a holder stores the owner word after the count. So every access
// here is relaxed, and a reader of the word must cope with a stale answer.
#pragma once

#include "locks/platform.hpp"

namespace faultline {

// What a spinner sees of the owner. The last three states end its spin.
enum class RwsemOwnerState : int { none, writer, reader, nonspinnable, off_cpu, too_long };

// Bit 0 is RWSEM_READER_OWNED, which stays set after the last reader has left. Bit 1 is
// RWSEM_NONSPINNABLE. Bit 2 is set only where readers spin too: it stands for RWSEM_RD_NONSPINNABLE
// of 5.3 to 5.10, and bit 1 then for RWSEM_WR_NONSPINNABLE. The kernel has these two the other way
// round. The bits above hold the thread's number plus 1, where the kernel has the task's address.
template <class P>
class RwsemOwner {
 public:
  using State = RwsemOwnerState;
  static constexpr u64 nonspinnable = 2, readers_nonspinnable = 4;

  u64 load() const { return word_.load(std::memory_order_relaxed); }
  static u32 thread_of(u64 word) { return static_cast<u32>(word >> thread_shift) - 1; }
  static bool has_thread(u64 word) { return word >> thread_shift != 0; }
  // `forbids`: the bits that forbid the caller to spin.
  static State state_of(u64 word, u64 forbids) {
    if ((word & forbids) != 0) return State::nonspinnable;
    if ((word & reader_owned) != 0) return State::reader;
    return has_thread(word) ? State::writer : State::none;
  }
  // How long to spin on readers, in nanoseconds: 10 us, and half a microsecond for each of at most
  // 30 readers (rwsem_rspin_threshold).
  static constexpr u64 reader_patience(u64 readers) {
    return 10'000 + 500 * (readers < 30 ? readers : 30);
  }
  bool held_by_readers() const { return (load() & reader_owned) != 0; }

  void clear() { word_.store(0, std::memory_order_relaxed); }
  void set_writer() { word_.store(word_of(P::self()), std::memory_order_relaxed); }

  // rwsem_set_reader_owned() in the kernel: every reader stores the word when it has the lock, so
  // the word names the reader that came last. `thread` is a reader from now on. The bits `kept`
  // stay as they are.
  void set_reader(u32 thread, u64 kept) {
    word_.store(word_of(thread) | reader_owned | (load() & kept), std::memory_order_relaxed);
  }

  // rwsem_set_nonspinnable() in the kernel. Readers have held the lock for longer than a writer
  // should spin. `readers`: forbids it to readers too.
  void forbid_spinning(bool readers) {
    const u64 bits = nonspinnable | (readers ? readers_nonspinnable : 0);
    u64 word = load();
    while ((word & reader_owned) != 0 && (word & nonspinnable) == 0)
      // relaxed on failure: the next turn decides.
      if (word_.compare_exchange_weak(word, word | bits, std::memory_order_relaxed,
                                      std::memory_order_relaxed))
        return;
  }
  // clear_nonspinnable() in the kernel: writers may spin again.
  void allow_spinning() {
    if ((load() & nonspinnable) != 0) word_.fetch_and(~nonspinnable, std::memory_order_relaxed);
  }

 private:
  static constexpr u64 reader_owned = 1;
  static constexpr u32 thread_shift = 3;
  static u64 word_of(u32 thread) { return (u64{thread} + 1) << thread_shift; }

  typename P::template atomic<u64> word_{0};
};

}  // namespace faultline
