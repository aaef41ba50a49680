// Notices threads that stand still while the window is open.
#pragma once

#include <string>
#include <vector>

#include "harness/native/team.hpp"

namespace faultline {

class StallWatch {
 public:
  StallWatch(Team& team, double limit_s);

  // A line about the first thread that has waited for one lock, or completed no operation, for
  // longer than the limit; empty if there is none. It ignores a thread that waits at the workload's
  // own barrier: the culprit is the thread that has not arrived. Call it several times within the
  // limit, since it sees progress only from call to call.
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
