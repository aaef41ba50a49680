#include "harness/native/measurement.hpp"

#include <algorithm>
#include <numeric>

#include "harness/native/roles.hpp"

namespace faultline {
namespace {

using nlohmann::json;
using Tallies = std::vector<const Tally*>;

u64 operations_of(const Tally& tally) {
  return std::accumulate(tally.operations.begin(), tally.operations.end(), u64{0});
}

// Operations a second, from the thread's first completion in the window to its last.
double rate_of(const Tally& tally, u64 operations) {
  if (tally.last_ns <= tally.first_ns) return 0;
  return 1e9 * static_cast<double>(operations) /
         static_cast<double>(tally.last_ns - tally.first_ns);
}

json thread_json(const Member& member) {
  const Tally& tally = member.tally;
  const u64 operations = operations_of(tally);
  json thread = {
      {"cpu", member.cpu},        {"node", member.node},        {"role", role_name(member.role)},
      {"operations", operations}, {"first_ns", tally.first_ns}, {"last_ns", tally.last_ns}};
  if (member.waiting_ns) thread["waiting_ns"] = *member.waiting_ns;
  if (operations != 0) thread["rate"] = rate_of(tally, operations);
  return thread;
}

json latency_json(const Tallies& tallies, usize kind) {
  u64 max = 0;
  json buckets = json::array();
  for (u32 bucket = 0; bucket < LatencyHistogram::buckets; ++bucket) {
    u64 count = 0;
    for (const Tally* tally : tallies) count += tally->latency[kind].count(bucket);
    if (count != 0)
      buckets.push_back({LatencyHistogram::low(bucket), LatencyHistogram::high(bucket), count});
  }
  for (const Tally* tally : tallies) max = std::max(max, tally->latency[kind].max());
  return {{"max", max}, {"buckets", buckets}};
}

json kinds_json(const Tallies& tallies) {
  json kinds = json::object();
  for (usize kind = 0; kind < operation_kinds; ++kind) {
    u64 count = 0;
    u64 errors = 0;
    double rate = 0;
    for (const Tally* tally : tallies) {
      count += tally->operations[kind];
      errors += tally->errors[kind];
      rate += rate_of(*tally, tally->operations[kind]);
    }
    if (count == 0) continue;
    json& entry = kinds[operation_names[kind]];
    entry = {{"count", count}, {"errors", errors}, {"rate", rate}};
    if (!tallies.front()->latency.empty()) entry["latency"] = latency_json(tallies, kind);
  }
  return kinds;
}

// Of the members that saw the window open and that `wanted` selects.
template <class F>
Tallies tallies_of(const std::vector<Member>& members, F&& wanted) {
  Tallies tallies;
  for (const Member& member : members)
    if (member.tally.last_ns != 0 && wanted(member)) tallies.push_back(&member.tally);
  return tallies;
}

}  // namespace

void add_operations(json& record, const CaseSpec& spec, const std::vector<Member>& members) {
  u64 operations = 0;
  double rate = 0;
  json threads = json::array();
  for (const Member& member : members) {
    operations += operations_of(member.tally);
    rate += rate_of(member.tally, operations_of(member.tally));
    threads.push_back(thread_json(member));
  }
  record["operations"] = operations;
  if (operations != 0) record["rate"] = rate;
  record["threads"] = std::move(threads);
  record["kinds"] = kinds_json(tallies_of(members, [](const Member&) { return true; }));
  if (spec.roles.empty()) return;
  for (Role role : {Role::faulter, Role::updater})
    record["roles"][role_name(role)] = kinds_json(
        tallies_of(members, [role](const Member& member) { return member.role == role; }));
}

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
