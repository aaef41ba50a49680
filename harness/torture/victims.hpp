// What `faultline torture` can torture: every lock and scheme, each with its checks.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "locks/address_space/interface.hpp"
#include "locks/platform.hpp"

namespace faultline::torture {

class Victim {
 public:
  virtual ~Victim() = default;
  // Each thread number calls it once, before its first turn.
  virtual void enter() {}
  // Makes the calling thread, which is registered, do one operation; false: its try failed.
  virtual bool turn() = 0;
  // Whether a check has failed so far. Any thread may call it at any moment.
  virtual bool failed() const = 0;
  // What is wrong, or empty. Call it with all threads at rest, from a registered thread whose
  // number takes no turns.
  virtual std::string verdict() = 0;
};

struct VictimEntry {
  std::string name;
  std::string checks;  // what the turns check, for the table
  u32 max_threads;     // 0: any number
  bool on_request;     // broken on purpose: not part of "all"
  // Makes a victim for turns by the threads 1 to `threads`. Registered thread 0 calls it.
  std::unique_ptr<Victim> (*make)(const VictimEntry& entry, u32 threads);
};

const std::vector<VictimEntry>& victims();

// The names of all victims that are not broken on purpose.
std::vector<std::string> sound_victims();

// Null if no victim has that name.
const VictimEntry* find_victim(const std::string& name);

// The options of a space for turns by the threads 1 to `threads`.
AddressSpaceOptions space_options(u32 threads);
// A space, made with these options, as a victim.
std::unique_ptr<Victim> space_victim(std::unique_ptr<AddressSpace> space, bool is_kernel);

// A lock as a victim of one class of turns (lock_turns.hpp).
template <class Turns>
class LockVictim final : public Victim {
 public:
  bool turn() override { return turns_.turn(); }
  bool failed() const override { return turns_.violations() != 0; }
  std::string verdict() override {
    turns_.settle();
    if (const u64 count = turns_.violations(); count != 0)
      return "it let threads in that it should have kept out: " + std::to_string(count) +
             " violation(s)";
    return turns_.probe();
  }

 private:
  typename Turns::Lock lock_;
  Turns turns_{lock_};
};

}  // namespace faultline::torture
