// Simulates spinning without executing the spin's turns on the host. A turn of a spin is the code
// between two calls of pause(). If a CPU only read in its turn, read the same places as in the turn
// before, and still has copies of all of them, it would read the same values again. It is parked
// until one of these lines is written. Its time still counts as spinning, and it goes on at the end
// of a turn, as a CPU that really spins would.
//
// A spin that asks for the time or for who is running can end without a write. It goes on by itself
// after one turn, then after two, then after three. After n such pauses the last has lasted n turns
// and all together have lasted n * n / 2 turns, so the delay stays small beside the time that the
// thread has spun.
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

  // Ends a turn. The CPU need not be the earliest: a later write finds it among the line's
  // spinners.
  void pause(Cpu& cpu);
  // A write of the line at `at`, complete at that time, invalidates the spinners' copies. Each
  // spinner reads again at the end of the turn in which the write completes. It would find the line
  // taken and queue, so it is queued here, without a switch to its fiber and back.
  void wake_spinners(Line& line, u64 at, Time complete);

 private:
  // A place in a line's ring of spinners. Each CPU has Cpu::max_reads of them. Their numbers begin
  // at 1.
  struct Watch {
    u32 entry;
    u16 previous, next;
  };

  [[gnu::always_inline]] inline Status prepare_spin(Cpu& cpu);
  [[gnu::noinline]] void end_pause(Cpu& cpu, Time since);
  [[gnu::always_inline]] inline void park(Cpu& cpu);
  [[gnu::always_inline]] inline void watch(Cpu& cpu, Line& line);
  [[gnu::always_inline]] inline void unwatch(Cpu& cpu);

  const Time pause_, read_hit_;  // the machine's values
  const std::span<Cpu> cpus_;
  Directory& directory_;
  LineQueues& queues_;
  Scheduler& scheduler_;
  Accounting& accounting_;
  Xorshift& random_;
  std::vector<Watch> watches_;
};

}  // namespace faultline::sim
