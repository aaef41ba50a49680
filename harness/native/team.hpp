// The threads of one trial: made, pinned, brought through set-up in step, and ended together.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "harness/native/observer.hpp"
#include "harness/native/platform.hpp"
#include "harness/native/trial.hpp"
#include "workloads/workload.hpp"

namespace faultline {

// An address space and the workload on it; one for all threads, or one each in a `private` case.
struct Arena {
  std::unique_ptr<AddressSpace> space;  // null for a bare lock
  std::unique_ptr<Workload<NativePlatform>> workload;
};

struct Member {
  u32 cpu = 0;
  u32 node = 0;
  Role role = Role::all;
  Arena* arena = nullptr;
  u32 index = 0;    // among those that share the arena
  u32 threads = 1;  // how many they are
  ThreadUsage usage;
  Tally tally;
};

class Team {
 public:
  using MakeArena = std::function<Arena(u32 threads)>;

  // Starts the threads: each pins itself, the first on each arena makes it, all enter it. Nothing
  // runs yet.
  Team(const TrialSpec& spec, const MakeArena& make_arena);
  ~Team();

  // True when all threads stand ready, or one has failed; false after `seconds`.
  bool wait_ready(double seconds);
  // Lets them run. The phase is then the caller's to set.
  void start();
  Window<NativePlatform>& window() { return window_; }
  // True when all have ended; false after `seconds`.
  bool wait_ended(double seconds);
  void join();

  // The first failure of any thread, or empty.
  std::string failure();
  const std::vector<Member>& members() const { return members_; }
  std::vector<std::unique_ptr<Arena>>& arenas() { return arenas_; }

 private:
  void run(u32 thread);
  void prepare(u32 thread);
  // All threads meet; false when one has failed.
  bool meet();
  void fail(const std::string& reason);

  const TrialSpec& spec_;
  const MakeArena make_arena_;
  Window<NativePlatform> window_;
  std::vector<Member> members_;
  std::vector<std::unique_ptr<Arena>> arenas_;
  std::vector<std::thread> threads_;

  std::mutex mutex_;
  std::condition_variable changed_;
  u32 met_ = 0;
  u32 meeting_ = 0;
  u32 ready_ = 0;
  u32 ended_ = 0;
  bool started_ = false;
  std::string failure_;
};

}  // namespace faultline
