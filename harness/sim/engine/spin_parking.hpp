// Spinning, without the host spinning along. A turn of a spin lies between two calls of pause(). A
// CPU that only read in its turn, the same places as in the turn before, and still has copies of
// all of them, would read the same values again. It is parked until one of these lines is written.
// Its time is spinning all the same, and it goes on at the end of a turn, as a CPU that was really
// spinning would.
//
// A spin that asks for the time or who is running can end without a write. It goes on by itself
// after one turn, then two, then three: after n of these, the last of n turns, n * n / 2 turns have
// passed, so the delay stays small beside the time that it has spun.
#pragma once

#include <span>

#include "harness/sim/engine/accounting.hpp"
#include "harness/sim/engine/directory.hpp"
#include "harness/sim/engine/line_queues.hpp"
#include "harness/sim/engine/scheduler.hpp"

namespace faultline::sim {

class SpinParking {
 public:
  SpinParking(const Machine& machine, std::span<Cpu> cpus, Directory& directory, LineQueues& queues,
              Scheduler& scheduler, Accounting& accounting, Xorshift& random);

  // Ends a turn. The CPU need not be the earliest: a write that is still to come finds it among the
  // line's spinners.
  void pause(Cpu& cpu);
  // A write of the line at `at`, complete at that time, invalidates the spinners' copies: each
  // reads again at the end of the turn in which the write completes. They would find the line taken
  // and queue, so they queue here, without a switch to their fibers and back.
  void wake_spinners(Line& line, u64 at, Time complete);

 private:
  // A place in a line's ring of spinners. Each CPU has Cpu::max_reads of them, which are numbered
  // from 1 on.
  struct Watch {
    u32 entry;
    u16 previous, next;
  };

  [[gnu::noinline]] Status prepare_spin(Cpu& cpu);
  [[gnu::noinline]] void end_pause(Cpu& cpu, Time since);
  void park(Cpu& cpu);
  void watch(Cpu& cpu, Line& line);
  void unwatch(Cpu& cpu);

  const Time pause_, read_hit_;  // the machine's
  const std::span<Cpu> cpus_;
  Directory& directory_;
  LineQueues& queues_;
  Scheduler& scheduler_;
  Accounting& accounting_;
  Xorshift& random_;
  std::vector<Watch> watches_;
};

}  // namespace faultline::sim
