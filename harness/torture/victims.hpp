// What can be tortured: every lock and scheme of the registry, with what shows whether it holds.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "locks/platform.hpp"

namespace faultline::torture {

class Victim {
 public:
  virtual ~Victim() = default;
  // By each thread number once, before its first turn.
  virtual void enter() {}
  // One operation of the calling thread, which is registered; false: it tried in vain.
  virtual bool turn() = 0;
  // Whether something has gone wrong already; to be asked at any moment.
  virtual bool failed() const = 0;
  // With all threads at rest, by a registered one of a number that takes no turns: what is wrong,
  // or empty.
  virtual std::string verdict() = 0;
};

struct VictimEntry {
  std::string name;
  std::string checks;  // what is checked, for the table
  u32 max_threads;     // 0: any number
  bool on_request;     // broken on purpose: not among "all"
  // For turns by threads 1 to `threads`; by registered thread 0.
  std::unique_ptr<Victim> (*make)(const VictimEntry& entry, u32 threads);
};

const std::vector<VictimEntry>& victims();

// The names of those that should hold.
std::vector<std::string> sound_victims();

// Null: there is none of that name.
const VictimEntry* find_victim(const std::string& name);

// A lock under its turns (lock_turns.hpp).
template <class Turns>
class LockVictim final : public Victim {
 public:
  bool turn() override { return turns_.turn(); }
  bool failed() const override { return turns_.violations() != 0; }
  std::string verdict() override {
    turns_.settle();
    if (const u64 count = turns_.violations(); count != 0)
      return "it let in whom it should have kept out: " + std::to_string(count) + " violation(s)";
    return turns_.probe();
  }

 private:
  typename Turns::Lock lock_;
  Turns turns_{lock_};
};

}  // namespace faultline::torture
