#include "harness/topology/pinned.hpp"

#include <fmt/format.h>
#include <sched.h>

#include <vector>

#include "harness/topology/topology.hpp"

namespace faultline {

std::optional<std::string> taken_off(u32 cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  // A kernel of more CPUs than the set holds does not answer: then where it runs must do.
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return verify_cpu(cpu);
  if (CPU_COUNT(&set) == 1 && cpu < CPU_SETSIZE && CPU_ISSET(cpu, &set)) return verify_cpu(cpu);
  std::vector<u32> now;
  for (u32 other = 0; other < CPU_SETSIZE; ++other)
    if (CPU_ISSET(other, &set)) now.push_back(other);
  return fmt::format("a thread was taken off CPU {} during the trial: it may now run on {}", cpu,
                     cpu_list(now));
}

}  // namespace faultline
