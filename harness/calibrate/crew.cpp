#include "harness/calibrate/crew.hpp"

#include <sched.h>

#include <exception>
#include <mutex>
#include <thread>

#include "harness/native/platform.hpp"

namespace faultline::calibrate {

void Meeting::meet() {
  constexpr u32 patience = 4096;  // some tens of microseconds
  // relaxed: the one that completes the round publishes it below.
  const u32 round = round_.load(std::memory_order_relaxed);
  // acq_rel: whoever arrives last has seen what all others did before they arrived.
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == size_) {
    arrived_.store(0, std::memory_order_relaxed);        // relaxed: published by the release below
    round_.store(round + 1, std::memory_order_release);  // pairs with the acquire below
    return;
  }
  for (u32 turn = 1; round_.load(std::memory_order_acquire) == round; ++turn) {
    native::relax();
    if (turn % patience == 0) sched_yield();
  }
}

namespace {

// Made by all threads before the first role runs: one that cannot be pinned stops the others.
struct Muster {
  std::mutex mutex;
  std::exception_ptr failure;

  void fail(std::exception_ptr reason) {
    const std::lock_guard guard(mutex);
    if (!failure) failure = reason;
  }
};

}  // namespace

void run_pinned(const Topology& topology, const std::vector<u32>& cpus,
                const std::function<void(Meeting&, u32)>& role) {
  Meeting meeting(static_cast<u32>(cpus.size()));
  Muster muster;
  const auto take_part = [&](u32 i) {
    try {
      topology.bind_self(cpus[i]);
    } catch (...) {
      muster.fail(std::current_exception());
    }
    meeting.meet();
    if (muster.failure) return;
    const NativeThread thread(i, cpus[i], topology.node_of(cpus[i]), i);
    role(meeting, i);
  };
  {
    std::vector<std::jthread> threads;
    for (u32 i = 0; i < cpus.size(); ++i) threads.emplace_back(take_part, i);
  }
  if (muster.failure) std::rethrow_exception(muster.failure);
}

}  // namespace faultline::calibrate
