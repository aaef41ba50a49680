// A mutex that a thread takes in one step of the search. A thread that would have to wait is not
// ready. It replaces the spinlock inside a larger lock. The spinlock is checked by itself, so only
// the order in which threads take it remains to be explored.
#pragma once

#include "harness/check/weak_memory/cells.hpp"

namespace faultline::check {

template <class>
class StepMutex : private Kept {
  using Values = LogEntry::Values;

 public:
  struct Node {};

  StepMutex() : Kept([](Kept* self) { static_cast<StepMutex*>(self)->~StepMutex(); }) {}
  ~StepMutex() { world().forget(conflicts_); }
  StepMutex(const StepMutex&) = delete;
  StepMutex& operator=(const StepMutex&) = delete;

  void lock(Node&, Where where = Where::current()) {
    if (world().parallel) await();
    take(where);
  }
  bool try_lock(Node&, Where where = Where::current()) {
    announce(conflicts_, true);
    note_read(conflicts_, false);
    if (held_) return false;
    take(where);
    set_waiting_ready(false);
    return true;
  }
  void unlock(Node&, Where where = Where::current()) {
    announce(conflicts_, true);
    const Undisturbed undisturbed;
    log_access("unlock", this, 0, 0, Order::release, where, Values::none);
    word_.store(0, rl::mo_release, info_of(where));
    held_ = false;
    note_write(conflicts_);
    set_waiting_ready(true);
  }

 private:
  void await() {
    const u32 index = self();
    Thread& thread = world().threads[index];
    Explorer& explorer = *world().explorer;
    thread.long_spin = 0;
    thread.accesses = true;
    explorer.next_of(index).clear();
    explorer.next_of(index).add(conflicts_, true, true);
    waiting_ |= 1U << index;
    explorer.set_ready(index, !held_);
    explorer.arrived(index);
    rl::ctx().sched();
    waiting_ &= ~(1U << index);
    set_waiting_ready(false);
  }
  void take(const Where& where) {
    const Undisturbed undisturbed;
    log_access("lock", this, 0, 0, Order::acquire, where, Values::none);
    word_.rmw(rl::rmw_type_t<rl::rmw_type_swap>(), 1U, rl::mo_acquire, info_of(where));
    held_ = true;
    note_write(conflicts_);
  }
  void set_waiting_ready(bool ready) {
    for (u32 i = 0; i < most_threads; ++i)
      if ((waiting_ & (1U << i)) != 0) world().explorer->set_ready(i, ready);
  }

  rl::atomic<u32> word_{0};
  Conflicts conflicts_;
  bool held_ = false;
  u32 waiting_ = 0;  // the threads that wait, as bits
};

}  // namespace faultline::check
