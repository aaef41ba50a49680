// What a simulation counts: transfers of lines, and where each CPU's time went.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "harness/sim/machine/machine.hpp"

namespace faultline::sim {

// Why a line had to move.
enum class Reason : u8 {
  true_sharing,   // another CPU has written the very bytes, or read those that are written now
  false_sharing,  // another CPU has used other bytes of the line
  cold,           // no cache had it
  capacity        // the own cache had it once, and has taken in too much since
};
inline constexpr usize reasons = 4;
inline constexpr std::array<const char*, reasons> reason_names = {"true_sharing", "false_sharing",
                                                                  "cold", "capacity"};

// The transfers of one label's lines.
struct Transfers {
  u64 count[kinds][distances][reasons] = {};

  void add(const Transfers& other);
  void subtract(const Transfers& before);
  u64 total() const;
  u64 of(Kind kind) const;
  u64 at(Distance distance) const;
  u64 because(Reason reason) const;
};

// One CPU's time, in ps; `work` is what none of the others is.
struct Account {
  Time work = 0;
  Time spinning = 0;
  Time sleeping = 0;
  Time shootdown = 0;            // sending, waiting for the answers, being interrupted
  std::vector<Time> stall = {};  // for lines, by label's number
  Time waiting = 0;              // for locks, as they tell it: not one of those, some of each
  Time stalled() const;
};

// All counts from the start up to `time`. Subtract the window's opening from its close.
struct Counts {
  Time time = 0;
  u64 accesses = 0;
  u64 hits = 0;  // accesses that the own cache or the store buffer served
  u64 transfers = 0;
  u64 prefetches = 0;               // pairs brought along, not among the transfers
  std::vector<std::string> labels;  // by number
  std::vector<Transfers> by_label;  // by number
  std::vector<Account> accounts;    // by thread

  Counts since(const Counts& before) const;
  // The transfers of that label; none where nothing has it.
  Transfers of(const std::string& label) const;
};

}  // namespace faultline::sim
