// Threads that take turns at a victim while the crew does to them what may happen to a thread: it
// signals them, moves them from CPU to CPU, lets them end and replaces them by new ones.
#pragma once

#include <sched.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "harness/native/platform.hpp"
#include "harness/torture/victims.hpp"

namespace faultline::torture {

struct CrewTally {
  u64 operations = 0;
  u64 signals = 0;     // calls of the signal handler
  u64 migrations = 0;  // changes of a thread's set of CPUs
  u64 threads_made = 0;
};

class Crew {
 public:
  // One thread, registered as number 0, makes and uses the crew. The crew's threads have the
  // numbers 1 to `threads`. `seed` determines the random choices, but not how the threads
  // interleave.
  Crew(Victim& victim, u32 threads, u64 seed);
  // Requires that all threads have come back.
  ~Crew();
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  // Lets the threads take turns, with signals or without, for `seconds` or until the victim fails
  // or a thread crashes. Then waits until all threads are back. False if they are not within
  // `patience_s`, or if one crashed: the victim then stays in use for ever.
  bool round(double seconds, bool signals, double patience_s);

  // How many threads have not come back from the round.
  u32 out() const;
  const CrewTally& tally() const { return tally_; }

 private:
  // A thread number, and the thread that bears it now.
  struct Member {
    std::thread thread;
    std::mutex mutex;    // keeps the thread alive while the crew signals or moves it
    bool alive = false;  // guarded by `mutex`
    bool known = false;  // this number has entered the victim
    std::atomic<bool> ended{true};
    std::atomic<u64> operations{0};
  };

  void start(u32 number);
  void work(u32 number, u64 seed);
  void take_turns(Member& member);
  void replace_ended();
  void disturb(bool signals);
  void signal(Member& member);
  void move(u32 number, Member& member);
  bool wait_until_back(double seconds);
  void collect();
  u64 random(u64 below) { return random_() % below; }

  Victim& victim_;
  const std::vector<u32> cpus_;
  std::vector<std::unique_ptr<Member>> members_;
  std::mt19937_64 random_;
  std::atomic<bool> stop_{false};
  CrewTally tally_;
};

}  // namespace faultline::torture
