#include "harness/torture/crew.hpp"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <chrono>

#include "harness/native/crash.hpp"
#include "harness/topology/pinned.hpp"

namespace faultline::torture {
namespace {

using Clock = std::chrono::steady_clock;

// A global, because a signal handler receives no pointer to our data.
std::atomic<u64> signals_taken{0};
static_assert(std::atomic<u64>::is_always_lock_free);

void on_signal(int) {
  signals_taken.fetch_add(1, std::memory_order_relaxed);  // relaxed: a count
}

// Without SA_RESTART, so that a signal ends a futex sleep early: a lock must bear that.
void install_handler() {
  struct sigaction action = {};
  action.sa_handler = on_signal;
  sigaction(SIGUSR1, &action, nullptr);
}

Clock::time_point in(double seconds) {
  return Clock::now() +
         std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

cpu_set_t set_of(const std::vector<u32>& cpus) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const u32 cpu : cpus) CPU_SET(cpu, &set);
  return set;
}

u32 cpu_now() {
  const int cpu = sched_getcpu();
  return cpu < 0 || static_cast<u32>(cpu) >= max_cpus ? 0 : static_cast<u32>(cpu);
}

}  // namespace

Crew::Crew(Victim& victim, u32 threads, u64 seed)
    : victim_(victim), cpus_(allowed_cpus()), random_(seed) {
  install_handler();
  // Moved threads may share a CPU at any moment, so spinners yield from the beginning. relaxed: no
  // crew thread runs yet.
  native::thread_table.crowded.store(true, std::memory_order_relaxed);
  for (u32 i = 0; i < threads; ++i) members_.push_back(std::make_unique<Member>());
}

Crew::~Crew() {
  for (const auto& member : members_)
    if (member->thread.joinable()) member->thread.join();
}

bool Crew::round(double seconds, bool signals, double patience_s) {
  stop_ = false;
  for (u32 i = 0; i < members_.size(); ++i) start(i + 1);
  const Clock::time_point end = in(seconds);
  while (Clock::now() < end && !victim_.failed() && crash().empty()) {
    replace_ended();
    disturb(signals);
    std::this_thread::sleep_for(std::chrono::microseconds(random(500)));
  }
  stop_ = true;
  const bool back = wait_until_back(patience_s);
  collect();
  return back;
}

u32 Crew::out() const {
  return static_cast<u32>(std::count_if(members_.begin(), members_.end(),
                                        [](const auto& member) { return !member->ended; }));
}

void Crew::start(u32 number) {
  Member& member = *members_[number - 1];
  if (member.thread.joinable()) member.thread.join();
  member.ended = false;
  member.thread = std::thread([this, number, seed = random_()] { work(number, seed); });
  ++tally_.threads_made;
}

void Crew::work(u32 number, u64 seed) {
  Member& member = *members_[number - 1];
  {
    // Two pretended nodes, so that memory passes between the pools of several nodes on any machine.
    const NativeThread registered(number, cpu_now(), number % 2, seed);
    if (!member.known) victim_.enter();
    member.known = true;
    take_turns(member);
  }
  member.ended = true;
}

// A thread takes 1 to 4000 turns and then ends, so that the crew replaces threads all the time.
void Crew::take_turns(Member& member) {
  const auto set_alive = [&](bool alive) {
    const std::lock_guard lock(member.mutex);
    member.alive = alive;
  };
  set_alive(true);
  const u64 life = 1 + NativePlatform::random() % 4000;
  for (u64 turn = 0; turn < life && !stop_; ++turn)
    // relaxed: a count that only this thread changes.
    if (victim_.turn()) member.operations.fetch_add(1, std::memory_order_relaxed);
  set_alive(false);
}

void Crew::replace_ended() {
  for (u32 i = 0; i < members_.size(); ++i)
    if (members_[i]->ended) start(i + 1);
}

void Crew::disturb(bool signals) {
  const u32 index = static_cast<u32>(random(members_.size()));
  Member& member = *members_[index];
  const std::lock_guard lock(member.mutex);
  if (!member.alive) return;
  signals&& random(2) == 0 ? signal(member) : move(index + 1, member);
}

void Crew::signal(Member& member) {
  pthread_kill(member.thread.native_handle(), SIGUSR1);
}

// Binds the thread to one random CPU, or, half of the time, to all of them.
void Crew::move(u32 number, Member& member) {
  const u32 cpu = cpus_[random(cpus_.size())];
  const cpu_set_t set = set_of(random(2) == 0 ? cpus_ : std::vector<u32>{cpu});
  if (pthread_setaffinity_np(member.thread.native_handle(), sizeof(set), &set) != 0) return;
  // relaxed: running() takes the thread's CPU as a hint.
  native::thread_table.records[number].cpu.store(std::min(cpu, max_cpus - 1),
                                                 std::memory_order_relaxed);
  ++tally_.migrations;
}

bool Crew::wait_until_back(double seconds) {
  for (const Clock::time_point end = in(seconds); out() != 0 && crash().empty();) {
    if (Clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return out() == 0;
}

void Crew::collect() {
  tally_.operations = 0;
  for (const auto& member : members_) {
    tally_.operations += member->operations;
    if (member->ended && member->thread.joinable()) member->thread.join();
  }
  tally_.signals = signals_taken;
}

}  // namespace faultline::torture
