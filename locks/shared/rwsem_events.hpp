// The events of an Rwsem. Its fast paths count nothing. Where an event of
// kernel/locking/lock_events_list.h means the same, its name follows.
#pragma once

#include <array>

#include "locks/platform.hpp"

namespace faultline::rwsem_event {

enum Event : usize {
  // A reader enters the slow path, since its addition alone did not get the lock.
  read_slow,
  // A reader in the slow path keeps its place past the queue: rwsem_rlock_steal.
  reader_steal,
  // A reader in the slow path gets the lock while it spins (only with reader spinning):
  // rwsem_opt_rlock.
  read_spun,
  // A reader in the slow path queues.
  reader_queued,
  // A writer found the lock held, or waiters queued.
  write_slow,
  // A writer in the slow path gets the lock while it spins: rwsem_opt_lock.
  write_spun,
  // A writer stops spinning, since the owner is not on a CPU: rwsem_opt_fail.
  spin_off_cpu,
  // A writer stops spinning, since its time is over, or its time for readers: rwsem_opt_fail, and
  // for readers also rwsem_opt_nospin.
  spin_time,
  // A writer stops spinning, since RWSEM_NONSPINNABLE is set after another writer's time for
  // readers was over: rwsem_opt_fail.
  spin_nonspinnable,
  // A writer stops spinning, since waiters queue (only without stealing).
  spin_queue,
  // A spinner has to wait behind another spinner in the OSQ.
  osq_contended,
  // A spinner leaves the OSQ before it has become the head: rwsem_opt_fail.
  osq_left,
  // A writer queues.
  writer_queued,
  // A waiter sleeps: rwsem_sleep_reader and rwsem_sleep_writer together.
  sleep,
  // A waiter sets RWSEM_FLAG_HANDOFF: rwsem_rlock_handoff and rwsem_wlock_handoff together.
  handoff_set,
  // A waiter gets the lock by handoff.
  handoff_taken,
  // Readers are granted the lock: rwsem_wake_reader.
  readers_woken,
  // A writer is woken to compete: rwsem_wake_writer.
  writers_woken,
  // A downgrade finds waiters.
  downgrade_wake,
  // A waker counts a first reader and takes it back, since a writer was quicker.
  wake_undone,
  // A writer that unlocks lets the queued readers in as one phase (only with phase changes).
  phase,
  count
};

inline constexpr std::array<const char*, count> names = {
    "rwsem.read_slow",
    "rwsem.reader_steal",
    "rwsem.read_spin_acquired",
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
    "rwsem.phases",
};

}  // namespace faultline::rwsem_event
