#include "harness/calibrate/crew.hpp"

#include <sched.h>

#include <exception>
#include <mutex>
#include <thread>

#include "harness/native/platform.hpp"

namespace faultline::calibrate {

void Meeting::meet() {
  constexpr u32 patience = 4096;  // some tens of microseconds
  // relaxed: this thread has itself stored or acquired the previous round's value.
  const u32 round = round_.load(std::memory_order_relaxed);
  // acq_rel: pairs with itself, so that the last thread to arrive sees what all others did before.
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == size_) {
    // relaxed: the release store of `round_` publishes it.
    arrived_.store(0, std::memory_order_relaxed);
    // release: pairs with the acquire loads of the threads that wait in the loop.
    round_.store(round + 1, std::memory_order_release);
    return;
  }
  for (u32 turn = 1; round_.load(std::memory_order_acquire) == round; ++turn) {
    native::relax();
    if (turn % patience == 0) sched_yield();
  }
}

bool Rounds::next(Meeting& meeting, u32 role) {
  if (role == 0) {
    const u64 now = native::now_ns();
    if (end_ns_ == 0) end_ns_ = now + budget_ns_;
    goes_on_ = left_ != 0 && now < end_ns_;
    left_ -= goes_on_;
  }
  meeting.meet();
  const bool goes_on = goes_on_;
  meeting.meet();  // role 0 writes the answer of the next round only when all have read this one
  return goes_on;
}

namespace {

// Collects the first failure to pin a thread. All threads look at it before the first role runs, so
// that no role waits for a thread that could not be pinned.
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
