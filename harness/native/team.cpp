#include "harness/native/team.hpp"

#include <chrono>
#include <stdexcept>

#include "harness/native/placement_check.hpp"
#include "harness/native/roles.hpp"

namespace faultline {

Team::Team(const TrialSpec& spec, const MakeArena& make_arena)
    : spec_(spec), make_arena_(make_arena), members_(spec.trial_case.threads) {
  const CaseSpec& trial_case = spec.trial_case;
  const u32 threads = trial_case.threads;
  const std::vector<Role> roles = assign_roles(trial_case.roles, threads);
  for (u32 i = 0; i < (trial_case.private_spaces ? threads : 1); ++i)
    arenas_.push_back(std::make_unique<Arena>());
  for (u32 i = 0; i < threads; ++i) {
    members_[i].cpu = trial_case.cpus.at(i);
    members_[i].role = roles[i];
    members_[i].arena = arenas_[trial_case.private_spaces ? i : 0].get();
    members_[i].index = trial_case.private_spaces ? 0 : i;
    members_[i].threads = trial_case.private_spaces ? 1 : threads;
  }
  for (u32 i = 0; i < threads; ++i) threads_.emplace_back([this, i] { run(i); });
}

Team::~Team() {
  join();
}

void Team::run(u32 thread) {
  Member& member = members_[thread];
  try {
    member.node = pin_self(member.cpu);
    NativeThread registered(thread, member.cpu, member.node, spec_.seed * 1024 + thread);
    try {
      prepare(thread);
    } catch (const std::exception& error) {
      fail(error.what());
    }
  } catch (const std::exception& error) {
    fail(error.what());
  }
  const std::lock_guard lock(mutex_);
  ++ended_;
  changed_.notify_all();
}

void Team::prepare(u32 thread) {
  Member& member = members_[thread];
  if (member.index == 0) *member.arena = make_arena_(member.threads);
  if (!meet()) return;
  AddressSpace* space = member.arena->space.get();
  Worker<NativePlatform> worker(space, window_, member.index, member.threads, member.role,
                                spec_.latency, &member.usage);
  if (space != nullptr) space->enter();
  if (!meet()) return;
  if (member.index == 0) member.arena->workload->set_up(worker);
  if (!meet()) return;
  member.arena->workload->enter(worker);
  for (const auto& [memory, bytes] : native::self_record().chunks)
    verify_pages(memory, bytes, member.node);
  populate_own_pages();
  {
    std::unique_lock lock(mutex_);
    ++ready_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return started_ || !failure_.empty(); });
    if (!failure_.empty()) return;
  }
  member.arena->workload->run(worker);
  worker.finish();
  member.tally = worker.tally();
}

bool Team::meet() {
  std::unique_lock lock(mutex_);
  const u32 meeting = meeting_;
  if (++met_ == members_.size()) {
    met_ = 0;
    ++meeting_;
    changed_.notify_all();
  }
  changed_.wait(lock, [&] { return meeting_ != meeting || !failure_.empty(); });
  return failure_.empty();
}

void Team::fail(const std::string& reason) {
  const std::lock_guard lock(mutex_);
  if (failure_.empty()) failure_ = reason;
  // relaxed: the phase passes no data. The others must not wait for one that is gone.
  window_.phase.store(phase_stop, std::memory_order_relaxed);
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

}  // namespace faultline
