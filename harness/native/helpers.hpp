// The threads of a trial that are not measured: the main thread, and the call_rcu thread, which
// reclaims memory.
#pragma once

#include <sched.h>

#include <string>
#include <vector>

#include "harness/topology/topology.hpp"

namespace faultline {

// For this object's life, binds the calling thread to the usable CPUs that are not `measured`, and
// starts the call_rcu thread there. Where every usable CPU is measured, both may run on all of
// them. Make it before any measured thread exists: one that starts the call_rcu thread would leave
// it bound to the measured CPU.
class Helpers {
 public:
  Helpers(const Topology& topology, const std::vector<u32>& measured);
  ~Helpers();
  Helpers(const Helpers&) = delete;
  Helpers& operator=(const Helpers&) = delete;

  // Where the two threads run, as the trial's record says it: "on CPUs 2-7".
  const std::string& where() const { return where_; }

 private:
  cpu_set_t before_;
  std::string where_;
};

}  // namespace faultline
