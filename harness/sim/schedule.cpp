// The fibers: whose turn it is, and the way from one to the next.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <boost/context/detail/fcontext.hpp>

#include "harness/sim/overflow.hpp"
#include "harness/sim/simulation.hpp"
#include "locks/random.hpp"

namespace faultline::sim {

namespace context = boost::context::detail;

namespace {
// Never zero, which xorshift cannot leave.
u64 seed_of(u64 seed, u64 stream) {
  return splitmix64((seed - 1) * golden_gamma + stream * 0xD1B54A32D192ED03ULL + 1) | 1;
}
}  // namespace

Simulation::Simulation(const Machine& machine, const std::vector<u32>& cpus, const Options& options)
    : machine_(machine),
      options_(options),
      arena_(static_cast<u32>(cpus.size()), options.stack_bytes),
      lines_(Arena::size / Arena::line_bytes),
      sides_(max_sides),
      requests_(max_requests),
      queues_(max_queues),
      watches_(cpus.size() * Watch::per_cpu + 1),
      cpus_(cpus.size()),
      sharer_words_(static_cast<u32>(cpus.size() + 63) / 64),
      cluster_words_(machine.clusters / 64 + 1),
      home_until_(machine.nodes),
      clear_until_(machine.nodes),
      thread_on_(max_cpus, max_cpus),
      transfers_(labels_.size()),
      stalls_(cpus.size() * max_labels),
      random_(seed_of(options.seed, 0)),
      live_(static_cast<u32>(cpus.size())) {
  if (cpus.empty() || cpus.size() > machine.places.size())
    throw std::invalid_argument(fmt::format("machine '{}': {} CPUs asked for, expected 1 to {}",
                                            machine.name, cpus.size(), machine.places.size()));
  for (u32 i = 0; i < cpus.size(); ++i) {
    if (cpus[i] >= machine.places.size() || thread_on_[cpus[i]] != max_cpus)
      throw std::invalid_argument(
          fmt::format("machine '{}': CPU {} for thread {}, expected one of its {}, once",
                      machine.name, cpus[i], i, machine.places.size()));
    thread_on_[cpus[i]] = i;
    Cpu& cpu = cpus_[i];
    cpu.index = i;
    cpu.os = cpus[i];
    cpu.place = machine.places[cpus[i]];
    cpu.ring.resize(std::bit_ceil(machine.store_buffer));
    cpu.random = seed_of(options.seed, 2 * i + 1);
    cpu.jitter = seed_of(options.seed, 2 * i + 2);
  }
  main_.index = no_cpu;
  if (here.simulation != nullptr)
    throw std::logic_error("simulator: one simulation at a time in a process");
  here.simulation = this;
}

Simulation::~Simulation() {
  here = {};
}

void Simulation::set_body(u32 thread, std::function<void()> body) {
  cpus_.at(thread).body = std::move(body);
}

void Simulation::at(u64 time_ns, std::function<void()> action) {
  const Time time = std::max(time_ns * ps_per_ns, now_);
  const auto after = std::upper_bound(agenda_.begin(), agenda_.end(), time,
                                      [](Time t, const Action& other) { return t < other.time; });
  agenda_.insert(after, {time, std::move(action)});
  schedule_actions();
}

void Simulation::schedule_actions() {
  if (queue_.has(agenda_actor)) queue_.remove(agenda_actor);
  if (!agenda_.empty()) queue_.push(make_key(agenda_.front().time, agenda_actor));
}

void Simulation::perform_actions() {
  here.outside = this;
  while (!agenda_.empty() && agenda_.front().time <= now_) {
    const std::function<void()> call = std::move(agenda_.front().call);
    agenda_.erase(agenda_.begin());
    call();
  }
  here.outside = nullptr;
  schedule_actions();
}

void Simulation::run() {
  const OverflowWatch overflow(arena_, threads());
  for (Cpu& cpu : cpus_) {
    // Not all from the same place in a page, nor in the 16 pages that a stack's place repeats
    // after: the host's caches would have room for few of them.
    const usize shift = (7 * cpu.index + 4 * (cpu.index / 64)) % 64 * cache_line;
    std::byte* top = arena_.stack(cpu.index) + arena_.stack_bytes() - shift;
    cpu.context =
        context::make_fcontext(top, arena_.stack_bytes() - shift, [](context::transfer_t from) {
          *static_cast<void**>(from.data) = from.fctx;
          here.simulation->enter_fiber(*here.cpu);
        });
    cpu.status = Status::ready;
    queue_.push(make_key(0, cpu.index));
  }
  while (live_ != 0 && stuck_.empty() && !failure_) {
    switch_to(main_, next_to_run(queue_.pop()));
    if (stuck_.empty() && !failure_) perform_actions();
  }
  if (failure_) std::rethrow_exception(failure_);
  if (!stuck_.empty()) throw Stuck(stuck_, waiting());
  for (Cpu& cpu : cpus_) reclaim(cpu, max_time);
}

void Simulation::enter_fiber(Cpu& cpu) {
  try {
    cpu.body();
  } catch (...) {
    failure_ = std::current_exception();
  }
  end_fiber(cpu);
}

// Never returns.
void Simulation::end_fiber(Cpu& cpu) {
  if (!failure_) take_turn(cpu);
  cpu.status = Status::done;
  --live_;
  switch_to(cpu, live_ == 0 || failure_ ? main_ : next_to_run(queue_.pop()));
}

void Simulation::yield(Cpu& cpu) {
  switch_to(cpu, next_to_run(queue_.exchange(make_key(cpu.clock, cpu.index))));
}

void Simulation::make_ready(Cpu& cpu, Time time) {
  if (queue_.has(cpu.index)) queue_.remove(cpu.index);
  queue_.push(make_key(time, cpu.index));
}

// Performs what is due until a fiber is, which is the answer: `next` first, which has been taken
// from the queue.
Cpu& Simulation::next_to_run(Key next) {
  for (; actor_of(next) >= agenda_actor; next = queue_.pop())
    if (!perform(next)) return main_;
  if (!advance_to(time_of(next))) return main_;
  Cpu& to = cpus_[actor_of(next)];
  to.clock = now_;
  to.status = Status::ready;
  if (to.releases != 0) release(std::exchange(to.releases, u16{0}), now_);
  fetch_next();
  return to;
}

// What is no CPU's. False: run() has to see to it.
bool Simulation::perform(Key next) {
  if (next == EventQueue::nothing) {
    fail("deadlock");
    return false;
  }
  if (!advance_to(time_of(next)) || actor_of(next) == agenda_actor) return false;
  release(actor_of(next) - first_queue_actor, now_);
  return true;
}

bool Simulation::advance_to(Time time) {
  if (time < now_) throw std::logic_error("simulator: an event in the past");
  now_ = time;
  if (now_ <= options_.time_limit_ns * ps_per_ns) return true;
  fail("time limit");
  return false;
}

// Into the host's cache, while this CPU runs: what the next one to run will touch at once.
void Simulation::fetch_next() const {
  const u32 next = actor_of(queue_.top());
  if (next >= agenda_actor) return;
  const Cpu& cpu = cpus_[next];
  const auto fetch = [](const void* from, usize lines) {
    for (usize i = 0; i < lines; ++i)
      __builtin_prefetch(static_cast<const std::byte*>(from) + i * cache_line, 1);
  };
  fetch(&cpu, 3);
  fetch(cpu.context, 6);
}

void Simulation::meet() {
  Cpu& cpu = *here.cpu;
  if (arrived_.size() + 1 < live_) {
    arrived_.push_back(static_cast<u16>(cpu.index));
    return block(cpu, Status::meeting);
  }
  for (const u16 other : arrived_) cpu.clock = std::max(cpu.clock, cpus_[other].clock);
  for (const u16 other : arrived_) make_ready(cpus_[other], cpu.clock);
  arrived_.clear();
}

u64 Simulation::now_ns() const {
  return (here.cpu != nullptr ? here.cpu->clock : now_) / ps_per_ns;
}

void Simulation::fail(const char* what) {
  if (!stuck_.empty()) return;
  stuck_ = fmt::format("{} after {:.3f} us of simulated time: {} of {} threads wait", what,
                       1e-6 * static_cast<double>(now_), waiting_, live_);
}

std::vector<std::string> Simulation::waiting() const {
  std::vector<std::string> lines;
  for (const Cpu& cpu : cpus_) {
    if (cpu.status == Status::done) continue;
    const char* how = cpu.status == Status::asleep    ? "asleep"
                      : cpu.status == Status::parked  ? "spinning"
                      : cpu.status == Status::grace   ? "in rcu::synchronize"
                      : cpu.status == Status::meeting ? "at meet()"
                                                      : "running";
    std::string what = "nothing named";
    if (cpu.waits_for != nullptr)
      what = fmt::format("{} ({}) for {:.3f} us", cpu.waits_for_name, label_at(cpu.waits_for),
                         1e-6 * static_cast<double>(std::max(now_, cpu.clock) - cpu.waits_since));
    lines.push_back(
        fmt::format("thread {} (CPU {}) waits for {}, {}", cpu.index, cpu.os, what, how));
  }
  return lines;
}

std::string Simulation::label_at(const void* object) const {
  if (!Arena::holds(object)) return "outside of the arena";
  const u64 at = Arena::offset(object);
  return labels_.names()[label_of(lines_[at / Arena::line_bytes], at)];
}

Counts Simulation::counts() const {
  Counts counts;
  counts.time = here.cpu != nullptr ? here.cpu->clock : now_;
  counts.transfers = transfer_count_;
  counts.prefetches = prefetches_;
  counts.labels = labels_.names();
  counts.by_label = transfers_;
  for (const Cpu& cpu : cpus_) {
    counts.accesses += cpu.accesses;
    counts.hits += cpu.accesses - cpu.misses;
    counts.accounts.push_back(account_of(cpu, counts.time));
  }
  return counts;
}

// With the wait that it may be in counted up to `now`.
Account Simulation::account_of(const Cpu& cpu, Time now) const {
  Account account{.spinning = cpu.spinning, .sleeping = cpu.sleeping, .shootdown = cpu.shootdown};
  for (u32 label = 0; label < labels_.size(); ++label)
    account.stall.push_back(stalls_[label * cpus_.size() + cpu.index]);
  Time until = cpu.clock;
  if (now > until && cpu.status != Status::done && cpu.status != Status::ready) {
    if (cpu.status == Status::asleep || cpu.status == Status::grace)
      account.sleeping += now - until;
    if (cpu.status == Status::parked) account.spinning += now - until;
    if (cpu.status == Status::queued) {
      // A spinner looks again when it would have done so; until then it spins.
      const Time since = std::clamp(cpu.blocked_since, until, now);
      account.spinning += since - until;
      const u32 label = cpu.awaited == 0
                            ? u32{Labels::store_buffer}
                            : label_of(lines_[cpu.awaited / Arena::line_bytes], cpu.awaited);
      account.stall[label] += now - since;
    }
    until = now;
  }
  account.waiting =
      cpu.waited + (cpu.waits_for == nullptr ? 0 : until - std::min(until, cpu.waits_since));
  account.work =
      until - account.spinning - account.sleeping - account.shootdown - account.stalled();
  return account;
}

}  // namespace faultline::sim
