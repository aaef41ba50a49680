#include <fmt/format.h>

#include "harness/native/trial.hpp"

namespace faultline {

std::string CaseSpec::workload_name() const {
  constexpr std::string_view replay = "replay:";
  if (!workload.starts_with(replay)) return workload;
  const std::string file = workload.substr(workload.find_last_of("/:") + 1);
  return std::string(replay) + file.substr(0, file.find('.'));
}

std::string CaseSpec::name() const {
  std::string text =
      fmt::format("{}/{}/{}/threads:{}", workload_name(), scheme, placement, threads);
  if (private_spaces) text += "/private";
  if (!roles.empty()) text += "/roles:" + roles;
  if (page_clear != "memset") text += "/page-clear:" + page_clear;
  if (shootdown != "cpumask") text += "/shootdown:" + shootdown;
  if (!merge) text += "/no-merge";
  if (thp) text += "/thp";
  return text;
}

void to_json(nlohmann::json& json, const CaseSpec& spec) {
  json = {{"name", spec.name()},
          {"workload", spec.workload_name()},
          {"workload_text", spec.workload},
          {"scheme", spec.scheme},
          {"placement", spec.placement},
          {"threads", spec.threads},
          {"cpus", spec.cpus},
          {"oversubscribed", spec.oversubscribed},
          {"roles", spec.roles},
          {"private", spec.private_spaces},
          {"page_clear", spec.page_clear},
          {"shootdown", spec.shootdown},
          {"merge", spec.merge},
          {"thp", spec.thp},
          {"warmup_s", spec.warmup_s},
          {"duration_s", spec.duration_s}};
}

void from_json(const nlohmann::json& json, CaseSpec& spec) {
  json.at("workload_text").get_to(spec.workload);
  json.at("scheme").get_to(spec.scheme);
  json.at("placement").get_to(spec.placement);
  json.at("threads").get_to(spec.threads);
  json.at("cpus").get_to(spec.cpus);
  json.at("oversubscribed").get_to(spec.oversubscribed);
  json.at("roles").get_to(spec.roles);
  json.at("private").get_to(spec.private_spaces);
  json.at("page_clear").get_to(spec.page_clear);
  json.at("shootdown").get_to(spec.shootdown);
  json.at("merge").get_to(spec.merge);
  json.at("thp").get_to(spec.thp);
  json.at("warmup_s").get_to(spec.warmup_s);
  json.at("duration_s").get_to(spec.duration_s);
}

void to_json(nlohmann::json& json, const TrialSpec& spec) {
  json = {{"case", spec.trial_case},
          {"repetition", spec.repetition},
          {"latency", spec.latency},
          {"seed", spec.seed},
          {"stall_limit_s", spec.stall_limit_s},
          {"steal_limit", spec.steal_limit},
          {"exec_in_window", spec.exec_in_window},
          {"counters", spec.counters}};
}

void from_json(const nlohmann::json& json, TrialSpec& spec) {
  json.at("case").get_to(spec.trial_case);
  json.at("repetition").get_to(spec.repetition);
  json.at("latency").get_to(spec.latency);
  json.at("seed").get_to(spec.seed);
  json.at("stall_limit_s").get_to(spec.stall_limit_s);
  json.at("steal_limit").get_to(spec.steal_limit);
  json.at("exec_in_window").get_to(spec.exec_in_window);
  json.at("counters").get_to(spec.counters);
}

}  // namespace faultline
