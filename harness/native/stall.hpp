// Notices threads that stand still while the window is open.
#pragma once

#include <string>
#include <vector>

#include "harness/native/team.hpp"

namespace faultline {

class StallWatch {
 public:
  StallWatch(Team& team, double limit_s);

  // A line about the first thread that has waited for a lock, or completed no operation, for the
  // limit; empty if there is none. A thread that waits for its peers at the workload's own barrier
  // is not meant: then another stands still. To be called several times within the limit.
  std::string look();

 private:
  struct Seen {
    u64 completed = 0;
    u64 since_ns = 0;
  };
  Team& team_;
  u64 limit_ns_;
  std::vector<Seen> seen_;
};

}  // namespace faultline
