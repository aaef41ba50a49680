// The simulator's engine behind one facade. Each thread of a simulation is a fiber on a CPU of its
// own. Every access to P::atomic and P::data is an event of the caches (Coherence). Every other
// call of the platform is an event of the scheduler or of the kernel. docs/simulator.md follows one
// transfer of a line through these classes.
//
// Nothing may depend on the host's addresses, clock or load. The same machine, threads and seed
// give the same counts, byte for byte.
//
// Not modelled: out-of-order overlap of loads, snoop-filter evictions, the sharing of a core by SMT
// siblings (but for work beside a backoff), time slices (a thread has its CPU to itself).
#pragma once

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "harness/sim/engine/accounting.hpp"
#include "harness/sim/engine/coherence.hpp"
#include "harness/sim/engine/futexes.hpp"
#include "harness/sim/engine/interrupts.hpp"
#include "harness/sim/engine/memory_bandwidth.hpp"
#include "harness/sim/engine/rcu.hpp"
#include "harness/sim/engine/spin_parking.hpp"

namespace faultline::sim {

struct Options {
  u64 seed = 1;
  usize stack_bytes = 64 << 10;           // the stack of each thread
  u64 progress_limit_ns = 1'000'000'000;  // if all threads wait for longer, they are in a livelock
  u64 time_limit_ns = 200'000'000'000;    // simulated time; at most 281 s
};

// The simulated threads cannot go on, since all wait for ever. `what()` is one line. `waiting` has
// one line for each thread: what it waits for, and how long.
class Stuck : public std::runtime_error {
 public:
  Stuck(const std::string& what, std::vector<std::string> lines)
      : std::runtime_error(what), waiting(std::move(lines)) {}
  std::vector<std::string> waiting;
};

// A process has at most one at a time.
class Simulation {
 public:
  // Makes one thread on each of `cpus`, in that order; the numbers are the kernel's. Throws
  // std::invalid_argument for a CPU that the machine lacks or that is named twice.
  Simulation(const Machine& machine, const std::vector<u32>& cpus, const Options& options);
  ~Simulation();
  Simulation(const Simulation&) = delete;
  Simulation& operator=(const Simulation&) = delete;

  // Sets what thread `thread` does. Called before run(), for every thread.
  void set_body(u32 thread, std::function<void()> body);
  // Calls `action` at that time of the simulation, between two events, outside every CPU. Its
  // stores cost nothing, and all CPUs see them, even those that spin on the words. Called before
  // run(), or from an action.
  void at(u64 time_ns, std::function<void()> action);
  // Returns when all bodies have returned. Throws Stuck when they cannot go on, and what a body or
  // an action threw.
  void run();

  // Called by bodies. All threads meet, at no cost, and go on together at the time of the latest.
  void meet() {
    stores_.drain(*here.cpu);
    scheduler_.meet(*here.cpu);
  }

  // Makes a T in the arena, on the first CPU's node; the caller destroys it. Objects that threads
  // share must be made by this, or by a body within an ArenaScope. The memory lives as long as the
  // simulation.
  template <class T, class... Arguments>
  std::unique_ptr<T> make(Arguments&&... arguments);

  // Simulated time: that of the running CPU, or that of the event under way.
  u64 now_ns() const { return now() / ps_per_ns; }
  const Machine& machine() const { return machine_; }
  u32 threads() const { return static_cast<u32>(cpus_.size()); }
  // Called by an action. Answers whether no thread will go on by itself.
  bool stands_still() const { return scheduler_.stands_still(); }
  // All counts up to now.
  Counts counts() const { return accounting_.counts(directory_, now()); }
  // One line for each thread that waits: what it waits for, and how long.
  std::vector<std::string> waiting() const;

  // ---- The calls of the platform, made by the running CPU.

  // See Coherence. Between before_rmw and after_rmw, and where before_store answers true, the
  // caller writes the value immediately.
  const void* before_load(Cpu& cpu, const void* address, usize bytes) {
    return coherence_.before_load(cpu, address, bytes);
  }
  bool before_store(Cpu& cpu, void* address, usize bytes, u64 value) {
    return coherence_.before_store(cpu, address, bytes, value);
  }
  void before_rmw(Cpu& cpu, const void* address, usize bytes) {
    coherence_.before_rmw(cpu, address, bytes);
  }
  void after_rmw(Cpu& cpu) { coherence_.after_rmw(cpu); }
  void prefetch_write(Cpu& cpu, const void* address) { coherence_.prefetch_write(cpu, address); }
  bool forward(Cpu& cpu, const void* address, u64& value) {
    return coherence_.forward(cpu, address, value);
  }
  void before_construction(Cpu& cpu, u64 at) { coherence_.before_construction(cpu, at); }
  void outside_store(const void* address) { coherence_.outside_store(address); }

  void pause(Cpu& cpu) { spinning_.pause(cpu); }
  void enter_kernel(Cpu& cpu) { futexes_.enter_kernel(cpu); }
  // The caller has compared the word with the expected value after enter_kernel().
  bool sleep(Cpu& cpu, const void* word, u64 deadline_ns) {
    return futexes_.sleep(cpu, Arena::place_of(word), deadline_ns);
  }
  void wake(Cpu& cpu, const void* word, u32 n) {
    futexes_.enter_kernel(cpu);
    futexes_.wake(cpu, Arena::place_of(word), n);
  }
  u64 read_clock(Cpu& cpu);
  bool running(Cpu& cpu, u32 thread);
  void work(Cpu& cpu, u64 ns) {
    const Time time = ns * ps_per_ns;
    cpu.clock += cpu.core_mate == nullptr ? time : time_beside_mate(cpu, time);
  }
  // The kernel's code takes that time, with jitter.
  void spend_in_kernel(Cpu& cpu, Time time) {
    cpu.clock += jittered(cpu.jitter, time, machine_.kernel_jitter);
  }
  void kernel_work(Cpu& cpu, KernelWork which) {
    spend_in_kernel(cpu, machine_.kernel_work[static_cast<usize>(which)]);
  }
  void clear_page(Cpu& cpu, const void* page) { memory_.clear_page(cpu, page); }
  void shootdown(Cpu& cpu, const CpuSet& targets, LazyCpus lazy) {
    interrupts_.shootdown(cpu, targets, lazy);
  }
  void flush_all_tlbs(Cpu& cpu) { interrupts_.flush_all(cpu); }
  Tlbs& tlbs() { return interrupts_.tlbs(); }
  void settle(Cpu& cpu) {
    interrupts_.settle(cpu);
    rcu_.reclaim_batch(cpu);
  }
  Rcu& rcu() { return rcu_; }
  Progress& progress() { return progress_; }
  void label(const void* object, usize bytes, const char* name);
  void* allocate(const Cpu* cpu, usize bytes, usize alignment);

 private:
  void place_threads(const std::vector<u32>& cpus);
  void find_core_mates();
  Time time_beside_mate(const Cpu& cpu, Time time) const;
  Time now() const { return here.cpu != nullptr ? here.cpu->clock : scheduler_.now(); }
  std::string waiting_line(const Cpu& cpu) const;
  std::string label_at(const void* object) const;

  const Machine& machine_;
  const Options options_;
  std::vector<Cpu> cpus_;
  std::vector<u32> thread_on_;  // by the kernel's number of a CPU; max_cpus: none
  Arena arena_;
  Xorshift random_;  // for the choices between CPUs
  Progress progress_;
  Accounting accounting_;
  Directory directory_;
  Scheduler scheduler_;
  LineQueues queues_;
  StoreBuffers stores_;
  SpinParking spinning_;
  Coherence coherence_;
  Futexes futexes_;
  Interrupts interrupts_;
  Rcu rcu_;
  MemoryBandwidth memory_;
};

// While it lives, operator new on the thread that made it allocates in the arena, as P::allocate
// does. It is for objects that threads share and that std::make_unique and similar functions make.
// Objects that outlive the simulation must not be made within.
class ArenaScope {
 public:
  ArenaScope() : flag_(here.cpu != nullptr ? here.cpu->in_arena : here.in_arena), before_(flag_) {
    flag_ = true;
  }
  ~ArenaScope() { flag_ = before_; }
  ArenaScope(const ArenaScope&) = delete;
  ArenaScope& operator=(const ArenaScope&) = delete;

 private:
  bool& flag_;
  bool before_;
};

template <class T, class... Arguments>
std::unique_ptr<T> Simulation::make(Arguments&&... arguments) {
  const ArenaScope scope;
  return std::make_unique<T>(std::forward<Arguments>(arguments)...);
}

}  // namespace faultline::sim
