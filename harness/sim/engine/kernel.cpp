// What the kernel and the hardware beside the caches do: futexes, the clock, shootdowns, clearing
// pages, RCU.
#include <algorithm>

#include "harness/sim/engine/simulation.hpp"

namespace faultline::sim {

namespace {
u32 bucket_of(u64 at) {
  return static_cast<u32>(at >> 2) & 255;
}
}  // namespace

void Simulation::enter_kernel(Cpu& cpu) {
  if (cpu.posted != 0 || cpu.drained > cpu.clock) drain(cpu);
  cpu.clock += machine_.syscall;
  cpu.changed = true;
  cpu.timed = false;
}

bool Simulation::sleep(Cpu& cpu, const void* word, u64 deadline_ns) {
  const u64 at = place_of(word);
  const Time since = cpu.clock;
  const Time deadline = deadline_ns > max_time / ps_per_ns ? max_time : deadline_ns * ps_per_ns;
  cpu.futex = at;
  cpu.woken = false;
  std::vector<u16>& sleepers = sleepers_[bucket_of(at)];
  sleepers.push_back(static_cast<u16>(cpu.index));
  if (deadline != max_time) queue_.push(make_key(std::max(deadline, cpu.clock), cpu.index));
  block(cpu, Status::asleep);
  if (!cpu.woken) {
    std::erase(sleepers, static_cast<u16>(cpu.index));
    cpu.clock += idle_exit(cpu.clock - since);
    look_for_progress(cpu);
  }
  cpu.sleeping += cpu.clock - since;
  cpu.left = false;
  return cpu.woken;
}

void Simulation::wake(Cpu& cpu, const void* word, u32 n) {
  enter_kernel(cpu);
  take_turn(cpu);
  const u64 at = place_of(word);
  std::vector<u16>& sleepers = sleepers_[bucket_of(at)];
  for (auto it = sleepers.begin(); it != sleepers.end() && n > 0;) {
    Cpu& sleeper = cpus_[*it];
    if (sleeper.futex != at) {
      ++it;
      continue;
    }
    it = sleepers.erase(it);
    --n;
    const Time asleep = cpu.clock - std::min(cpu.clock, sleeper.blocked_since);
    cpu.clock += machine_.wake_one;
    sleeper.woken = true;
    make_ready(sleeper,
               std::max(sleeper.clock, cpu.clock + machine_.wake_latency + idle_exit(asleep)));
  }
}

// The longer a CPU has been idle, the deeper it sleeps.
Time Simulation::idle_exit(Time asleep) const {
  Time exit = 0;
  for (const Machine::Idle& level : machine_.idle)
    if (asleep >= level.asleep) exit = level.exit;
  return exit;
}

u64 Simulation::read_clock(Cpu& cpu) {
  cpu.timed = true;
  cpu.clock += machine_.clock_read;
  return cpu.clock / ps_per_ns;
}

bool Simulation::running(Cpu& cpu, u32 thread) {
  cpu.timed = true;
  cpu.clock += machine_.hit[0];
  take_turn(cpu);
  const Status status = cpus_[thread].status;
  return status != Status::asleep && status != Status::done && status != Status::unborn;
}

void Simulation::clear_page(Cpu& cpu, const void* page) {
  take_turn(cpu);
  const u32 node = Arena::holds(page) ? arena_.home(Arena::offset(page)) : cpu.place.node;
  Time& until = clear_until_[node];
  until = std::max(until, cpu.clock) + machine_.clear_page_node;
  cpu.clock = std::max(until, cpu.clock + machine_.clear_page_core);
}

void Simulation::shootdown(Cpu& cpu, const CpuSet& targets) {
  if (cpu.posted != 0 || cpu.drained > cpu.clock) drain(cpu);
  take_turn(cpu);
  const Time since = cpu.clock;
  Time sent = cpu.clock + machine_.shootdown_base;
  // All CPUs' interrupts share the interconnect, which delivers so many of them in a time.
  delivery_until_ = std::max(delivery_until_, cpu.clock);
  Time answered = 0;
  targets.for_each([&](u32 target) {
    const u32 thread = thread_on_[target];
    if (thread == max_cpus || thread == cpu.index || cpus_[thread].left) return;
    delivery_until_ += machine_.shootdown_delivery;
    sent = std::max(sent + machine_.shootdown_per_target, delivery_until_);
    answered = std::max(answered, interrupt(cpu, cpus_[thread], sent));
  });
  if (answered != 0) cpu.clock = std::max(answered, sent);
  cpu.shootdown += cpu.clock - since;
}

// When the target has answered: its handler runs when the interrupt arrives, after those that came
// before. It takes the time from the thread there, unless that is asleep: then the CPU leaves the
// address space and gets no more of them in this sleep (lazy TLB mode: Linux's arch/x86/mm/tlb.c,
// leave_mm).
Time Simulation::interrupt(Cpu& sender, Cpu& target, Time sent) {
  if (target.status == Status::done) return sent;
  Time arrival = sent + machine_.interrupt[machine_.between(sender.place, target.place)];
  const bool idle = target.status == Status::asleep;
  target.left = idle;
  if (idle) arrival += idle_exit(arrival - std::min(arrival, target.blocked_since));
  target.handler_until = std::max(arrival, target.handler_until) + machine_.shootdown_handler;
  if (!idle) target.stolen += machine_.shootdown_handler;
  return target.handler_until;
}

void Simulation::settle(Cpu& cpu) {
  take_turn(cpu);
  cpu.clock += cpu.stolen;
  cpu.shootdown += cpu.stolen;
  cpu.stolen = 0;
  constexpr u32 batch = 64;
  if (cpu.retired >= batch && cpu.rcu_depth == 0) {
    reclaim(cpu, safe_time());
  }
}

void Simulation::rcu_lock(Cpu& cpu) {
  if (cpu.rcu_depth++ == 0) cpu.rcu_since = cpu.clock;
  cpu.clock += machine_.rcu_read;
}

void Simulation::rcu_unlock(Cpu& cpu) {
  if (cpu.rcu_depth == 0) throw std::logic_error("rcu::read_unlock without rcu::read_lock");
  cpu.clock += machine_.rcu_read;
  // Whoever waits for this section, or begins to while it lasts, must see it.
  if (cpu.clock > cpu.rcu_since + lead) take_turn(cpu);
  if (--cpu.rcu_depth == 0 && !synchronizing_.empty()) end_grace(cpu.clock);
}

// What was retired before that time nobody can be reading any more.
Time Simulation::safe_time() const {
  Time safe = max_time;
  for (const Cpu& cpu : cpus_)
    if (cpu.rcu_depth != 0) safe = std::min(safe, cpu.rcu_since);
  return safe;
}

void Simulation::rcu_synchronize(Cpu& cpu) {
  if (cpu.rcu_depth != 0)
    throw std::logic_error("rcu::synchronize inside a read section never returns");
  take_turn(cpu);
  const Time since = cpu.clock;
  if (safe_time() <= cpu.clock) {
    synchronizing_.push_back(static_cast<u16>(cpu.index));
    block(cpu, Status::grace);
  }
  cpu.clock += machine_.rcu_grace;
  cpu.sleeping += cpu.clock - since;
}

void Simulation::end_grace(Time now) {
  const Time safe = safe_time();
  std::erase_if(synchronizing_, [&](u16 thread) {
    Cpu& cpu = cpus_[thread];
    if (safe <= cpu.blocked_since) return false;
    make_ready(cpu, std::max(cpu.clock, now));
    return true;
  });
}

void Simulation::rcu_retire(Cpu& cpu, RcuNode* node) {
  node->next = nullptr;
  node->retired = cpu.clock;
  (cpu.retired_last != nullptr ? cpu.retired_last->next : cpu.retired_first) = node;
  cpu.retired_last = node;
  ++cpu.retired;
}

void Simulation::reclaim(Cpu& cpu, Time before) {
  while (cpu.retired_first != nullptr && cpu.retired_first->retired < before) {
    RcuNode* node = cpu.retired_first;
    cpu.retired_first = node->next;
    if (cpu.retired_first == nullptr) cpu.retired_last = nullptr;
    --cpu.retired;
    node->reclaim(node);
  }
}

void Simulation::wait_begin(Cpu& cpu, const void* object, const char* what) {
  if (cpu.wait_depth++ != 0) return;  // the outermost wait is the one that counts
  cpu.waits_for = object;
  cpu.waits_for_name = what;
  cpu.waits_since = cpu.clock;
  ++waiting_;
  progress_ = std::max(progress_, cpu.clock);
}

void Simulation::wait_end(Cpu& cpu) {
  if (--cpu.wait_depth != 0) return;
  cpu.waits_for = nullptr;
  cpu.waited += cpu.clock - cpu.waits_since;
  --waiting_;
}

void Simulation::label(const void* object, usize bytes, const char* name) {
  if (!Arena::holds(object)) return;
  labels_.name(lines_, Arena::offset(object), bytes, name);
  transfers_.resize(labels_.size());
}

void* Simulation::allocate(Cpu* cpu, usize bytes, usize alignment) {
  const Cpu& on = cpu != nullptr ? *cpu : cpus_.front();
  return arena_.allocate(on.index, on.place.node, bytes, alignment);
}

}  // namespace faultline::sim
