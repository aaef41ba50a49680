#include "harness/native/trial.hpp"

#include <fmt/format.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <iostream>

#include "harness/native/crash.hpp"
#include "harness/native/helpers.hpp"
#include "harness/native/measurement.hpp"
#include "harness/native/own_memory.hpp"
#include "harness/native/registry.hpp"
#include "harness/native/stall.hpp"
#include "harness/native/team.hpp"

namespace faultline {
namespace {

using nlohmann::json;
using P = NativePlatform;

constexpr double set_up_limit_s = 60;  // generous: hundreds of GiB are touched in that time
constexpr double look_s = 0.25;        // between two looks at the threads
constexpr u64 tick_ns = 10'000'000;    // one tick of /proc/stat's steal time, at 100 Hz
constexpr double fault_s = 1e-6;       // approximate cost of one page fault of the program itself
// The share of the window that the program's own page faults may take.
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr double fault_limit = 1e9;  // sanitizers fault in shadow memory throughout
#else
constexpr double fault_limit = 0.01;
#endif

std::optional<u64> difference(std::optional<u64> after, std::optional<u64> before) {
  if (!after || !before) return std::nullopt;
  return *after - *before;
}

class Trial {
 public:
  Trial(const TrialSpec& spec, const MakeArena<P>& make)
      : spec_(spec),
        topology_(Topology::here()),
        helpers_(topology_, spec.trial_case.cpus),
        record_(begin()) {
    team_.emplace(spec, topology_, make);
  }

  json run() {
    await("set-up", set_up_limit_s, [&](double seconds) { return team_->wait_ready(seconds); });
    if (team_->failure().empty()) run_window();
    await("the threads", spec_.stall_limit_s,
          [&](double seconds) { return team_->wait_ended(seconds); });
    team_->join();
    // The destructor of an address space runs its scheme's code, which needs a registered thread.
    const NativeThread caretaker(0, spec_.trial_case.cpus[0], team_->members()[0].node, spec_.seed);
    collect();
    judge();
    team_->arenas().clear();
    return std::move(record_);
  }

 private:
  json begin() {
    prctl(PR_SET_THP_DISABLE, spec_.trial_case.is_on("thp") ? 0 : 1, 0, 0, 0);
    catch_crashes();
    populate_program();
    json record = begin_record(spec_);
    record.update({{"started", utc_now()}, {"helpers", helpers_.where()}});
    return record;
  }

  // Warms up, opens the window and closes it. Then the threads end by themselves.
  void run_window() {
    const CaseSpec& trial_case = spec_.trial_case;
    StallWatch watch(*team_, spec_.stall_limit_s);
    team_->start();
    pass(trial_case.warmup_s, watch);
    if (!spec_.exec_in_window.empty()) command_.emplace(spec_.exec_in_window);
    const std::optional<u64> steal_before = steal_ns(trial_case.cpus);
    const json events_before = sum_events(team_->arenas());
    opened_ = P::now();
    team_->sample_waiting();
    enter_phase(phase_measure);
    pass(trial_case.duration_s, watch);
    enter_phase(phase_stop);
    team_->sample_waiting();
    closed_ = P::now();
    window_s_ = 1e-9 * static_cast<double>(closed_ - opened_);
    events_ = events_since(team_->arenas(), events_before);
    steal_ = difference(steal_ns(trial_case.cpus), steal_before);
    if (command_) observer_failure_ = command_->stop();
  }

  // Enters `phase` from the phase before it. If a thread has failed, the phase is phase_failed and
  // stays so. relaxed: the phase passes no data.
  void enter_phase(u32 phase) {
    u32 before = phase - 1;
    team_->window().phase.compare_exchange_strong(before, phase, std::memory_order_relaxed);
  }

  // Lets the threads work for `seconds`, or until one fails.
  void pass(double seconds, StallWatch& watch) {
    const double end = seconds_now() + seconds;
    const double turn = std::min(look_s, spec_.stall_limit_s / 4);
    for (double left = seconds; left > 0 && team_->failure().empty(); left = end - seconds_now()) {
      team_->wait_failed(std::min(left, turn));
      give_up_if(crash());
      give_up_if(watch.look());
    }
  }

  // Calls wait(seconds), which may block for that long, until it returns true; gives up after
  // `limit_s`.
  template <class F>
  void await(const char* what, double limit_s, F&& wait) {
    const double end = seconds_now() + limit_s;
    while (!wait(std::min(look_s, limit_s))) {
      give_up_if(crash());
      if (seconds_now() > end)
        give_up_if(fmt::format("{} did not finish within {} s", what, limit_s));
    }
  }

  static double seconds_now() { return 1e-9 * static_cast<double>(P::now()); }

  // Writes the record and ends the process here, since threads that hang cannot be unwound.
  void give_up_if(const std::string& reason) {
    if (reason.empty()) return;
    fail(record_, reason);
    record_["stall"] = {{"waiting", native::waiting_threads()},
                        {"holding", holders(team_->arenas())}};
    if (command_) command_->stop();
    std::cout << record_.dump() << std::endl;
    _exit(0);
  }

  void collect() {
    if (spec_.trial_case.oversubscribed) team_->take_turns_into_account(opened_, closed_);
    record_["window_s"] = window_s_;
    record_["events"] = events_;
    add_operations(record_, spec_.trial_case, participants(team_->members()));
    record_["software"] = software_json(team_->members(), steal_);
    if (spec_.trial_case.is_kernel()) add_kernel_faults();
    record_["counters"] = hardware_json(team_->members(), spec_.counters);
  }

  // Threads count their accesses, and the kernel counts its faults.
  void add_kernel_faults() {
    const u64 faults = record_["software"]["minor_faults"];
    if (faults == 0) return;
    record_["kinds"]["fault"] = {
        {"count", faults}, {"errors", 0}, {"rate", static_cast<double>(faults) / window_s_}};
  }

  void judge() {
    if (const std::string failure = team_->failure(); !failure.empty())
      return fail(record_, failure);
    judge_outcome(record_, check(team_->arenas()));
    if (record_["status"] == "failed") return;
    if (!observer_failure_.empty()) return fail(record_, observer_failure_);
    judge_surroundings();
  }

  // Discards the trial if the machine has disturbed it.
  void judge_surroundings() {
    for (const Member& member : team_->members())
      if (member.moved) return discard(*member.moved);
    const double cpu_time = window_s_ * static_cast<double>(spec_.trial_case.cpus.size());
    // In a short window, up to two ticks may be no more than the counter's granularity.
    const u64 steal = steal_.value_or(0);
    const double stolen = steal > 2 * tick_ns ? 1e-9 * static_cast<double>(steal) / cpu_time : 0;
    if (stolen > spec_.steal_limit)
      return discard(
          fmt::format("the hypervisor took {:.1f} % of the CPUs' time, more than {:.1f} %",
                      100 * stolen, 100 * spec_.steal_limit));
    // The program itself should not fault; a pool that grows may cause a few faults. Under scheme
    // `linux`, page faults are what the case measures.
    const u64 faults = record_["software"]["minor_faults"].get<u64>();
    const double faulting = fault_s * static_cast<double>(faults) / cpu_time;
    if (!spec_.trial_case.is_kernel() && faulting > fault_limit)
      discard(
          fmt::format("the program itself took {} page faults in the window: about {:.1f} % of "
                      "it, more than {:.1f} %",
                      faults, 100 * faulting, 100 * fault_limit));
  }

  void discard(const std::string& reason) {
    record_["status"] = "discarded";
    record_["reason"] = reason;
  }

  const TrialSpec& spec_;
  const Topology topology_;
  const Helpers helpers_;
  json record_;
  std::optional<Team> team_;
  std::optional<WindowCommand> command_;
  std::string observer_failure_;
  u64 opened_ = 0;  // the window's edges, in P::now()'s time
  u64 closed_ = 0;
  double window_s_ = 0;
  json events_ = json::object();
  std::optional<u64> steal_;
};

}  // namespace

json run_trial_on(const TrialSpec& spec, const MakeArena<P>& make) {
  return Trial(spec, make).run();
}

json run_trial(const TrialSpec& spec) {
  validate(spec.trial_case);
  return run_trial_on(spec, [&](u32 threads) { return make_arena<P>(spec.trial_case, threads); });
}

}  // namespace faultline
