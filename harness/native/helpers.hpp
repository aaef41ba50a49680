// The threads of a trial that are not measured: the main one, and RCU's, which reclaims.
#pragma once

#include <sched.h>

#include <string>
#include <vector>

#include "harness/topology/topology.hpp"

namespace faultline {

// For this object's life, puts the calling thread, and with it RCU's which it starts, on the usable
// CPUs that are not `measured`; where there is none they stay on all. To be made before any thread
// of the case exists: RCU's would inherit that one's CPU.
class Helpers {
 public:
  Helpers(const Topology& topology, const std::vector<u32>& measured);
  ~Helpers();
  Helpers(const Helpers&) = delete;
  Helpers& operator=(const Helpers&) = delete;

  // "on CPUs 2-7", for the record.
  const std::string& where() const { return where_; }

 private:
  cpu_set_t before_;
  std::string where_;
};

}  // namespace faultline
