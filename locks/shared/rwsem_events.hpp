// The events of an Rwsem. Its fast paths count nothing. The kernel's names, from
// kernel/locking/lock_events_list.h, stand beside the events that mean the same.
#pragma once

#include <array>

#include "locks/platform.hpp"

namespace faultline::rwsem_event {

enum Event : usize {
  // A reader that did not get in by its addition alone.
  read_slow,
  // Such a reader keeps its place past the queue: rwsem_rlock_steal.
  reader_steal,
  // Such a reader queues.
  reader_queued,
  // A writer that found the lock held, or waiters queued.
  write_slow,
  // Such a writer gets the lock while it spins: rwsem_opt_lock.
  write_spun,
  // A writer stops spinning (rwsem_opt_fail): the owner is not on a CPU;
  spin_off_cpu,
  // its time, or its time for readers, is over;
  spin_time,
  // RWSEM_NONSPINNABLE is set: another writer's time for readers was over;
  spin_nonspinnable,
  // waiters queue (only without stealing).
  spin_queue,
  // A spinner has to wait behind another one in the OSQ.
  osq_contended,
  // Such a spinner leaves the OSQ again.
  osq_left,
  // A writer queues.
  writer_queued,
  // A waiter sleeps: rwsem_sleep_reader and rwsem_sleep_writer.
  sleep,
  // A waiter sets RWSEM_FLAG_HANDOFF: rwsem_rlock_handoff and rwsem_wlock_handoff.
  handoff_set,
  // A waiter gets the lock by handoff.
  handoff_taken,
  // Readers granted the lock: rwsem_wake_reader.
  readers_woken,
  // Writers woken to compete: rwsem_wake_writer.
  writers_woken,
  // A downgrade that found waiters.
  downgrade_wake,
  // A waker counted a first reader and took it back, since a writer was quicker.
  wake_undone,
  count
};

inline constexpr std::array<const char*, count> names = {
    "rwsem.read_slow",
    "rwsem.reader_steal",
    "rwsem.reader_queued",
    "rwsem.write_slow",
    "rwsem.write_spin_acquired",
    "rwsem.spin_abort_owner_off_cpu",
    "rwsem.spin_abort_time",
    "rwsem.spin_abort_nonspinnable",
    "rwsem.spin_abort_queue",
    "rwsem.osq_contended",
    "rwsem.osq_left",
    "rwsem.writer_queued",
    "rwsem.sleeps",
    "rwsem.handoff_requested",
    "rwsem.handoff_granted",
    "rwsem.woken_readers",
    "rwsem.woken_writers",
    "rwsem.downgrade_wakes",
    "rwsem.wake_undone",
};

}  // namespace faultline::rwsem_event
