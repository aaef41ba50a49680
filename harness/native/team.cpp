#include "harness/native/team.hpp"

#include <fmt/format.h>

#include <chrono>
#include <stdexcept>
#include <utility>

#include "harness/native/own_memory.hpp"
#include "harness/topology/pages.hpp"
#include "harness/topology/pinned.hpp"

namespace faultline {

Team::Team(const TrialSpec& spec, const Topology& topology, MakeArena<NativePlatform> make)
    : spec_(spec), topology_(topology), make_(std::move(make)), members_(spec.trial_case.threads) {
  const CaseSpec& trial_case = spec.trial_case;
  const u32 threads = trial_case.threads;
  const std::vector<Seat<NativePlatform>> seats = seat_threads(trial_case, arenas_);
  for (u32 i = 0; i < threads; ++i) {
    members_[i].cpu = trial_case.cpus.at(i);
    members_[i].role = seats[i].role;
    members_[i].seat = seats[i];
  }
  for (u32 i = 0; i < threads; ++i) threads_.emplace_back([this, i] { run(i); });
}

Team::~Team() {
  join();
}

void Team::run(u32 thread) {
  try {
    take_part(thread);
  } catch (const Abandoned&) {
    // Another thread has failed and recorded its reason with fail().
  } catch (const std::exception& error) {
    fail(error.what());
  }
  const std::lock_guard lock(mutex_);
  ++ended_;
  changed_.notify_all();
}

void Team::take_part(u32 thread) {
  Member& member = members_[thread];
  topology_.bind_self(member.cpu);
  member.node = topology_.node_of(member.cpu);
  exempt_from_numa_balancing();
  const NativeThread registered(thread, member.cpu, member.node, spec_.seed * 1024 + thread);
  const Seat<NativePlatform>& seat = member.seat;
  if (seat.index == 0) *seat.arena = make_(seat.threads);
  meet();
  member.observer = std::make_unique<ThreadObserver>(spec_.counters);
  Worker<NativePlatform> worker(seat.arena->space.get(), window_, seat.index, seat.threads,
                                seat.role, spec_.latency, member.observer.get());
  prepare(member, worker);
  play(member, worker);
}

void Team::prepare(Member& member, Worker<NativePlatform>& worker) {
  // Makes and touches this thread's arena now, so that a lock's first allocation in the window does
  // not fault.
  native::allocate(cache_line, cache_line);
  const Arena<NativePlatform>& arena = *member.seat.arena;
  if (arena.space) arena.space->enter();
  meet();
  if (member.seat.index == 0) arena.workload->set_up(worker);
  meet();
  arena.workload->enter(worker);
  for (const auto& [memory, bytes] : native::self_record().chunks)
    if (const auto wrong = misplaced_pages(memory, bytes, member.node))
      throw std::runtime_error(
          fmt::format("memory of the thread on CPU {}: {}", member.cpu, *wrong));
  populate_stack();
  std::unique_lock lock(mutex_);
  ++ready_;
  changed_.notify_all();
  changed_.wait(lock, [this] { return started_ || !failure_.empty(); });
  if (!failure_.empty()) throw Abandoned();
}

void Team::play(Member& member, Worker<NativePlatform>& worker) {
  const auto show = [&](const Worker<NativePlatform>* shown) {
    const std::lock_guard lock(mutex_);
    member.worker = shown;
  };
  show(&worker);
  try {
    member.seat.arena->workload->run(worker);
  } catch (...) {
    show(nullptr);
    throw;
  }
  show(nullptr);
  member.moved = taken_off(member.cpu);
  worker.finish();
  member.tally = worker.tally();
}

void Team::meet() {
  std::unique_lock lock(mutex_);
  const u32 meeting = meeting_;
  if (++met_ == members_.size()) {
    met_ = 0;
    ++meeting_;
    changed_.notify_all();
  }
  changed_.wait(lock, [&] { return meeting_ != meeting || !failure_.empty(); });
  if (!failure_.empty()) throw Abandoned();
}

void Team::fail(const std::string& reason) {
  const std::lock_guard lock(mutex_);
  if (failure_.empty()) failure_ = reason;
  // The window ends, since the other threads would wait in vain for the one that failed. relaxed:
  // the phase passes no data.
  window_.phase.store(phase_failed, std::memory_order_relaxed);
  changed_.notify_all();
}

bool Team::wait_ready(double seconds) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, std::chrono::duration<double>(seconds),
                           [this] { return ready_ == members_.size() || !failure_.empty(); });
}

void Team::start() {
  const std::lock_guard lock(mutex_);
  started_ = true;
  changed_.notify_all();
}

void Team::wait_failed(double seconds) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, std::chrono::duration<double>(seconds),
                    [this] { return !failure_.empty(); });
}

bool Team::wait_ended(double seconds) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, std::chrono::duration<double>(seconds),
                           [this] { return ended_ == members_.size(); });
}

void Team::join() {
  for (std::thread& thread : threads_)
    if (thread.joinable()) thread.join();
}

std::string Team::failure() {
  const std::lock_guard lock(mutex_);
  return failure_;
}

void Team::sample_waiting() {
  if (spec_.trial_case.is_kernel()) return;  // its threads wait inside the kernel
  for (u32 thread = 0; thread < members_.size(); ++thread) {
    std::optional<u64>& waiting = members_[thread].waiting_ns;
    waiting = native::waited_ns(thread) - waiting.value_or(0);
  }
}

void Team::take_turns_into_account(u64 opened, u64 closed) {
  for (Member& member : members_) {
    // A thread that works in rounds has timed whole rounds, in which all threads had their turns.
    if (member.tally.last_ns == 0 || member.tally.rounds != 0) continue;
    member.tally.first_ns = opened;
    member.tally.last_ns = closed;
  }
}

std::vector<MemberProgress> Team::progress() {
  const std::lock_guard lock(mutex_);
  std::vector<MemberProgress> all;
  for (const Member& member : members_) {
    const Worker<NativePlatform>* worker = member.worker;
    all.push_back(worker == nullptr ? MemberProgress{}
                                    : MemberProgress{true, worker->excused(), worker->completed()});
  }
  return all;
}

}  // namespace faultline
