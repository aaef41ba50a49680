#include "harness/sim/engine/interrupts.hpp"

#include <algorithm>

#include "harness/sim/engine/futexes.hpp"

namespace faultline::sim {

void Interrupts::flush_all(Cpu& cpu) {
  stores_.drain(cpu);
  scheduler_.take_turn(cpu);
  tlbs_.flush_all();
}

void Interrupts::shootdown(Cpu& cpu, const CpuSet& targets, LazyCpus lazy) {
  stores_.drain(cpu);
  scheduler_.take_turn(cpu);
  targets.for_each([&](u32 number) {
    if (thread_on_[number] != max_cpus) tlbs_.flush(thread_on_[number]);
  });
  const Time since = cpu.clock, stalled = cpu.stalled;
  Answers& answers = answers_[cpu.index];
  answers.of.clear();
  targets.for_each([&](u32 number) {
    const u32 thread = thread_on_[number];
    if (thread == max_cpus || thread == cpu.index) return;
    Cpu& target = cpus_[thread];
    const bool is_skipped = target.lazy_tlb && lazy == LazyCpus::skipped;
    if (is_skipped || target.status == Status::done) return;
    if (answers.of.empty()) cpu.clock += machine_.shootdown_base;
    serve_handlers(cpu);
    call(cpu, target);
  });
  wait_for_answers(cpu);
  if (!answers.of.empty()) {
    ++cpu.sent.count;
    cpu.sent.elapsed += cpu.clock - since;
  }
  cpu.shootdown += cpu.clock - since - (cpu.stalled - stalled);
}

// The thread goes on when the handlers that have interrupted it are done. A sender lets them run
// between two targets, since interrupts are off while it queues a call and sends the interrupt.
void Interrupts::serve_handlers(Cpu& cpu) {
  for (scheduler_.take_turn(cpu); cpu.stolen != 0; scheduler_.take_turn(cpu)) {
    cpu.clock += cpu.stolen;
    cpu.stolen = 0;
  }
}

void Interrupts::call(Cpu& sender, Cpu& target) {
  Handler& handler = handler_of(target);
  sender.clock += machine_.shootdown_per_target;
  scheduler_.take_turn(sender);
  // The handler's access to the line is no event. It is made up for here.
  if (handler.has_line) coherence_.move_to_handler(target, handler.line);
  coherence_.before_rmw(sender, handler.line, sizeof(u64));
  coherence_.after_rmw(sender);
  scheduler_.take_turn(sender);
  handler.has_line = false;
  const bool will_look = machine_.sv6_calls && handler.state != Handler::State::idle &&
                         handler.state != Handler::State::leaving;
  if (handler.queue.empty() && !will_look) interrupt(sender, target, handler);
  Answers& answers = answers_[sender.index];
  handler.queue.push_back({sender.index, static_cast<u32>(answers.of.size())});
  answers.of.push_back({target.index, never});
  ++answers.missing;
}

// The interrupt travels while the sender waits for its interrupt controller. The handler runs when
// the interrupt has arrived and the handler before it is done. The CPU of a sleeping thread leaves
// the address space, and shootdowns that skip lazy CPUs pass it by during this sleep (lazy TLB
// mode: Linux's arch/x86/mm/tlb.c, leave_mm).
void Interrupts::interrupt(Cpu& sender, Cpu& target, Handler& handler) {
  Time arrival = sender.clock + machine_.interrupt[machine_.between(sender.place, target.place)];
  sender.clock += machine_.shootdown_send;
  target.lazy_tlb = target.status == Status::asleep;
  if (target.lazy_tlb)
    arrival += idle_exit(machine_, arrival - std::min(arrival, target.blocked_since));
  handler.interrupt = arrival;
  if (handler.state == Handler::State::idle) scheduler_.handle_at(target.index, arrival);
}

// While the sender waits for answers, handlers on its CPU take nothing from it, but for what those
// need that still run when it has read all answers. Handlers that could not run before, since
// interrupts were off, run at the beginning of the wait.
void Interrupts::wait_for_answers(Cpu& cpu) {
  Answers& answers = answers_[cpu.index];
  if (answers.of.empty()) return;
  scheduler_.take_turn(cpu);
  const Time since = cpu.clock, owed = cpu.stolen;
  cpu.stolen = 0;
  cpu.is_interrupted = cpu.handler_until > since;
  cpu.awaited = 0;
  if (answers.missing == 0) scheduler_.set_timer(cpu, answers_read(cpu));
  answers.are_awaited = true;
  scheduler_.block(cpu, Status::queued);
  answers.are_awaited = false;
  cpu.stolen = std::max(cpu.stolen, owed - std::min(owed, cpu.clock - since));
}

// When the sender, which has sent all its calls, has read all answers. It reads them in the order
// of the targets. In sv6 it reads their count.
Time Interrupts::answers_read(const Cpu& cpu) const {
  Time read = cpu.clock;
  for (const Answer& answer : answers_[cpu.index].of) {
    const Time latency = line_latency(cpu, cpus_[answer.target]);
    read = machine_.sv6_calls ? std::max(read, answer.at + latency)
                              : std::max(read, answer.at) + latency;
  }
  return read;
}

void Interrupts::handle(u32 thread, Time now) {
  Cpu& target = cpus_[thread];
  Handler& handler = handlers_[thread];
  switch (handler.state) {
    case Handler::State::idle:
      return enter(target, handler, now);
    case Handler::State::leaving:
      return end(target, handler, now);
    case Handler::State::executing:
      answer(handler.taken[handler.executed++], now);
      break;
    case Handler::State::entering:
      break;
  }
  // sv6's handler looks at its queue again when it has executed the calls.
  const auto has_calls = [&] { return handler.executed < handler.taken.size(); };
  if (!has_calls() && machine_.sv6_calls) take_queue(handler);
  if (has_calls()) return execute_next(target, handler, now);
  handler.state = Handler::State::leaving;
  occupy(target, now, now + machine_.shootdown_handler / 2);
}

// Half of the handler's own time passes before its calls, half after them.
void Interrupts::enter(Cpu& target, Handler& handler, Time now) {
  handler.interrupt = never;
  handler.state = Handler::State::entering;
  take_queue(handler);
  occupy(target, now, now + machine_.shootdown_handler / 2);
}

void Interrupts::end(const Cpu& target, Handler& handler, Time now) {
  handler.state = Handler::State::idle;
  if (handler.interrupt != never)
    scheduler_.handle_at(target.index, std::max(now, handler.interrupt));
}

void Interrupts::take_queue(Handler& handler) {
  handler.taken.clear();
  handler.executed = 0;
  handler.taken.swap(handler.queue);
  handler.has_line = true;
}

// The calls of all CPUs share the interconnect, which moves the lines of one after the other.
void Interrupts::execute_next(Cpu& target, Handler& handler, Time now) {
  handler.state = Handler::State::executing;
  const Cpu& sender = cpus_[handler.taken[handler.executed].sender];
  delivery_until_ = std::max(delivery_until_, now) + machine_.shootdown_delivery;
  occupy(target, now,
         delivery_until_ + machine_.shootdown_call + lines_of_call * line_latency(target, sender));
}

// The handler takes the time of its step from the target's thread, unless the thread waits anyway.
// The wake-up of a sleeping thread does not wait for a handler on its CPU.
void Interrupts::occupy(Cpu& target, Time now, Time until) {
  target.handler_until = until;
  if (target.status == Status::ready)
    target.stolen += until - now;
  else if (target.status != Status::asleep)
    target.is_interrupted = true;
  scheduler_.handle_at(target.index, until);
}

void Interrupts::answer(Call call, Time now) {
  Answers& answers = answers_[call.sender];
  answers.of[call.number].at = now;
  Cpu& sender = cpus_[call.sender];
  if (--answers.missing == 0 && answers.are_awaited)
    scheduler_.make_ready(sender, answers_read(sender));
}

// How long `reader` takes to read a line that `writer` has written.
Time Interrupts::line_latency(const Cpu& reader, const Cpu& writer) const {
  return machine_.latency[static_cast<usize>(Kind::load)][static_cast<usize>(State::modified)]
                         [machine_.between(reader.place, writer.place)];
}

Interrupts::Handler& Interrupts::handler_of(const Cpu& target) {
  Handler& handler = handlers_[target.index];
  if (handler.line != nullptr) return handler;
  handler.line =
      arena_.allocate(target.index, target.place.node, Arena::line_bytes, Arena::line_bytes);
  accounting_.name(directory_.lines(), Arena::offset(handler.line), Arena::line_bytes,
                   "call_single_queue");
  return handler;
}

// An interrupt that arrives while the handlers of others run is served before the thread goes on.
void Interrupts::settle(Cpu& cpu) {
  const Time since = cpu.clock;
  serve_handlers(cpu);
  cpu.shootdown += cpu.clock - since;
}

}  // namespace faultline::sim
