#include "harness/sim/engine/scheduler.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "harness/sim/engine/interrupts.hpp"
#include "harness/sim/engine/line_queues.hpp"
#include "harness/sim/engine/overflow.hpp"

namespace faultline::sim {

namespace context = boost::context::detail;

namespace {
Scheduler* running = nullptr;  // a fiber's entry function takes no argument of this program
}  // namespace

Scheduler::Scheduler(std::span<Cpu> cpus, const Arena& arena, LineQueues& queues,
                     Interrupts& interrupts, const Progress& progress, Time time_limit)
    : cpus_(cpus),
      arena_(arena),
      queues_(queues),
      interrupts_(interrupts),
      progress_(progress),
      time_limit_(time_limit),
      live_(static_cast<u32>(cpus.size())) {
  main_.index = no_cpu;
}

std::string Scheduler::run() {
  const OverflowWatch overflow(arena_, static_cast<u32>(cpus_.size()));
  running = this;
  for (Cpu& cpu : cpus_) start_fiber(cpu);
  while (live_ != 0 && stuck_.empty() && !failure_) {
    switch_to(main_, next_to_run(events_.pop()));
    here.cpu = nullptr;
    if (stuck_.empty() && !failure_) perform_actions();
  }
  if (failure_) std::rethrow_exception(failure_);
  return stuck_;
}

void Scheduler::start_fiber(Cpu& cpu) {
  // Stacks start at different offsets within a page and within the 16 pages after which a set of
  // the host's L2 repeats. Otherwise the most used parts of all stacks would share a few sets.
  const usize shift = (7 * cpu.index + 4 * (cpu.index / 64)) % 64 * cache_line;
  std::byte* top = arena_.stack(cpu.index) + arena_.stack_bytes() - shift;
  cpu.context =
      context::make_fcontext(top, arena_.stack_bytes() - shift, [](context::transfer_t from) {
        *static_cast<void**>(from.data) = from.fctx;
        running->enter_fiber(*here.cpu);
      });
  cpu.status = Status::ready;
  events_.push(make_key(0, cpu.index));
}

void Scheduler::enter_fiber(Cpu& cpu) {
  try {
    cpu.body();
  } catch (...) {
    failure_ = std::current_exception();
  }
  end_fiber(cpu);
}

// Never returns.
void Scheduler::end_fiber(Cpu& cpu) {
  if (!failure_) take_turn(cpu);
  cpu.status = Status::done;
  --live_;
  switch_to(cpu, live_ == 0 || failure_ ? main_ : next_to_run(events_.pop()));
}

void Scheduler::yield(Cpu& cpu) {
  switch_to(cpu, next_to_run(events_.exchange(make_key(cpu.clock, cpu.index))));
}

Cpu& Scheduler::perform_until_cpu(Key next) {
  for (; actor_of(next) >= agenda_actor; next = events_.pop())
    if (!perform(next)) return main_;
  return resume(next);
}

// Handles an event that belongs to no CPU. False: run() has to act.
bool Scheduler::perform(Key next) {
  if (next == EventQueue::nothing) {
    fail("deadlock");
    return false;
  }
  if (!advance_to(time_of(next)) || actor_of(next) == agenda_actor) return false;
  if (actor_of(next) >= first_handler_actor)
    interrupts_.handle(actor_of(next) - first_handler_actor, now_);
  else
    queues_.release(actor_of(next) - first_queue_actor, now_);
  return true;
}

bool Scheduler::refuse_time(Time time) {
  if (time < now_) throw std::logic_error("simulator: an event in the past");
  now_ = time;
  fail("time limit");
  return false;
}

void Scheduler::meet(Cpu& cpu) {
  if (arrived_.size() + 1 < live_) {
    arrived_.push_back(static_cast<u16>(cpu.index));
    return block(cpu, Status::meeting);
  }
  for (const u16 other : arrived_) cpu.clock = std::max(cpu.clock, cpus_[other].clock);
  for (const u16 other : arrived_) make_ready(cpus_[other], cpu.clock);
  arrived_.clear();
}

void Scheduler::at(Time time, std::function<void()> action) {
  time = std::max(time, now_);
  const auto after = std::upper_bound(agenda_.begin(), agenda_.end(), time,
                                      [](Time t, const Action& other) { return t < other.time; });
  agenda_.insert(after, {time, std::move(action)});
  schedule_actions();
}

void Scheduler::schedule_actions() {
  if (events_.has(agenda_actor)) events_.remove(agenda_actor);
  if (!agenda_.empty()) events_.push(make_key(agenda_.front().time, agenda_actor));
}

void Scheduler::perform_actions() {
  here.outside = here.simulation;
  while (!agenda_.empty() && agenda_.front().time <= now_) {
    const std::function<void()> call = std::move(agenda_.front().call);
    agenda_.erase(agenda_.begin());
    call();
  }
  here.outside = nullptr;
  schedule_actions();
}

void Scheduler::fail(const char* what) {
  if (!stuck_.empty()) return;
  stuck_ = fmt::format("{} after {:.3f} us of simulated time: {} of {} threads wait", what,
                       1e-6 * static_cast<double>(now_), progress_.waiting(), live_);
}

}  // namespace faultline::sim
