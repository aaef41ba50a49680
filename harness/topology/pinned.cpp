#include "harness/topology/pinned.hpp"

#include <fmt/format.h>
#include <sched.h>

#include "harness/topology/topology.hpp"

namespace faultline {

std::vector<u32> allowed_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<u32> cpus;
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return cpus;
  for (u32 cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  return cpus;
}

std::optional<std::string> taken_off(u32 cpu) {
  const std::vector<u32> now = allowed_cpus();
  // If sched_getaffinity gave no answer, check the CPU that the thread runs on.
  if (now.empty() || now == std::vector<u32>{cpu}) return verify_cpu(cpu);
  return fmt::format("a thread was taken off CPU {} during the trial: it may now run on {}", cpu,
                     cpu_list(now));
}

}  // namespace faultline
