#include "harness/native/measurement.hpp"

namespace faultline {

using nlohmann::json;
json software_json(const std::vector<Member>& members, std::optional<u64> steal) {
  u64 minor = 0, major = 0, voluntary = 0, involuntary = 0;
  std::optional<u64> migrations = 0;
  double cpu = 0;
  u64 unseen = 0;
  for (const Member& member : members) {
    if (member.tally.last_ns == 0) {
      ++unseen;
      continue;
    }
    const ThreadObserver& observer = *member.observer;
    minor += observer.minor_faults();
    major += observer.major_faults();
    voluntary += observer.voluntary_switches();
    involuntary += observer.involuntary_switches();
    cpu += observer.cpu_seconds();
    const std::optional<u64> own = observer.counters().migrations();
    migrations = migrations && own ? std::optional(*migrations + *own) : std::nullopt;
  }
  json software = {{"minor_faults", minor},
                   {"major_faults", major},
                   {"voluntary_switches", voluntary},
                   {"involuntary_switches", involuntary},
                   {"cpu_s", cpu}};
  if (migrations) software["migrations"] = *migrations;
  if (steal) software["steal_ns"] = *steal;
  if (unseen != 0) software["threads_not_counted"] = unseen;
  return software;
}

json hardware_json(const std::vector<Member>& members, bool asked_for) {
  if (!asked_for) return {{"absent", "hardware counters were not asked for"}};
  std::vector<const ThreadCounters*> threads;
  for (const Member& member : members)
    if (member.tally.last_ns != 0) threads.push_back(&member.observer->counters());
  return counters_json(threads);
}

}  // namespace faultline
