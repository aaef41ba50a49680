#include "results/native_and_simulated.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>

#include "harness/stats/stats.hpp"
#include "results/aggregate.hpp"
#include "results/case_axes.hpp"
#include "results/doubt.hpp"

namespace faultline {
namespace {

using nlohmann::json;

std::vector<double> repetitions_of(const json& one) {
  if (!one.contains("throughput")) return {};
  return one["throughput"]["repetitions"].get<std::vector<double>>();
}

/** Nothing if there is no ratio: one side has no throughput, or the native rate is 0. */
json compared(const json& native, const json& simulated) {
  const std::vector<double> base = repetitions_of(native);
  const std::vector<double> model = main_mode(repetitions_of(simulated));
  const bool positive = std::all_of(base.begin(), base.end(), [](double rate) { return rate > 0; });
  if (base.empty() || model.empty() || !positive) return nullptr;
  json pair = {{"case", native["name"]},
               {"native", estimate(base)},
               {"simulated", estimate(model)},
               {"ratio", ratio_estimate(base, model)}};
  if (const std::string why = doubts_text(simulated); !why.empty()) pair["doubtful"] = why;
  return pair;
}

json cases_of(const json& native, const json& simulated, const json& machine) {
  const json axes = axes_of({native, simulated});
  std::map<std::string, const json*> measured;
  for (const json& one : native["cases"]) measured[case_key(one, axes)] = &one;
  json cases = json::array();
  for (const json& one : simulated["cases"]) {
    if (one["machine"] != machine) continue;
    const auto found = measured.find(case_key(one, axes));
    if (found == measured.end()) continue;
    if (json pair = compared(*found->second, one); !pair.is_null()) cases.push_back(pair);
  }
  return cases;
}

double median_ratio(const json& one) {
  return one["ratio"]["median"].get<double>();
}

void summarise(json& entry) {
  std::vector<double> ratios;
  for (const json& one : entry["cases"]) ratios.push_back(median_ratio(one));
  entry["median"] = median(ratios);
  const auto off = [](const json& one) { return std::abs(std::log(median_ratio(one))); };
  const json& worst =
      *std::max_element(entry["cases"].begin(), entry["cases"].end(),
                        [&](const json& a, const json& b) { return off(a) < off(b); });
  entry["worst"] = {{"case", worst["case"]}, {"ratio", worst["ratio"]}};
}

json compare_on(const json& native, const json& simulated, const json& model) {
  const json& host = native["machine"]["host"];
  json entry = {{"machine", model["name"]}, {"host", host}};
  for (const char* key : {"host", "cpu_model"}) {
    const json& there = model["calibrated"][key];
    if (there == native["machine"][key]) continue;
    entry["why_not"] = fmt::format(
        "{} was calibrated on {} ({}), and the measurement is of {} ({})",
        model["name"].get<std::string>(), model["calibrated"]["host"].get<std::string>(),
        model["calibrated"]["cpu_model"].get<std::string>(), host.get<std::string>(),
        native["machine"]["cpu_model"].get<std::string>());
    return entry;
  }
  entry["cases"] = cases_of(native, simulated, model["name"]);
  if (entry["cases"].empty()) {
    entry.erase("cases");
    entry["why_not"] = fmt::format("no case was both measured on {} and simulated on {}",
                                   host.get<std::string>(), model["name"].get<std::string>());
  } else {
    summarise(entry);
  }
  return entry;
}

}  // namespace

json native_and_simulated(const std::vector<json>& parts) {
  json entries = json::array();
  for (const json& native : parts) {
    if (native["mode"] == "sim") continue;
    for (const json& simulated : parts) {
      if (simulated["mode"] != "sim") continue;
      for (const json& model : simulated["machine"]["models"])
        if (model.contains("calibrated")) entries.push_back(compare_on(native, simulated, model));
    }
  }
  return entries;
}

}  // namespace faultline
