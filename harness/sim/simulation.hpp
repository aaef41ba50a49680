// The simulator's engine. Each thread of a simulation is a fiber on a CPU of its own; the one whose
// clock is earliest runs, and keeps running while it is. Every access to P::atomic and P::data is
// an event of the coherence model (coherence.cpp), every other verb of the platform one of the
// kernel's (kernel.cpp).
//
// Order. An access to a line that a second CPU has ever touched happens when its CPU is the
// earliest of all, so all such accesses happen in one order, that of simulated time: values are
// sequentially consistent. A posted store has its place in that order when it is posted: whoever
// asks for the line later waits until the store has it. Lines of one CPU alone, and work(), need no
// such care and only move the CPU's own clock.
//
// Nothing may depend on the host's addresses, clock or load: the same machine, threads and seed
// give the same counts, byte for byte.
//
// Left out: out-of-order overlap of loads, snoop-filter evictions, SMT siblings' sharing of a core,
// time slicing (a thread has its CPU to itself).
#pragma once

#include <boost/context/detail/fcontext.hpp>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "harness/sim/arena.hpp"
#include "harness/sim/counts.hpp"
#include "harness/sim/cpu.hpp"
#include "harness/sim/event_queue.hpp"
#include "harness/sim/labels.hpp"

namespace faultline::sim {

struct Options {
  u64 seed = 1;
  usize stack_bytes = 64 << 10;           // a thread's
  u64 progress_limit_ns = 1'000'000'000;  // all threads waiting for so long: a livelock
  u64 time_limit_ns = 200'000'000'000;    // of simulated time; at most 281 s
};

// The simulated threads cannot go on: all wait, for ever. `what()` is one line; `waiting` a line
// for each thread: who waits how long for what.
class Stuck : public std::runtime_error {
 public:
  Stuck(const std::string& what, std::vector<std::string> lines)
      : std::runtime_error(what), waiting(std::move(lines)) {}
  std::vector<std::string> waiting;
};

class Simulation;

// Which CPU runs: the one global of the simulator, as native has its thread table, since an atomic
// must find its CPU without an argument. `cpu` is null outside of every simulated thread, where
// accesses cost nothing; `outside` is the simulation while one of its actions runs.
struct Here {
  Simulation* simulation = nullptr;
  Cpu* cpu = nullptr;
  Simulation* outside = nullptr;
  bool in_arena = false;  // ArenaScope without a CPU
};
inline constinit Here here;

// One at a time in a process.
class Simulation {
 public:
  // A thread on each of `cpus`, in that order; the numbers are the kernel's. Throws
  // std::invalid_argument for a CPU that the machine lacks or that is named twice.
  Simulation(const Machine& machine, const std::vector<u32>& cpus, const Options& options);
  ~Simulation();
  Simulation(const Simulation&) = delete;
  Simulation& operator=(const Simulation&) = delete;

  // What thread `thread` does. Before run(), for every thread.
  void set_body(u32 thread, std::function<void()> body);
  // Calls `action` at that time of the simulation, between two events, outside of every CPU: what
  // it stores costs nothing and is seen by all CPUs, also by those that spin on it. Before run(),
  // or from an action.
  void at(u64 time_ns, std::function<void()> action);
  // Until all bodies have returned. Throws Stuck when they cannot, and what a body or an action
  // threw.
  void run();

  // Called by bodies. All threads meet, at no cost, and go on together at the latest one's time.
  void meet();

  // In the arena and on the first CPU's node, to be destroyed by the caller: what threads share
  // must be made so, or by a body within an ArenaScope. Its memory lives as long as the simulation.
  template <class T, class... Arguments>
  std::unique_ptr<T> make(Arguments&&... arguments);

  // Simulated time: the running CPU's, or between events the moment.
  u64 now_ns() const;
  const Machine& machine() const { return machine_; }
  u32 threads() const { return static_cast<u32>(cpus_.size()); }
  // By an action: whether no thread will go on by itself.
  bool stands_still() const { return queue_.top() == EventQueue::nothing; }
  // All counts up to now.
  Counts counts() const;
  // Who waits, for what and how long: a line a thread.
  std::vector<std::string> waiting() const;

  // ---- The platform's verbs, by the running CPU.

  // Before the value is read, or written. After before_write the value is the caller's to write, by
  // no other way than at once.
  void before_load(Cpu& cpu, const void* address, usize bytes) {
    begin_access(cpu);
    const u64 at = place_of(address);
    Line& line = lines_[at / 64];
    note_read(cpu, at);
    if (is_private(cpu, line)) {
      refresh(cpu, line, at);
      line.used |= bytes_of(at, bytes);
      cpu.clock += machine_.hit[0];
      return;
    }
    load_met(cpu, line, at, bytes);
  }
  void before_rmw(Cpu& cpu, const void* address, usize bytes) {
    before_exclusive(cpu, address, bytes, Kind::rmw);
  }
  // True: the caller writes the value. False: it has been posted.
  bool before_store(Cpu& cpu, void* address, usize bytes, u64 value) {
    begin_access(cpu);
    cpu.changed = true;
    cpu.timed = false;
    const u64 at = place_of(address);
    Line& line = lines_[at / 64];
    if (is_private(cpu, line)) {
      refresh(cpu, line, at);
      line.state = State::modified;
      line.used |= bytes_of(at, bytes);
      cpu.clock += machine_.hit[1];
      return true;
    }
    return store_met(cpu, line, at, bytes, value);
  }
  // The newest value that this CPU has posted for that place and nobody else can see yet. A load
  // like any other: who spins on a value of its own must let the time come in which others see it.
  bool forwarded(Cpu& cpu, const void* address, u64& value) {
    const u64 at = Arena::offset(address);
    if ((cpu.posted_filter & Cpu::filter_bit(at)) == 0 || !find_posted(cpu, at, value))
      return false;
    begin_access(cpu);
    cpu.changed = true;  // what others see there is still to come: no parking
    cpu.clock += machine_.hit[0];
    return true;
  }
  // Not a pointer to const, by which GCC expects the word to be read before it is made.
  void before_construction(Cpu& cpu, void* address) {
    if ((cpu.posted_filter & Cpu::filter_bit(Arena::offset(address))) != 0) [[unlikely]]
      drain(cpu);
  }
  // A store from outside of every CPU.
  void outside_store(const void* address);

  void pause(Cpu& cpu);
  // The word's value has been found equal to what the caller expects when `sleep` is called.
  void enter_kernel(Cpu& cpu);
  bool sleep(Cpu& cpu, const void* word, u64 deadline_ns);
  void wake(Cpu& cpu, const void* word, u32 n);
  u64 read_clock(Cpu& cpu);
  bool running(Cpu& cpu, u32 thread);
  void work(Cpu& cpu, u64 ns) { cpu.clock += ns * ps_per_ns; }
  void clear_page(Cpu& cpu, const void* page);
  void shootdown(Cpu& cpu, const CpuSet& targets);
  void settle(Cpu& cpu);
  void rcu_lock(Cpu& cpu);
  void rcu_unlock(Cpu& cpu);
  void rcu_synchronize(Cpu& cpu);
  void rcu_retire(Cpu& cpu, RcuNode* node);
  void wait_begin(Cpu& cpu, const void* object, const char* what);
  void wait_end(Cpu& cpu);
  void label(const void* object, usize bytes, const char* name);
  void* allocate(Cpu* cpu, usize bytes, usize alignment);
  u32 node_of(const Cpu& cpu) const { return cpu.place.node; }

 private:
  // Where a line comes from, and why it must.
  struct Source {
    State state;
    Distance distance;
    Reason reason;
  };
  struct Action {
    Time time;
    std::function<void()> call;
  };
  static constexpr u32 agenda_actor = max_cpus;       // below: CPUs; above: queues of lines
  static constexpr u32 first_queue_actor = max_cpus;  // numbers of queues start at 1
  static constexpr u32 max_queues = max_actors - first_queue_actor;
  static constexpr u32 max_sides = 1U << 24;
  static constexpr u32 max_requests = 1U << 18;
  static constexpr u32 max_labels = Labels::most;

  // coherence.cpp
  u64 place_of(const void* address) const {
    const u64 at = Arena::offset(address);
    if (at >= Arena::size) [[unlikely]]
      refuse_address(address);
    return at;
  }
  [[noreturn]] static void refuse_address(const void* address);
  static u64 bytes_of(u64 at, usize bytes) { return ((u64{1} << bytes) - 1) << (at % 64); }
  static void note_read(Cpu& cpu, u64 at) {
    if (cpu.read_count != 0 && cpu.reads[(cpu.read_count - 1) % Watch::per_cpu] / 64 == at / 64)
      return;
    cpu.reads[cpu.read_count++ % Watch::per_cpu] = at;
  }
  // The own cache may have dropped the line meanwhile.
  void refresh(Cpu& cpu, Line& line, u64 at) {
    if (cpu.fills - line.filled > machine_.private_lines) [[unlikely]]
      refill(cpu, line, at);
  }
  void refill(Cpu& cpu, Line& line, u64 at);
  static bool is_private(const Cpu& cpu, const Line& line) {
    return line.owner == cpu.index && !line.met && line.state != State::invalid;
  }
  void load_met(Cpu& cpu, Line& line, u64 at, usize bytes);
  bool store_met(Cpu& cpu, Line& line, u64 at, usize bytes, u64 value);
  void before_exclusive(Cpu& cpu, const void* address, usize bytes, Kind kind);
  bool holds(const Cpu& cpu, const Line& line) const {
    return line.state != State::invalid &&
           (line.owner == cpu.index || (line.side != 0 && sides_[line.side].has(cpu.index)));
  }
  bool owns_alone(const Cpu& cpu, const Line& line) const {
    return line.owner == cpu.index &&
           (line.state == State::modified || line.state == State::exclusive);
  }
  bool is_queued(const Line& line) const { return line.side != 0 && sides_[line.side].queue != 0; }
  bool awaits_store(const Line& line) const {
    return is_queued(line) && queues_[sides_[line.side].queue].posted != 0;
  }
  void obtain(Cpu& cpu, Line& line, u64 at, usize bytes, Kind kind);
  Time grant(Cpu& cpu, Line& line, u64 at, usize bytes, Kind kind, Time now, u32 requesters);
  [[gnu::always_inline]] inline Time read_clean(Cpu& cpu, Line& line, u64 at, usize bytes,
                                                Distance distance, Time now);
  Time begin_transfer(u64 at, Distance distance, Time now);
  void count_transfer(const Line& line, u64 at, Kind kind, Distance distance, Reason reason);
  static void add_sharer(Side& side, const Cpu& cpu) {
    side.sharers[cpu.index / 64] |= u64{1} << (cpu.index % 64);
    u64& clusters = side.clusters[cpu.place.cluster / 64];
    const u64 cluster = u64{1} << (cpu.place.cluster % 64);
    if ((clusters & cluster) != 0) return;
    clusters |= cluster;
    side.nodes |= u64{1} << cpu.place.node;
  }
  Source source_of(const Cpu& cpu, const Line& line, u64 at, u64 mask, Kind kind) const;
  Distance nearest_copy(const Cpu& cpu, const Side& side) const;
  Distance farthest_copy(const Cpu& cpu, const Line& line) const;
  void take_copy(Cpu& cpu, Line& line, u64 mask);
  void take_over(Cpu& cpu, Line& line, u64 at, u64 mask, Time complete);
  void bring_pair(Cpu& cpu, u64 at, Time complete);
  // The next number of a thing of which there are fewer than `capacity`.
  static u32 fresh_number(u32& made, u32 capacity, const char* things);
  Side& side_of(Line& line);
  void drop_side(Line& line);
  u64 draw();
  Time jittered(Cpu& cpu, Time latency);
  u32 label_of(const Line& line, u64 at) const;
  void stall(Cpu& cpu, u32 label, Time since);
  Time& stall_of(u32 label, u32 thread) { return stalls_[label * cpus_.size() + thread]; }

  // requests.cpp: those that must wait for their line, and the store buffers
  void enqueue(Cpu& cpu, Line& line, u64 at, usize bytes, Kind kind, const u64* posted_value);
  LineQueue& queue_of(Line& line, u64 at);
  Request& append(RequestList& list);
  u32 take_next(LineQueue& in, const Line& line);
  void take_in_woken(LineQueue& queue);
  void release(u32 queue_number, Time now);
  void serve(u32 queue_number, Time now);
  void serve_readers(LineQueue& queue, Line& line);
  void complete_posted(Cpu& cpu, const Request& request, Time now, Time complete);
  void drain(Cpu& cpu);
  // The store whose place in the buffer the next one takes.
  const Cpu::Posted& oldest_slot(const Cpu& cpu) const {
    return cpu.ring[cpu.slot(machine_.store_buffer)];
  }
  void await_slot(Cpu& cpu);
  bool find_posted(const Cpu& cpu, u64 at, u64& value) const;
  static void write_value(u64 at, usize bytes, u64 value);

  // spinning.cpp
  [[gnu::noinline]] Status prepare_spin(Cpu& cpu);
  [[gnu::noinline]] void end_pause(Cpu& cpu, Time since);
  void park(Cpu& cpu);
  void queue_for(Cpu& cpu, RequestList& list, u64 at, Time arrival);
  void watch(Cpu& cpu, Line& line);
  void unwatch(Cpu& cpu);
  void wake_watchers(Line& line, u64 at, Time complete);
  void look_for_progress(const Cpu& cpu);

  // kernel.cpp
  Time idle_exit(Time asleep) const;
  Time interrupt(Cpu& sender, Cpu& target, Time sent);
  Time safe_time() const;
  void reclaim(Cpu& cpu, Time before);
  void end_grace(Time now);

  // schedule.cpp
  // Lets the earliest CPU run unless that is this one.
  void take_turn(Cpu& cpu) {
    if (queue_.top() < make_key(cpu.clock, cpu.index)) [[unlikely]]
      yield(cpu);
  }
  // A CPU that uses nothing but lines of its own goes no farther ahead of the others than this: the
  // first of them to ask for such a line finds it where its owner's clock is.
  static constexpr Time lead = 200 * ps_per_ns;
  void begin_access(Cpu& cpu) {
    ++cpu.accesses;
    if (cpu.clock > lead && queue_.top() < make_key(cpu.clock - lead, cpu.index)) [[unlikely]]
      yield(cpu);
  }
  void yield(Cpu& cpu);
  // Until another puts this CPU's key into the queue and that is the earliest. Inlined, as
  // switch_to is: the host foretells no return of a function in which another fiber was entered.
  void block(Cpu& cpu, Status status) {
    cpu.status = status;
    cpu.blocked_since = cpu.clock;
    switch_to(cpu, next_to_run(queue_.pop()));
  }
  void make_ready(Cpu& cpu, Time time);
  Cpu& next_to_run(Key next);
  [[gnu::noinline]] bool perform(Key next);
  bool advance_to(Time time);
  void fetch_next() const;
  void switch_to(Cpu& from, Cpu& to) {
    if (&from == &to) return;
    here.cpu = &to == &main_ ? nullptr : &to;
    const auto back = boost::context::detail::jump_fcontext(to.context, &from.context);
    *static_cast<void**>(back.data) = back.fctx;
  }
  void enter_fiber(Cpu& cpu);
  void end_fiber(Cpu& cpu);
  void perform_actions();
  void schedule_actions();
  void fail(const char* what);
  std::string label_at(const void* object) const;
  Account account_of(const Cpu& cpu, Time now) const;

  const Machine& machine_;
  const Options options_;
  Arena arena_;
  LazyArray<Line> lines_;
  LazyArray<Side> sides_;
  LazyArray<Request> requests_;
  LazyArray<LineQueue> queues_;
  std::vector<Watch> watches_;
  u32 sides_made_ = 0, free_side_ = 0;
  u32 requests_made_ = 0, free_request_ = 0;
  u32 queues_made_ = 0;
  u16 free_queue_ = 0;
  EventQueue queue_;
  std::vector<Cpu> cpus_;
  const u32 sharer_words_;  // of Side::sharers that are in use
  const u32 cluster_words_;
  Cpu main_;                      // run()'s own place among the fibers
  std::vector<Time> home_until_;  // by node: its directory's and its memory's time is taken till
  std::vector<Time> clear_until_;
  Time delivery_until_ = 0;  // the interconnect's time for interrupts is taken till
  std::vector<u16> sleepers_[256];
  std::vector<u16> synchronizing_;
  std::vector<u16> arrived_;    // at meet()
  std::vector<u32> thread_on_;  // by the kernel's number of a CPU; max_cpus: none
  Labels labels_;
  std::vector<Transfers> transfers_;
  LazyArray<Time> stalls_;  // label by label, a time a thread
  u64 transfer_count_ = 0, prefetches_ = 0;
  u64 random_;  // of the choices between CPUs
  std::vector<Action> agenda_;
  Time now_ = 0;  // of the event under way
  u32 live_ = 0;
  u32 waiting_ = 0;    // threads within wait_begin and wait_end
  Time progress_ = 0;  // when one last was not
  std::string stuck_;
  std::exception_ptr failure_;
};

// While it lives, operator new of the thread that made it allocates in the arena, as P::allocate
// does: for objects that threads share and that are made by std::make_unique and the like. What
// lives longer than the simulation must not be made within.
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
