// The threads that wait, as their locks announce it, and the time since any thread did anything
// else.
#pragma once

#include <algorithm>

#include "harness/sim/engine/cpu.hpp"

namespace faultline::sim {

class Progress {
 public:
  // If all threads wait for longer than `limit`, they are in a livelock.
  explicit Progress(Time limit) : limit_(limit) {}

  // Nested waits count as the outermost wait.
  void wait_begin(Cpu& cpu, const void* object, const char* what) {
    if (cpu.wait_depth++ != 0) return;
    cpu.waits_for = object;
    cpu.waits_for_name = what;
    cpu.waits_since = cpu.clock;
    ++waiting_;
    last_ = std::max(last_, cpu.clock);
  }
  void wait_end(Cpu& cpu) {
    if (--cpu.wait_depth != 0) return;
    cpu.waits_for = nullptr;
    cpu.waited += cpu.clock - cpu.waits_since;
    --waiting_;
  }

  u32 waiting() const { return waiting_; }
  bool is_livelock(u32 live_threads, Time now) const {
    return waiting_ == live_threads && now > last_ + limit_;
  }

 private:
  const Time limit_;
  u32 waiting_ = 0;  // threads between wait_begin and wait_end
  Time last_ = 0;    // when a thread last began to wait
};

}  // namespace faultline::sim
