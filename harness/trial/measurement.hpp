// Makes a trial's record, in the journal's JSON shape, from the threads' numbers.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "harness/case/spec.hpp"
#include "workloads/worker.hpp"

namespace faultline {

// What one thread leaves for the record when it has ended.
struct Participant {
  u32 cpu = 0;
  u32 node = 0;
  Role role = Role::all;
  Tally tally;
  std::optional<u64> waiting_ns;  // time spent waiting in the window; none if waits were not seen
};

using Participants = std::vector<const Participant*>;

template <class Members>
Participants participants(const Members& members) {
  Participants all;
  for (const auto& member : members) all.push_back(&member);
  return all;
}

// The time of day in the form that results use: "2026-11-27T01:05:00Z".
std::string utc_now();

// The fields that every record has. The status is "ok"; fail() changes it.
nlohmann::json begin_record(const TrialSpec& spec);

// Fills in operations, rate, threads and kinds, and roles if the case has any.
void add_operations(nlohmann::json& record, const CaseSpec& spec, const Participants& members);

// Enters the oracle's verdict; `wrong` is empty if the oracle found no fault. Fails the record if
// it found one, or if no operation completed.
void judge_outcome(nlohmann::json& record, const std::string& wrong);

// Sets the status "failed" and the reason.
void fail(nlohmann::json& record, const std::string& reason);

}  // namespace faultline
