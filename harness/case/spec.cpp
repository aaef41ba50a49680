#include "harness/case/spec.hpp"

#include <fmt/format.h>

#include <stdexcept>

namespace faultline {
namespace {

// "/a/b/pack.txt.xz" is "pack".
std::string stem_of(const std::string& path) {
  const std::string file = path.substr(path.find_last_of("/:") + 1);
  return file.substr(0, file.find('.'));
}

}  // namespace

std::string CaseSpec::workload_name() const {
  constexpr std::string_view replay = "replay:";
  return workload.starts_with(replay) ? std::string(replay) + stem_of(workload) : workload;
}

std::string CaseSpec::machine_name() const {
  return machine.ends_with(".json") ? stem_of(machine) : machine;
}

std::string CaseSpec::name() const {
  std::string text =
      fmt::format("{}/{}/{}/threads:{}", workload_name(), scheme, placement, threads);
  if (simulated()) text += "/on:" + machine_name();
  if (private_spaces) text += "/private";
  if (!roles.empty()) text += "/roles:" + roles;
  if (page_clear != "memset") text += "/page-clear:" + page_clear;
  if (shootdown != "cpumask") text += "/shootdown:" + shootdown;
  if (page_table != "shared") text += "/page-table:" + page_table;
  if (kernel_entry) text += "/kernel-entry";
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
          {"page_table", spec.page_table},
          {"merge", spec.merge},
          {"thp", spec.thp},
          {"warmup_s", spec.warmup_s},
          {"duration_s", spec.duration_s}};
  if (spec.simulated())
    json.update({{"machine", spec.machine_name()},
                 {"machine_text", spec.machine},
                 {"kernel_entry", spec.kernel_entry}});
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
  spec.page_table = json.value("page_table", "shared");
  spec.kernel_entry = json.value("kernel_entry", false);
  json.at("merge").get_to(spec.merge);
  json.at("thp").get_to(spec.thp);
  json.at("warmup_s").get_to(spec.warmup_s);
  json.at("duration_s").get_to(spec.duration_s);
  spec.machine = json.value("machine_text", "");
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

void refuse_case(const CaseSpec& spec, const std::string& why) {
  throw std::invalid_argument(fmt::format("case '{}': {}", spec.name(), why));
}

void validate_options(const CaseSpec& spec) {
  constexpr u32 most = 1024;  // max_threads of every platform that trials run on
  if (spec.threads == 0 || spec.threads > most)
    refuse_case(spec, fmt::format("{} threads: expected 1 to {}", spec.threads, most));
  if (spec.cpus.size() != spec.threads)
    refuse_case(spec, fmt::format("{} CPUs: expected one for each thread", spec.cpus.size()));
  if (!(spec.duration_s > 0))
    refuse_case(spec, "a window without duration: expected more than 0 s");
  if (!(spec.warmup_s >= 0)) refuse_case(spec, "a negative warm-up: expected 0 s or more");
  if (spec.page_clear != "memset" && spec.page_clear != "model")
    refuse_case(spec, "page-clear '" + spec.page_clear + "': expected memset or model");
  if (spec.shootdown != "cpumask" && spec.shootdown != "precise" && spec.shootdown != "broadcast")
    refuse_case(spec, "shootdown '" + spec.shootdown + "': expected cpumask, precise or broadcast");
  if (spec.page_table != "shared" && spec.page_table != "per_cpu")
    refuse_case(spec, "page-table '" + spec.page_table + "': expected shared or per_cpu");
}

}  // namespace faultline
