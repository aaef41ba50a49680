// The scheduler: the simulated CPUs are fibers. The CPU whose clock is earliest runs, and keeps
// running as long as its clock is. Between fibers the scheduler performs the events that belong to
// no CPU: releases of queued lines, steps of interrupt handlers, and actions at a time of the
// simulation.
#pragma once

#include <boost/context/detail/fcontext.hpp>
#include <exception>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "harness/sim/engine/arena.hpp"
#include "harness/sim/engine/event_queue.hpp"
#include "harness/sim/engine/here.hpp"
#include "harness/sim/engine/progress.hpp"

namespace faultline::sim {

class Interrupts;
class LineQueues;

class Scheduler {
 public:
  // Queues are numbered from 1 to this.
  static constexpr u32 max_queues = max_actors - 2 * max_cpus - 1;

  Scheduler(std::span<Cpu> cpus, const Arena& arena, LineQueues& queues, Interrupts& interrupts,
            const Progress& progress, Time time_limit);

  // Runs all bodies to their ends. Answers an empty string, or a line that says why they cannot go
  // on. Throws what a body or an action threw.
  std::string run();
  // Calls `action` at `time`, or now if that has passed, outside every CPU.
  void at(Time time, std::function<void()> action);
  // Blocks until all live threads are here. They go on at the time of the latest.
  void meet(Cpu& cpu);
  // Ends the simulation when its threads are in a livelock.
  void look_for_progress(const Cpu& cpu) {
    if (progress_.is_livelock(live_, cpu.clock)) [[unlikely]]
      fail("livelock");
  }

  // The time of the event under way.
  Time now() const { return now_; }
  // Whether no thread will go on by itself.
  bool stands_still() const { return events_.top() == EventQueue::nothing; }

  // Whether no event comes before the CPU's next access.
  bool is_earliest(const Cpu& cpu) const { return events_.top() >= make_key(cpu.clock, cpu.index); }
  // Lets the earliest CPU run, unless this CPU is the earliest.
  void take_turn(Cpu& cpu) {
    if (!is_earliest(cpu)) [[unlikely]]
      yield(cpu);
  }
  // Bounded lookahead for private lines: a CPU that uses nothing else need not be the earliest, but
  // it runs at most this far ahead of the others. So the first other CPU that asks for such a line
  // finds the line's last use at most this far in its own future.
  static constexpr Time lookahead = 200 * ps_per_ns;
  void bound_lookahead(Cpu& cpu) {
    if (cpu.clock > lookahead && events_.top() < make_key(cpu.clock - lookahead, cpu.index))
        [[unlikely]]
      yield(cpu);
  }
  // Blocks the running CPU until a call below sets a time for it and that time is the earliest.
  // Inlined, as switch_to is, since the host mispredicts the return from a function that another
  // fiber entered.
  void block(Cpu& cpu, Status status) {
    cpu.status = status;
    cpu.blocked_since = cpu.clock;
    switch_to(cpu, next_to_run(events_.pop()));
  }

  // The blocked CPU goes on at `time`, instead of when its timer would wake it.
  void make_ready(const Cpu& cpu, Time time) {
    cancel_timer(cpu);
    events_.push(make_key(time, cpu.index));
  }
  // The same for a CPU that has no timer and gets no other time. It is for times that mostly ascend
  // from call to call.
  void make_ready_late(const Cpu& cpu, Time time) { events_.push_late(make_key(time, cpu.index)); }
  void set_timer(const Cpu& cpu, Time time) { events_.push(make_key(time, cpu.index)); }
  void cancel_timer(const Cpu& cpu) {
    if (events_.has(cpu.index)) events_.remove(cpu.index);
  }
  // Prefetches into the host's cache what the next CPU touches first, while this CPU runs.
  void fetch_next() const {
    // The address of a CPU's context lies in the CPU, so that is fetched one turn earlier.
    if (const u32 later = actor_of(events_.soon()); later < cpus_.size()) cpus_[later].fetch_hot();
    if (const u32 next = actor_of(events_.top()); next < agenda_actor)
      for (usize i = 0; i < 6; ++i)
        __builtin_prefetch(static_cast<const std::byte*>(cpus_[next].context) + i * cache_line, 1);
  }
  // Makes LineQueues::release(queue) be called at `time`.
  void release_at(u32 queue, Time time) { events_.push(make_key(time, first_queue_actor + queue)); }
  // Makes the call that release_at() set for a later time come at `time`.
  void release_sooner(u32 queue, Time time) {
    events_.remove(first_queue_actor + queue);
    release_at(queue, time);
  }
  // Makes Interrupts::handle(thread) be called at `time`.
  void handle_at(u32 thread, Time time) {
    events_.push(make_key(time, first_handler_actor + thread));
  }

 private:
  struct Action {
    Time time;
    std::function<void()> call;
  };
  // Below it are the CPUs, above it the queues of lines and then the CPUs' interrupt handlers.
  static constexpr u32 agenda_actor = max_cpus;
  static constexpr u32 first_queue_actor = max_cpus;  // a queue's number is 1 or more
  static constexpr u32 first_handler_actor = max_actors - max_cpus;

  void yield(Cpu& cpu);
  // Performs events until one makes a CPU run, and returns that CPU. `next` has been taken from the
  // queue and is performed first.
  Cpu& next_to_run(Key next) {
    return actor_of(next) < agenda_actor ? resume(next) : perform_until_cpu(next);
  }
  Cpu& perform_until_cpu(Key next);
  [[gnu::noinline]] bool perform(Key next);
  // Returns the CPU of that key as the next to run.
  Cpu& resume(Key next) {
    if (!advance_to(time_of(next))) [[unlikely]]
      return main_;
    Cpu& to = cpus_[actor_of(next)];
    to.clock = now_;
    to.status = Status::ready;
    if (to.is_interrupted) [[unlikely]]
      to.end_interrupted_wait(now_);
    if (to.releases_queue == 0) fetch_next();
    return to;
  }
  // False: the time is beyond the simulation's limit.
  bool advance_to(Time time) {
    if (time < now_ || time > time_limit_) [[unlikely]]
      return refuse_time(time);
    now_ = time;
    return true;
  }
  bool refuse_time(Time time);
  void switch_to(Cpu& from, Cpu& to) {
    if (&from == &to) return;
    here.cpu = &to;
    const auto back = boost::context::detail::jump_fcontext(to.context, &from.context);
    *static_cast<void**>(back.data) = back.fctx;
  }
  void start_fiber(Cpu& cpu);
  void enter_fiber(Cpu& cpu);
  void end_fiber(Cpu& cpu);
  void perform_actions();
  void schedule_actions();
  void fail(const char* what);

  const std::span<Cpu> cpus_;
  const Arena& arena_;
  LineQueues& queues_;
  Interrupts& interrupts_;
  const Progress& progress_;
  const Time time_limit_;
  EventQueue events_;
  Time now_ = 0;
  u32 live_;                    // threads whose bodies have not returned
  Cpu main_;                    // the context of run() itself among the fibers
  std::vector<u16> arrived_;    // at meet()
  std::vector<Action> agenda_;  // by time
  std::string stuck_;
  std::exception_ptr failure_;
};

}  // namespace faultline::sim
