#include "harness/trial/measurement.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <numeric>

#include "harness/trial/roles.hpp"

namespace faultline {
namespace {

using nlohmann::json;
using Tallies = std::vector<const Tally*>;

// A fault that a read or a write took is a part of it.
u64 operations_of(const Tally& tally) {
  return std::accumulate(tally.operations.begin(), tally.operations.end(), u64{0}) - tally.nested;
}

// Operations a second, from the thread's first completion in the window to its last.
double rate_of(const Tally& tally, u64 operations) {
  if (tally.last_ns <= tally.first_ns) return 0;
  return 1e9 * static_cast<double>(operations) /
         static_cast<double>(tally.last_ns - tally.first_ns);
}

json thread_json(const Participant& member) {
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

// The tallies of the members that `wanted` selects, without those that never saw the window open.
template <class F>
Tallies tallies_of(const Participants& members, F&& wanted) {
  Tallies tallies;
  for (const Participant* member : members)
    if (member->tally.last_ns != 0 && wanted(*member)) tallies.push_back(&member->tally);
  return tallies;
}

}  // namespace

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  char text[32];
  std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", std::gmtime(&now));
  return text;
}

json begin_record(const TrialSpec& spec) {
  return {{"case", spec.trial_case},
          {"repetition", spec.repetition},
          {"latency", spec.latency},
          {"status", "ok"},
          {"reason", ""},
          {"threads", json::array()},
          {"operations", 0}};
}

void add_operations(json& record, const CaseSpec& spec, const Participants& members) {
  u64 operations = 0;
  double rate = 0;
  json threads = json::array();
  for (const Participant* member : members) {
    operations += operations_of(member->tally);
    rate += rate_of(member->tally, operations_of(member->tally));
    threads.push_back(thread_json(*member));
  }
  record["operations"] = operations;
  if (operations != 0) record["rate"] = rate;
  record["threads"] = std::move(threads);
  record["kinds"] = kinds_json(tallies_of(members, [](const Participant&) { return true; }));
  if (spec.value("roles").empty()) return;
  for (Role role : {Role::faulter, Role::updater})
    record["roles"][role_name(role)] = kinds_json(
        tallies_of(members, [role](const Participant& member) { return member.role == role; }));
}

void judge_outcome(json& record, const std::string& wrong) {
  record["oracle"] = wrong.empty() ? "ok" : wrong;
  if (!wrong.empty()) return fail(record, "oracle: " + wrong);
  if (record.contains("rate")) return;
  fail(record, fmt::format("no operation completed in a window of {:.3g} s",
                           record["window_s"].get<double>()));
}

void fail(json& record, const std::string& reason) {
  record["status"] = "failed";
  record["reason"] = reason;
}

}  // namespace faultline
