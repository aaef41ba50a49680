// The counts of a simulation: transfers of lines, and how each CPU spent its time.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "harness/sim/machine/machine.hpp"

namespace faultline::sim {

// Why a line had to move.
enum class Reason : u8 {
  true_sharing,   // another CPU wrote these bytes, or read them before this CPU writes them
  false_sharing,  // another CPU used only other bytes of the line
  cold,           // no cache had it
  capacity        // the CPU's own cache had dropped it for other lines
};
inline constexpr usize reasons = 4;
inline constexpr std::array<const char*, reasons> reason_names = {"true_sharing", "false_sharing",
                                                                  "cold", "capacity"};

// The transfers of the lines of one label.
struct Transfers {
  u64 count[kinds][distances][reasons] = {};

  void add(const Transfers& other);
  void subtract(const Transfers& before);
  u64 total() const;
  u64 of(Kind kind) const;
  u64 at(Distance distance) const;
  u64 because(Reason reason) const;
};

// One CPU's time, in ps. `work` is the time that none of the other members contains.
struct Account {
  Time work = 0;
  Time spinning = 0;
  Time sleeping = 0;
  Time shootdown = 0;            // sending interrupts, waiting for the answers, being interrupted
  std::vector<Time> stall = {};  // waiting for lines, by the label's number
  Time waiting = 0;  // Waiting for locks, as they announce it. It overlaps all of the above.
  Time stalled() const;
};

// All counts from the simulation's start up to `time`. The counts of a window are those at its
// close minus those at its opening.
struct Counts {
  Time time = 0;
  u64 accesses = 0;
  u64 hits = 0;  // accesses that the CPU's own cache or its store buffer served
  u64 transfers = 0;
  // Adjacent lines that came along with a miss. They do not count as transfers.
  u64 prefetches = 0;
  std::vector<std::string> labels;  // by number
  std::vector<Transfers> by_label;  // by number
  std::vector<Account> accounts;    // by thread

  Counts since(const Counts& before) const;
  // The transfers of that label. All are 0 where no memory has the label.
  Transfers of(const std::string& label) const;
};

}  // namespace faultline::sim
