// The events of an Rwsem, all of its slow paths: what is uncontended counts nothing.
#pragma once

#include <array>

#include "locks/platform.hpp"

namespace faultline::rwsem_event {

enum Event : usize {
  read_slow,          // a reader that did not get in by its addition alone
  reader_steal,       // and kept its place past the queue
  reader_queued,      // or queued
  write_slow,         // a writer that found the lock held or queued for
  write_spun,         // and got it spinning
  spin_off_cpu,       // or stopped spinning, since the owner was not on a CPU,
  spin_time,          // since its time, or its time for readers, was over,
  spin_nonspinnable,  // since another's time for readers was over,
  spin_queue,         // or since others queue: without stealing alone
  osq_contended,      // a spinner that had to wait behind another
  osq_left,           // and left the queue of spinners again
  writer_queued,
  sleep,
  handoff_set,
  handoff_taken,
  readers_woken,
  writers_woken,
  downgrade_wake,
  wake_undone,  // readers were to be woken, and a writer was quicker
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
