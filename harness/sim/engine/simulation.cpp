#include "harness/sim/engine/simulation.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <map>

namespace faultline::sim {

Simulation::Simulation(const Machine& machine, const std::vector<u32>& cpus, const Options& options)
    : machine_(machine),
      options_(options),
      cpus_(cpus.size()),
      thread_on_(max_cpus, max_cpus),
      arena_(static_cast<u32>(cpus.size()), options.stack_bytes),
      random_(stream_seed(options.seed, 0)),
      progress_(options.progress_limit_ns * ps_per_ns),
      accounting_(arena_, cpus_),
      directory_(machine, arena_, cpus_),
      scheduler_(cpus_, arena_, queues_, interrupts_, progress_, options.time_limit_ns * ps_per_ns),
      queues_(machine, cpus_, directory_, scheduler_, coherence_, stores_, random_),
      stores_(machine, directory_, queues_, scheduler_, accounting_),
      spinning_(machine, cpus_, directory_, queues_, scheduler_, accounting_, random_),
      coherence_(machine, arena_, cpus_, directory_, queues_, stores_, spinning_, scheduler_,
                 accounting_),
      futexes_(machine, cpus_, scheduler_, stores_),
      interrupts_(machine, arena_, cpus_, thread_on_, scheduler_, stores_, coherence_, accounting_,
                  directory_),
      rcu_(machine, cpus_, scheduler_, stores_),
      memory_(machine, arena_, scheduler_) {
  place_threads(cpus);
  if (here.simulation != nullptr)
    throw std::logic_error("simulator: one simulation at a time in a process");
  here.simulation = this;
}

Simulation::~Simulation() {
  here = {};
}

void Simulation::place_threads(const std::vector<u32>& cpus) {
  const usize count = machine_.places.size();
  if (cpus.empty() || cpus.size() > count)
    throw std::invalid_argument(fmt::format("machine '{}': {} CPUs asked for, expected 1 to {}",
                                            machine_.name, cpus.size(), count));
  for (u32 thread = 0; thread < cpus.size(); ++thread) {
    const u32 os = cpus[thread];
    if (os >= count || thread_on_[os] != max_cpus)
      throw std::invalid_argument(
          fmt::format("machine '{}': CPU {} for thread {}, expected one of its {}, once",
                      machine_.name, os, thread, count));
    thread_on_[os] = thread;
    Cpu& cpu = cpus_[thread];
    cpu.index = thread;
    cpu.os = os;
    cpu.place = machine_.places[os];
    cpu.stores.ring.resize(std::bit_ceil(machine_.store_buffer));
    cpu.random = stream_seed(options_.seed, 2 * thread + 1);
    cpu.jitter = Xorshift(stream_seed(options_.seed, 2 * thread + 2));
  }
  find_core_mates();
}

void Simulation::find_core_mates() {
  if (machine_.core_alone == 1024) return;
  std::map<u16, std::vector<Cpu*>> cores;
  for (Cpu& cpu : cpus_) cores[cpu.place.core].push_back(&cpu);
  for (const auto& [core, mates] : cores) {
    if (mates.size() != 2) continue;
    mates[0]->core_mate = mates[1];
    mates[1]->core_mate = mates[0];
  }
}

// A thread that backs off executes PAUSE, which leaves the core's execution units to the other one.
// It is between wait_begin and wait_end, neither parked nor queued for a line, and its clock is
// ahead by the rest of its backoff. What it does after this backoff is not known yet: it often
// backs off again, so it counts as backing off until this work is done.
Time Simulation::time_beside_mate(const Cpu& cpu, Time time) const {
  const Cpu& mate = *cpu.core_mate;
  const bool mate_backs_off =
      mate.wait_depth != 0 && mate.status == Status::ready && mate.clock > cpu.clock;
  if (cpu.wait_depth != 0 || !mate_backs_off) return time;
  return time * machine_.core_alone / 1024;
}

void Simulation::set_body(u32 thread, std::function<void()> body) {
  Cpu& cpu = cpus_.at(thread);
  cpu.body = [this, &cpu, run = std::move(body)] {
    run();
    stores_.drain(cpu);
  };
}

void Simulation::at(u64 time_ns, std::function<void()> action) {
  scheduler_.at(time_ns * ps_per_ns, std::move(action));
}

void Simulation::run() {
  if (const std::string stuck = scheduler_.run(); !stuck.empty()) throw Stuck(stuck, waiting());
  rcu_.reclaim_all();
}

u64 Simulation::read_clock(Cpu& cpu) {
  cpu.timed = true;
  cpu.clock += machine_.clock_read;
  return cpu.clock / ps_per_ns;
}

bool Simulation::running(Cpu& cpu, u32 thread) {
  cpu.timed = true;
  cpu.clock += machine_.hit[static_cast<usize>(Kind::load)];
  scheduler_.take_turn(cpu);
  const Status status = cpus_[thread].status;
  return status != Status::asleep && status != Status::done && status != Status::unborn;
}

void Simulation::label(const void* object, usize bytes, const char* name) {
  if (!Arena::holds(object)) return;
  accounting_.name(directory_.lines(), Arena::offset(object), bytes, name);
}

void* Simulation::allocate(const Cpu* cpu, usize bytes, usize alignment) {
  const Cpu& on = cpu != nullptr ? *cpu : cpus_.front();
  return arena_.allocate(on.index, on.place.node, bytes, alignment);
}

std::vector<std::string> Simulation::waiting() const {
  std::vector<std::string> lines;
  for (const Cpu& cpu : cpus_)
    if (cpu.status != Status::done) lines.push_back(waiting_line(cpu));
  return lines;
}

std::string Simulation::waiting_line(const Cpu& cpu) const {
  const char* how = cpu.status == Status::asleep    ? "asleep"
                    : cpu.status == Status::parked  ? "spinning"
                    : cpu.status == Status::grace   ? "in rcu::synchronize"
                    : cpu.status == Status::meeting ? "at meet()"
                                                    : "running";
  std::string what = "nothing named";
  if (cpu.waits_for != nullptr) {
    const Time waited = std::max(scheduler_.now(), cpu.clock) - cpu.waits_since;
    what = fmt::format("{} ({}) for {:.3f} us", cpu.waits_for_name, label_at(cpu.waits_for),
                       1e-6 * static_cast<double>(waited));
  }
  return fmt::format("thread {} (CPU {}) waits for {}, {}", cpu.index, cpu.os, what, how);
}

std::string Simulation::label_at(const void* object) const {
  if (!Arena::holds(object)) return "outside of the arena";
  const u64 at = Arena::offset(object);
  return accounting_.name_of(accounting_.label_of(directory_.line_at(at), at));
}

}  // namespace faultline::sim
