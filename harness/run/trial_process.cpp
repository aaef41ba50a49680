#include "harness/run/trial_process.hpp"

#include <fmt/format.h>
#include <string.h>
#include <sys/wait.h>

#include <chrono>

#include "harness/trial/measurement.hpp"

namespace faultline {
namespace {

using nlohmann::json;

json failed_record(const TrialSpec& spec, const std::string& started, const std::string& reason) {
  json record = begin_record(spec);
  fail(record, reason);
  if (!spec.trial_case.simulated()) record["started"] = started;
  return record;
}

std::string last_line(std::string text) {
  text.erase(text.find_last_not_of(" \n") + 1);
  text.erase(0, text.rfind('\n') + 1);
  constexpr std::string_view prefix = "faultline: ";
  return text.starts_with(prefix) ? text.substr(prefix.size()) : text;
}

bool is_record(const json& record) {
  return record.is_object() && record.contains("case") && record.contains("status") &&
         record["status"].is_string() && record.contains("reason") && record["reason"].is_string();
}

}  // namespace

std::string reason_without_record(const ChildOutput& child, double limit_s) {
  std::string reason;
  if (child.timed_out) {
    reason = fmt::format("its process did not end within {:.0f} s and was killed", limit_s);
  } else if (WIFSIGNALED(child.status)) {
    const int signal = WTERMSIG(child.status);
    const char* name = sigabbrev_np(signal);
    reason = fmt::format("its process crashed: SIG{}, {}", name == nullptr ? "?" : name,
                         sigdescr_np(signal) == nullptr ? "unknown" : sigdescr_np(signal));
  } else {
    reason =
        fmt::format("its process ended with exit code {} and no record", WEXITSTATUS(child.status));
  }
  const std::string said = last_line(child.error);
  return said.empty() ? reason : reason + ": " + said;
}

std::optional<json> run_trial_process(const TrialSpec& spec,
                                      const std::vector<std::string>& command,
                                      Interrupts& interrupts, double patience_s) {
  const CaseSpec& one = spec.trial_case;
  // The trial watches itself for stalls; this limit is for a trial that hangs as a whole.
  const double limit_s = one.warmup_s + one.duration_s + 2 * spec.stall_limit_s + patience_s;
  const std::string started = utc_now();
  const std::string input = json(spec).dump();
  const ChildOutput child = run_process(command, {.input = &input, .limit_s = limit_s}, interrupts);
  if (child.interrupted) return std::nullopt;
  json record = json::parse(child.out, nullptr, false);
  if (is_record(record)) return record;
  return failed_record(spec, started, reason_without_record(child, limit_s));
}

Overhead measure_overhead(const CaseSpec& spec, const std::vector<std::string>& command,
                          Interrupts& interrupts) {
  TrialSpec trial;
  trial.trial_case = spec;
  trial.trial_case.warmup_s = 0.001;
  trial.trial_case.duration_s = 0.02;
  trial.steal_limit = 1;
  const auto begin = std::chrono::steady_clock::now();
  run_trial_process(trial, command, interrupts);
  const double spent =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return {std::max(0.0, spent - trial.trial_case.warmup_s - trial.trial_case.duration_s), spent};
}

}  // namespace faultline
