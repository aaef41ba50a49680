#include "harness/native/helpers.hpp"

#include <urcu/urcu-memb.h>

#include <algorithm>

namespace faultline {

Helpers::Helpers(const Topology& topology, const std::vector<u32>& measured) {
  std::vector<u32> free;
  for (const Cpu& cpu : topology.cpus())
    if (std::find(measured.begin(), measured.end(), cpu.os) == measured.end())
      free.push_back(cpu.os);
  cpu_set_t set;
  CPU_ZERO(&set);
  for (u32 cpu : free) CPU_SET(cpu, &set);
  sched_getaffinity(0, sizeof(before_), &before_);
  const bool apart = !free.empty() && sched_setaffinity(0, sizeof(set), &set) == 0;
  urcu_memb_get_default_call_rcu_data();  // starts the call_rcu thread
  where_ = apart ? "on CPUs " + cpu_list(free) : "among the measured threads";
}

Helpers::~Helpers() {
  sched_setaffinity(0, sizeof(before_), &before_);
}

}  // namespace faultline
