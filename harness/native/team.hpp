// The threads of one trial: made, pinned, brought through set-up in step, and ended together.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "harness/native/observer.hpp"
#include "harness/native/trial.hpp"
#include "harness/topology/topology.hpp"
#include "harness/trial/measurement.hpp"

namespace faultline {

struct Member : Participant {
  Seat<NativePlatform> seat;
  std::unique_ptr<ThreadObserver> observer;
  const Worker<NativePlatform>* worker = nullptr;  // while it runs
  std::optional<std::string> moved;                // how it lost its CPU before the end
};

// What can be seen of a thread while it runs.
struct MemberProgress {
  bool running = false;
  bool excused = false;  // need not complete anything now
  u64 completed = 0;     // operations
};

class Team {
 public:
  // Starts the threads: each pins itself, the first on each arena makes it, all enter it. Nothing
  // runs yet.
  Team(const TrialSpec& spec, const Topology& topology, MakeArena<NativePlatform> make);
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  // True when all threads stand ready, or one has failed; false after `seconds`.
  bool wait_ready(double seconds);
  // Lets them run. The phase is then the caller's to set.
  void start();
  Window<NativePlatform>& window() { return window_; }
  // Returns early when a thread has failed.
  void wait_failed(double seconds);
  // True when all have ended; false after `seconds`.
  bool wait_ended(double seconds);
  void join();

  // The first failure of any thread, or empty.
  std::string failure();
  std::vector<MemberProgress> progress();
  // Takes each thread's waiting so far: the second call leaves the difference in the members.
  void sample_waiting();
  // Once joined: threads that share CPUs take turns, and each one's time is then all of the window,
  // from `opened` to `closed`; over its own turns alone their rates would add up to too much.
  void take_turns_into_account(u64 opened, u64 closed);
  // Once joined.
  const std::vector<Member>& members() const { return members_; }
  // Once all stand ready.
  Arenas<NativePlatform>& arenas() { return arenas_; }

 private:
  void run(u32 thread);
  void take_part(u32 thread);
  void prepare(Member& member, Worker<NativePlatform>& worker);
  void play(Member& member, Worker<NativePlatform>& worker);
  // All threads meet. Throws Abandoned when one has failed.
  struct Abandoned {};
  void meet();
  void fail(const std::string& reason);

  const TrialSpec& spec_;
  const Topology& topology_;
  const MakeArena<NativePlatform> make_;
  Window<NativePlatform> window_;
  std::vector<Member> members_;
  Arenas<NativePlatform> arenas_;
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
