#include "harness/native/stall.hpp"

#include <fmt/format.h>

namespace faultline {

StallWatch::StallWatch(Team& team, double limit_s)
    : team_(team),
      limit_ns_(static_cast<u64>(1e9 * limit_s)),
      seen_(team.members().size(), {0, NativePlatform::now()}) {}

std::string StallWatch::look() {
  const u64 now = NativePlatform::now();
  const std::vector<MemberProgress> progress = team_.progress();
  for (u32 thread = 0; thread < progress.size(); ++thread) {
    const MemberProgress& member = progress[thread];
    Seen& seen = seen_[thread];
    const u64 waiting = native::waiting_since(thread);
    if (member.running && waiting != 0 && now > waiting + limit_ns_)
      return fmt::format("thread {} has waited for a lock for {:.1f} s", thread,
                         1e-9 * static_cast<double>(now - waiting));
    if (!member.running || member.excused || member.completed != seen.completed)
      seen = {member.completed, now};
    if (now > seen.since_ns + limit_ns_)
      return fmt::format("thread {} has completed no operation for {:.1f} s", thread,
                         1e-9 * static_cast<double>(now - seen.since_ns));
  }
  return {};
}

}  // namespace faultline
