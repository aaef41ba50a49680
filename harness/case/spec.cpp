#include "harness/case/spec.hpp"

#include <fmt/format.h>

#include <stdexcept>

#include "locks/catalogue.hpp"

namespace faultline {
namespace {

// Answers "pack" for "/a/b/pack.txt.xz".
std::string stem_of(const std::string& path) {
  const std::string file = path.substr(path.find_last_of("/=") + 1);
  return file.substr(0, file.find('.'));
}

}  // namespace

std::string CaseSpec::workload_name() const {
  constexpr std::string_view replay = "replay:file=";
  return workload.starts_with(replay) ? std::string(replay) + stem_of(workload) : workload;
}

bool CaseSpec::is_kernel() const {
  const Entry* entry = find_entry(scheme_family, scheme.substr(0, scheme.find(':')));
  return entry != nullptr && entry->kernel;
}

std::string CaseSpec::machine_name() const {
  return machine.ends_with(".json") ? stem_of(machine) : machine;
}

std::string CaseSpec::name() const {
  std::string text =
      fmt::format("{}/{}/{}/threads:{}", workload_name(), scheme, placement, threads);
  if (simulated()) text += "/on:" + machine_name();
  for (const Axis& row : axes()) text += row.name_part(settings.value(row.key));
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
          {"warmup_s", spec.warmup_s},
          {"duration_s", spec.duration_s}};
  if (spec.is_kernel()) json["kernel"] = true;
  if (const Profile* profile = find_profile(spec.scheme); profile != nullptr)
    json["composition"] = choose(scheme_family, profile->name).composition();
  if (spec.simulated())
    json.update({{"machine", spec.machine_name()}, {"machine_text", spec.machine}});
  for (const Axis& row : axes())
    if (row.applies(spec.simulated())) json[row.key] = row.to_json(spec.value(row.key));
}

void from_json(const nlohmann::json& json, CaseSpec& spec) {
  json.at("workload_text").get_to(spec.workload);
  json.at("scheme").get_to(spec.scheme);
  json.at("placement").get_to(spec.placement);
  json.at("threads").get_to(spec.threads);
  json.at("cpus").get_to(spec.cpus);
  json.at("oversubscribed").get_to(spec.oversubscribed);
  for (const Axis& row : axes())
    if (json.contains(row.key)) spec.settings.set(row.key, row.from_json(json.at(row.key)));
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
}

}  // namespace faultline
