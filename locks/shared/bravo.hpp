// BRAVO over another reader-writer lock (Dice and Kogan: BRAVO, biased locking for reader-writer
// locks, USENIX ATC 2019). While the lock is biased towards readers, a reader does not touch the
// lock under it. It writes its name into a slot of a table of visible readers, which its thread
// chooses by a hash. A writer takes the lock under it, ends the bias, and waits until no reader is
// visible.
//
//   read    if the lock is biased and the slot empty: write the name, look at the bias again. If it
//           is still there, the reader is in. If not, erase the name.
//           In all other cases: take the lock under it, and set the bias unless it is inhibited
//   write   take the lock under it. If the lock is biased: end the bias, wait until each slot is
//           empty, and inhibit the bias for nine times as long as that took
//
// Here each lock has a table of its own, and a slot has the thread instead of the lock. So a reader
// that leaves finds out by its slot which way it came, where the paper hands it a token. The paper
// has one table of 4096 slots for all locks of a process.
//
// The four accesses by which readers and writers meet (a reader's name and its second look, the end
// of the bias and the writer's looks at the slots) are seq_cst: either the reader sees that the
// bias is over, or the writer sees the reader.
#pragma once

#include <string>

#include "locks/layout.hpp"
#include "locks/platform.hpp"
#include "locks/promise.hpp"
#include "locks/random.hpp"
#include "locks/shared/concept.hpp"

namespace faultline {

template <class P, SharedLock Under, u32 slot_count = 4096>
class Bravo {
 public:
  static constexpr bool atomic_downgrade = Under::atomic_downgrade;
  // Readers that find the bias pass a writer that waits for the lock under it.
  static constexpr Promise promise = no_promise;

  Bravo() {
    for (auto& slot : slots_)
      slot.store(nobody, std::memory_order_relaxed);  // relaxed: not shared yet
  }

  void lock_shared() {
    if (become_visible()) return;
    under_.lock_shared();
    set_bias();
  }
  bool try_lock_shared() {
    if (become_visible()) return true;
    if (!under_.try_lock_shared()) return false;
    set_bias();
    return true;
  }
  void unlock_shared() {
    auto& slot = slot_of(P::self());
    // relaxed: the thread reads what it has written itself, or another thread's name.
    if (slot.load(std::memory_order_relaxed) != name_of(P::self())) return under_.unlock_shared();
    // release: pairs with the writer's look at the slot.
    slot.store(nobody, std::memory_order_release);
  }

  void lock() {
    under_.lock();
    // relaxed: the lock under this one orders it. Whoever sets it holds that lock.
    if (bias_.load(std::memory_order_relaxed) != 0) revoke();
  }
  bool try_lock() {
    if (!under_.try_lock()) return false;
    // relaxed: as in lock.
    if (bias_.load(std::memory_order_relaxed) == 0) return true;
    bias_.store(0, std::memory_order_seq_cst);
    for (auto& slot : slots_)
      if (slot.load(std::memory_order_seq_cst) != nobody) {
        // Without the bias the next writer would not look for the reader. release: pairs with
        // become_visible's second look.
        // weakened release survives, program: a reader would have to follow a writer through two
        // other readers and this try.
        bias_.store(1, std::memory_order_release);
        under_.unlock();
        return false;
      }
    return true;
  }
  void unlock() { under_.unlock(); }
  void downgrade() { under_.downgrade(); }

  void append_events(Events& events) const { under_.append_events(events); }
  std::string describe() const {
    std::string text = under_.describe();
    u32 visible = 0;
    for (const auto& slot : slots_)
      // relaxed: a racy report.
      visible += slot.load(std::memory_order_relaxed) != nobody;
    if (visible != 0) text += ", " + std::to_string(visible) + " visible reader(s)";
    return text;
  }

 private:
  static constexpr u64 nobody = 0;
  // The paper's N: a writer is slowed down by at most a tenth.
  static constexpr u64 inhibit_factor = 9;

  using Slot = typename P::template atomic<u64>;
  static u64 name_of(u32 thread) { return u64{thread} + 1; }
  Slot& slot_of(u32 thread) { return slots_[splitmix64(thread) % slot_count]; }

  bool become_visible() {
    // relaxed: a hint; the second look decides.
    if (bias_.load(std::memory_order_relaxed) == 0) return false;
    Slot& slot = slot_of(P::self());
    u64 seen = nobody;
    // relaxed on failure: the slot is another reader's.
    if (!slot.compare_exchange_strong(seen, name_of(P::self()), std::memory_order_seq_cst,
                                      std::memory_order_relaxed))
      return false;
    // seq_cst, as the top of the file says. As an acquire it pairs with set_bias's release, so that
    // the reader follows the writer before.
    if (bias_.load(std::memory_order_seq_cst) != 0) [[likely]]
      return true;
    // release: a writer may read this in place of what the slot's last reader stored when it left.
    // weakened release survives, program: two readers of one slot, one of which has left before the
    // bias was over.
    slot.store(nobody, std::memory_order_release);
    return false;
  }

  // The caller holds the lock under this one, shared.
  void set_bias() {
    // relaxed: another reader may set it too.
    if (bias_.load(std::memory_order_relaxed) == 0 && P::now() >= inhibited_until_.load())
      // release: pairs with become_visible's second look.
      bias_.store(1, std::memory_order_release);
  }

  // The caller holds the lock under this one, exclusively.
  [[gnu::noinline]] void revoke() {
    const u64 begin = P::now();
    bias_.store(0, std::memory_order_seq_cst);
    WaitScope<P> waiting(this, "bravo's visible readers");
    for (auto& slot : slots_)
      while (slot.load(std::memory_order_seq_cst) != nobody) P::pause(this);
    const u64 end = P::now();
    inhibited_until_.store(end + inhibit_factor * (end - begin));
  }

  alignas(cache_line) Under under_;
  // Apart from the lock under it, which a reader with the bias does not touch.
  alignas(cache_line) typename P::template atomic<u32> bias_{0};
  typename P::template data<u64> inhibited_until_;  // ns; writers write it, readers read it
  alignas(cache_line) Slot slots_[slot_count];
};

}  // namespace faultline
