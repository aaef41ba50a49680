// Relacy's place for a scheduler, taken by our search: Relacy brings the memory model, the
// detection of races and the fibers.
#pragma once

#include "harness/check/common/cpu_time.hpp"
#include "harness/check/weak_memory/relacy.hpp"
#include "harness/check/weak_memory/world.hpp"

namespace faultline::check {

// When a search ends although it is not complete.
struct Limits {
  u64 executions = ~u64{0};
  double deadline = 1e300;  // of cpu_seconds()
};

// Outlives Relacy's context, which a failure ends: the search may go on behind it.
struct Progress {
  Limits limits;
  u64 executions = 0;
  bool complete = false;
};

inline Progress*& progress() {
  static constinit Progress* current = nullptr;
  return current;
}

template <rl::thread_id_t threads>
class Scheduler {
 public:
  struct shared_context_t {};

  Scheduler(rl::test_params&, shared_context_t&, rl::thread_id_t) {}

  rl::thread_id_t iteration_begin(rl::iteration_t) {
    world().begin_execution();
    world().explorer->begin();
    return 0;
  }

  // Whether that was the last.
  bool iteration_end() {
    Progress& now = *progress();
    ++now.executions;
    if (!world().explorer->advance()) {
      now.complete = true;
      return true;
    }
    return now.executions >= now.limits.executions ||
           (now.executions % 64 == 0 && cpu_seconds() > now.limits.deadline);
  }

  rl::thread_id_t schedule(rl::unpark_reason& reason, unsigned) {
    reason = rl::unpark_reason_normal;
    const u32 thread = world().explorer->pick(static_cast<u32>(rl::ctx().current_thread()));
    if (thread == Explorer::nobody) world().fail_stuck();
    return static_cast<rl::thread_id_t>(thread);
  }

  // Which store a load sees. Memory is never handed out twice in an execution, so there is nothing
  // to choose in its reuse.
  unsigned rand(unsigned limit, rl::sched_type type) {
    if (type != rl::sched_type_atomic_load) return limit - 1;
    World& here = world();
    if (!here.parallel || here.threads[rl::ctx().threadx_->index_].long_spin != 0) return 0;
    return here.explorer->choose(2);
  }

  rl::thread_finish_result thread_finished() {
    return world().explorer->all_finished() ? rl::thread_finish_result_last
                                            : rl::thread_finish_result_normal;
  }

  rl::iteration_t iteration_count() { return 1; }
  void get_state(std::ostream&) {}
  void set_state(std::istream&) {}

  // What only Relacy's own mutexes and condition variables need.
  bool park_current_thread(bool, bool) { std::abort(); }
  void unpark_thread(rl::thread_id_t, bool) { std::abort(); }
  rl::thread_id_t create_thread() { std::abort(); }
};

}  // namespace faultline::check
