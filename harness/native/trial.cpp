#include "harness/native/trial.hpp"

#include <fmt/format.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <chrono>
#include <ctime>
#include <iostream>
#include <map>
#include <stdexcept>
#include <thread>

#include "harness/native/roles.hpp"
#include "harness/native/team.hpp"
#include "workloads/registry.hpp"

namespace faultline {
namespace {

using nlohmann::json;
using P = NativePlatform;

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  char text[32];
  std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", std::gmtime(&now));
  return text;
}

AddressSpaceOptions options_of(const CaseSpec& spec, u32 threads) {
  AddressSpaceOptions options;
  options.threads = threads;
  options.clear_pages = spec.page_clear == "memset";
  options.merge = spec.merge;
  options.thp = spec.thp;
  if (spec.shootdown == "precise") options.shootdown = shootdown_precise;
  if (spec.shootdown == "broadcast") options.shootdown = shootdown_broadcast;
  return options;
}

Arena make_arena(const CaseSpec& spec, u32 threads) {
  Arena arena;
  arena.workload = make_workload<P>(spec.workload, spec.scheme, threads);
  if (find_workload<P>(spec.workload)->needs_lock) return arena;
  const Scheme<P>* scheme = find_scheme<P>(spec.scheme);
  if (scheme == nullptr)
    throw std::invalid_argument("scheme '" + spec.scheme +
                                "': expected one that `faultline list` names");
  AddressSpaceOptions options = options_of(spec, threads);
  arena.workload->demands(options);
  arena.space = scheme->make(options);
  return arena;
}

Events collect_events(const std::vector<std::unique_ptr<Arena>>& arenas) {
  std::map<std::string, u64> totals;
  for (const auto& arena : arenas) {
    Events events;
    if (arena->space) arena->space->append_events(events);
    if (arena->workload) arena->workload->append_events(events);
    for (const EventCount& event : events) totals[event.name] += event.value;
  }
  Events all;
  for (const auto& [name, value] : totals) all.push_back({name, value});
  return all;
}

json stall_report(Team& team) {
  json holding = json::array();
  for (const auto& arena : team.arenas()) {
    if (arena->space)
      for (const std::string& line : arena->space->holders()) holding.push_back(line);
    if (arena->workload)
      for (const std::string& line : arena->workload->holders()) holding.push_back(line);
  }
  return {{"waiting", native::waiting_threads()}, {"holding", holding}};
}

// Threads that hang cannot be unwound: the record is written here, and the process ends.
[[noreturn]] void end_stalled(json record, Team& team, const std::string& reason) {
  record["status"] = "failed";
  record["reason"] = reason;
  record["stall"] = stall_report(team);
  std::cout << record.dump() << std::endl;
  _exit(0);
}

double rate_of(const Tally& tally) {
  u64 operations = 0;
  for (u64 count : tally.operations) operations += count;
  return tally.last_ns > tally.first_ns ? 1e9 * static_cast<double>(operations) /
                                              static_cast<double>(tally.last_ns - tally.first_ns)
                                        : 0;
}

u64 operations_of(const Tally& tally) {
  u64 operations = 0;
  for (u64 count : tally.operations) operations += count;
  return operations;
}

json threads_json(const std::vector<Member>& members) {
  json threads = json::array();
  for (const Member& member : members) {
    const Tally& tally = member.tally;
    json entry = {{"cpu", member.cpu},
                  {"node", member.node},
                  {"role", role_name(member.role)},
                  {"operations", operations_of(tally)},
                  {"first_ns", tally.first_ns},
                  {"last_ns", tally.last_ns},
                  {"waiting_ns", tally.waiting_ns}};
    if (operations_of(tally) != 0) entry["rate"] = rate_of(tally);
    threads.push_back(std::move(entry));
  }
  return threads;
}

json latency_json(const std::vector<const Tally*>& tallies, usize kind) {
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

// By kind of operation, over the members of `role`, or over all of them.
json kinds_json(const std::vector<Member>& members, bool every, Role role) {
  std::vector<const Tally*> tallies;
  for (const Member& member : members)
    if (every || member.role == role) tallies.push_back(&member.tally);
  json kinds = json::object();
  for (usize kind = 0; kind < operation_kinds; ++kind) {
    u64 count = 0;
    u64 errors = 0;
    double rate = 0;
    bool timed = false;
    for (const Tally* tally : tallies) {
      count += tally->operations[kind];
      errors += tally->errors[kind];
      timed = timed || !tally->latency.empty();
      if (tally->last_ns > tally->first_ns)
        rate += 1e9 * static_cast<double>(tally->operations[kind]) /
                static_cast<double>(tally->last_ns - tally->first_ns);
    }
    if (count == 0) continue;
    json& entry =
        kinds[operation_names[kind]] = {{"count", count}, {"errors", errors}, {"rate", rate}};
    std::erase_if(tallies, [](const Tally* tally) { return tally->first_ns == 0; });
    if (timed) entry["latency"] = latency_json(tallies, kind);
  }
  return kinds;
}

json software_json(const std::vector<Member>& members, i64 steal) {
  u64 minor = 0, major = 0, voluntary = 0, involuntary = 0;
  double cpu = 0;
  for (const Member& member : members) {
    if (member.tally.last_ns == 0) continue;
    minor += member.usage.minor_faults();
    major += member.usage.major_faults();
    voluntary += member.usage.voluntary_switches();
    involuntary += member.usage.involuntary_switches();
    cpu += member.usage.cpu_seconds();
  }
  json software = {{"minor_faults", minor},
                   {"major_faults", major},
                   {"voluntary_switches", voluntary},
                   {"involuntary_switches", involuntary},
                   {"cpu_s", cpu}};
  if (steal >= 0) software["steal_ns"] = steal;
  return software;
}

void add_measurements(json& record, const TrialSpec& spec, const Team& team) {
  const std::vector<Member>& members = team.members();
  u64 operations = 0;
  double rate = 0;
  for (const Member& member : members) {
    operations += operations_of(member.tally);
    rate += rate_of(member.tally);
  }
  record["operations"] = operations;
  if (operations != 0) record["rate"] = rate;
  record["threads"] = threads_json(members);
  record["kinds"] = kinds_json(members, true, Role::all);
  if (spec.trial_case.roles.empty()) return;
  for (Role role : {Role::faulter, Role::updater})
    record["roles"][role_name(role)] = kinds_json(members, false, role);
}

struct WindowReadings {
  double seconds = 0;
  i64 steal_before = 0;
  i64 steal_after = 0;
  json events = json::object();
};

// Warm-up, window, close; the threads are then on their way out.
WindowReadings run_window(const TrialSpec& spec, Team& team) {
  const CaseSpec& trial_case = spec.trial_case;
  const auto sleep = [](double seconds) {
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  };
  const auto set_phase = [&](u32 phase) {
    // A thread that failed has closed the window for all. relaxed: the phase passes no data.
    u32 before = phase - 1;
    team.window().phase.compare_exchange_strong(before, phase, std::memory_order_relaxed);
  };
  team.start();
  sleep(trial_case.warmup_s);
  WindowReadings readings;
  std::unique_ptr<WindowCommand> command;
  if (!spec.exec_in_window.empty()) command = std::make_unique<WindowCommand>(spec.exec_in_window);
  readings.steal_before = steal_ns(trial_case.cpus);
  const Events before = collect_events(team.arenas());
  const u64 opened = P::now();
  set_phase(phase_measure);
  sleep(trial_case.duration_s);
  set_phase(phase_stop);
  readings.seconds = 1e-9 * static_cast<double>(P::now() - opened);
  const Events after = collect_events(team.arenas());
  readings.steal_after = steal_ns(trial_case.cpus);
  for (usize i = 0; i < after.size(); ++i)
    readings.events[after[i].name] = after[i].value - before[i].value;
  return readings;
}

void judge(json& record, const TrialSpec& spec, Team& team, const WindowReadings& readings) {
  if (const std::string failure = team.failure(); !failure.empty()) {
    record["status"] = "failed";
    record["reason"] = failure;
    return;
  }
  std::string wrong;
  for (const auto& arena : team.arenas())
    if (arena->space && wrong.empty()) wrong = arena->space->check();
  record["oracle"] = wrong.empty() ? "ok" : wrong;
  const double steal =
      readings.steal_before < 0
          ? 0
          : 1e-9 * static_cast<double>(readings.steal_after - readings.steal_before);
  const double share =
      steal / (readings.seconds * static_cast<double>(spec.trial_case.cpus.size()));
  if (!wrong.empty()) {
    record["status"] = "failed";
    record["reason"] = "oracle: " + wrong;
  } else if (!record.contains("rate")) {
    record["status"] = "failed";
    record["reason"] =
        fmt::format("no operation completed in a window of {:.3f} s", readings.seconds);
  } else if (share > spec.steal_limit) {
    record["status"] = "discarded";
    record["reason"] =
        fmt::format("the hypervisor took {:.1f} % of the CPUs' time, more than {:.1f} %",
                    100 * share, 100 * spec.steal_limit);
  }
}

}  // namespace

nlohmann::json run_trial(const TrialSpec& spec) {
  const CaseSpec& trial_case = spec.trial_case;
  prctl(PR_SET_THP_DISABLE, trial_case.thp ? 0 : 1, 0, 0, 0);
  json record = {{"case", trial_case},
                 {"repetition", spec.repetition},
                 {"latency", spec.latency},
                 {"status", "ok"},
                 {"reason", ""},
                 {"started", utc_now()},
                 {"threads", json::array()},
                 {"operations", 0}};
  Team team(spec, [&](u32 threads) { return make_arena(trial_case, threads); });
  // Set-up touches all memory of the case: a minute is generous for hundreds of GiB.
  if (!team.wait_ready(60)) end_stalled(record, team, "set-up did not end within 60 s");
  WindowReadings readings;
  if (team.failure().empty()) readings = run_window(spec, team);
  if (!team.wait_ended(spec.stall_limit_s))
    end_stalled(record, team,
                fmt::format("no progress for {} s after the window closed", spec.stall_limit_s));
  team.join();
  // The end of an address space is its scheme's code too, and needs a registered thread.
  const NativeThread caretaker(0, trial_case.cpus.at(0), team.members().at(0).node, spec.seed);
  record["window_s"] = readings.seconds;
  record["events"] = readings.events;
  add_measurements(record, spec, team);
  const bool steal_known = readings.steal_before >= 0 && readings.steal_after >= 0;
  record["software"] = software_json(
      team.members(), steal_known ? readings.steal_after - readings.steal_before : -1);
  record["counters"] = {{"absent", "hardware counters were not asked for"}};
  judge(record, spec, team, readings);
  team.arenas().clear();
  return record;
}

}  // namespace faultline
