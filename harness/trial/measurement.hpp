// From the threads' numbers to a trial's record, in the journal's JSON shape.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "harness/case/spec.hpp"
#include "workloads/worker.hpp"

namespace faultline {

// What is known of one thread when it has ended.
struct Participant {
  u32 cpu = 0;
  u32 node = 0;
  Role role = Role::all;
  Tally tally;
  std::optional<u64> waiting_ns;  // in the window; none where waits cannot be seen
};

using Participants = std::vector<const Participant*>;

template <class Members>
Participants participants(const Members& members) {
  Participants all;
  for (const auto& member : members) all.push_back(&member);
  return all;
}

// The time of day, as results have it: "2026-11-27T01:05:00Z".
std::string utc_now();

// What every record begins with; status is "ok" until something goes wrong.
nlohmann::json begin_record(const TrialSpec& spec);

// Fills in operations, rate, threads, kinds, and roles where the case has them.
void add_operations(nlohmann::json& record, const CaseSpec& spec, const Participants& members);

// The oracle's verdict, and whether anything was measured; fails the record where not.
void judge_outcome(nlohmann::json& record, const std::string& wrong);

void fail(nlohmann::json& record, const std::string& reason);

}  // namespace faultline
