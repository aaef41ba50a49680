// Makes and pins the measured threads of one trial, takes them through set-up in step, and ends
// them together.
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
  const Worker<NativePlatform>* worker = nullptr;  // null unless it runs the workload
  std::optional<std::string> moved;  // how the thread lost its CPU; nothing if it kept it
};

// What StallWatch sees of a thread.
struct MemberProgress {
  bool running = false;
  bool excused = false;  // it waits at the workload's own barrier and need complete nothing
  u64 completed = 0;     // operations
};

class Team {
 public:
  // Starts the threads. Each pins itself; the first thread of each arena makes it; all enter it.
  // No thread runs the workload before start().
  Team(const TrialSpec& spec, const Topology& topology, MakeArena<NativePlatform> make);
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  // True when all threads stand ready, or one has failed; false after `seconds`.
  bool wait_ready(double seconds);
  // Lets the threads run the workload. From then on the caller sets the window's phase.
  void start();
  Window<NativePlatform>& window() { return window_; }
  // Returns after `seconds`, or as soon as a thread has failed.
  void wait_failed(double seconds);
  // True when all have ended; false after `seconds`.
  bool wait_ended(double seconds);
  void join();

  // The first failure of any thread, or empty.
  std::string failure();
  std::vector<MemberProgress> progress();
  // Call it when the window opens and when it closes: the second call leaves in each member the
  // time that its thread spent waiting in between.
  void sample_waiting();
  // For threads that share CPUs, after join(): every thread's time becomes the whole window, from
  // `opened` to `closed`. Such threads take turns, and rates over each thread's own turns would add
  // up to more than the CPUs did.
  void take_turns_into_account(u64 opened, u64 closed);
  // Only after join() are the tallies complete.
  const std::vector<Member>& members() const { return members_; }
  // Call it only once wait_ready() has returned true.
  Arenas<NativePlatform>& arenas() { return arenas_; }

 private:
  void run(u32 thread);
  void take_part(u32 thread);
  void prepare(Member& member, Worker<NativePlatform>& worker);
  void play(Member& member, Worker<NativePlatform>& worker);
  // A barrier of all threads. Throws Abandoned when one has failed.
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
