// What a simulation counts: transfers of lines, and where each CPU's time went.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "harness/sim/machine/machine.hpp"

namespace faultline::sim {

// Why a line had to move.
enum class Reason : u8 {
  true_sharing,   // another CPU wrote these bytes, or read them before they are written now
  false_sharing,  // another CPU used other bytes of the line only
  cold,           // no cache had it
  capacity        // the own cache had dropped it for other lines
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

// One CPU's time, in ps. `work` is the rest: time that is none of the others.
struct Account {
  Time work = 0;
  Time spinning = 0;
  Time sleeping = 0;
  Time shootdown = 0;            // sending, waiting for the answers, being interrupted
  std::vector<Time> stall = {};  // for lines, by label's number
  Time waiting = 0;              // for locks, as they announce it; it overlaps all of the above
  Time stalled() const;
};

// All counts from the simulation's start up to `time`. A window's are those of its close less those
// of its opening.
struct Counts {
  Time time = 0;
  u64 accesses = 0;
  u64 hits = 0;  // accesses that the own cache or the store buffer served
  u64 transfers = 0;
  u64 prefetches = 0;               // adjacent lines brought along; not counted as transfers
  std::vector<std::string> labels;  // by number
  std::vector<Transfers> by_label;  // by number
  std::vector<Account> accounts;    // by thread

  Counts since(const Counts& before) const;
  // The transfers of that label; none where nothing has it.
  Transfers of(const std::string& label) const;
};

}  // namespace faultline::sim
