// This class replaces Relacy's scheduler by the search. Relacy brings the memory model, the
// detection of races and the fibers.
#pragma once

#include "harness/check/common/cpu_time.hpp"
#include "harness/check/weak_memory/relacy.hpp"
#include "harness/check/weak_memory/world.hpp"

namespace faultline::check {

// Where a search ends although it is not complete.
struct Limits {
  u64 executions = ~u64{0};
  u64 least = 0;            // executions before the deadline counts
  double deadline = 1e300;  // of cpu_seconds()
};

// The progress of a search. It outlives Relacy's context, which ends at a failure.
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

  // True: this was the last execution.
  bool iteration_end() {
    Progress& now = *progress();
    ++now.executions;
    if (!world().explorer->advance()) {
      now.complete = true;
      return true;
    }
    return now.executions >= now.limits.executions ||
           (now.executions >= now.limits.least && now.executions % 64 == 0 &&
            cpu_seconds() > now.limits.deadline);
  }

  rl::thread_id_t schedule(rl::unpark_reason& reason, unsigned) {
    reason = rl::unpark_reason_normal;
    const bool performs = !world().explorer->arriving();
    const u32 thread = world().explorer->pick(static_cast<u32>(rl::ctx().current_thread()));
    if (thread == Explorer::nobody) world().fail_stuck();
    if (performs) world().passes.perform(thread);
    return static_cast<rl::thread_id_t>(thread);
  }

  // Chooses which store a load sees. Relacy's other choices concern the reuse of memory, which an
  // execution never does.
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

  // Only Relacy's own mutexes and condition variables call these.
  bool park_current_thread(bool, bool) { std::abort(); }
  void unpark_thread(rl::thread_id_t, bool) { std::abort(); }
  rl::thread_id_t create_thread() { std::abort(); }
};

}  // namespace faultline::check
