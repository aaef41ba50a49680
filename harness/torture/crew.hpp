// Threads that take turns at a victim while everything is done to them that may happen to a thread:
// they are signalled, moved from CPU to CPU, ended and replaced by new ones.
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
  u64 signals = 0;     // that handlers took
  u64 migrations = 0;  // changes of a thread's set of CPUs
  u64 threads_made = 0;
};

class Crew {
 public:
  // To be made and used by one thread, registered as number 0. The crew's are 1 to `threads`; the
  // random choices follow from `seed`, the order of threads does not.
  Crew(Victim& victim, u32 threads, u64 seed);
  // All threads must have come back.
  ~Crew();
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  // Lets them take turns for `seconds`, with signals or without, or until the victim has failed or
  // one of them crashed, and waits until all are back. False when they have not come back within
  // `patience_s` after that, or one crashed: the victim is then in use for ever.
  bool round(double seconds, bool signals, double patience_s);

  // How many have not come back from the round.
  u32 out() const;
  const CrewTally& tally() const { return tally_; }

 private:
  // A thread number, and the thread that has it now.
  struct Member {
    std::thread thread;
    std::mutex mutex;    // held while a living thread is signalled or moved
    bool alive = false;  // by `mutex`
    bool known = false;  // to the victim
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
