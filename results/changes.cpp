#include "results/changes.hpp"

#include <fmt/core.h>
#include <fmt/ostream.h>

#include <map>
#include <stdexcept>

#include "results/doubt.hpp"
#include "results/published_case.hpp"
#include "results/summary.hpp"

namespace faultline {
namespace {

using nlohmann::json;

/** The case of that system and its rate, by number of CPUs. */
struct ChangedCase {
  json wanted;
  std::map<int, json> rates;
  std::map<int, std::string> doubts;
};

ChangedCase find_changed(const std::vector<json>& parts, const json& wanted,
                         const std::string& kind) {
  ChangedCase found{wanted, {}, {}};
  for (const json& part : parts)
    for (const json& one : part["cases"]) {
      if (!stands_for(one, wanted)) continue;
      const json rate = rate_of(one, kind);
      if (!rate.is_object() || rate["median"].get<double>() <= 0) continue;
      const int cpus = one["threads"].get<int>();
      found.rates[cpus] = rate;
      found.doubts[cpus] = doubts_text(one);
    }
  return found;
}

json changed_points(const ChangedCase& before, const ChangedCase& after) {
  json points = json::array();
  for (const auto& [cpus, rate] : before.rates) {
    const auto changed = after.rates.find(cpus);
    if (changed == after.rates.end()) continue;
    const double ratio = changed->second["median"].get<double>() / rate["median"].get<double>();
    json point = {
        {"cpus", cpus}, {"before", rate}, {"after", changed->second}, {"change", ratio - 1}};
    const std::string& why = before.doubts.at(cpus);
    const std::string& doubt = why.empty() ? after.doubts.at(cpus) : why;
    if (!doubt.empty()) point["doubtful"] = doubt;
    points.push_back(std::move(point));
  }
  return points;
}

/** `base`: what the cases of all changes have in common. */
json change_json(const std::vector<json>& parts, const json& base, const std::string& name,
                 const json& given) {
  json before = base;
  before.update(given.at("case"));
  json after = before;
  before.update(given.at("before"));
  after.update(given.at("after"));
  const std::string kind = given.at("kind");
  json change = {{"name", name},
                 {"about", given.at("about").get<std::string>()},
                 {"source", given.value("source", "")},
                 {"before", before},
                 {"after", after}};
  if (given.contains("published")) {
    if (given["published"].get<double>() <= -1)
      throw std::invalid_argument(fmt::format("changes.{}.published: {}, expected a share above -1",
                                              name, given["published"].dump()));
    change["published"] = given["published"];
  }
  change["points"] =
      changed_points(find_changed(parts, before, kind), find_changed(parts, after, kind));
  return change;
}

/** "mmap1 on mmap_sem, layout packed, machine m" */
std::string changed_case(const json& wanted) {
  std::string text = fmt::format("{} on {}", wanted["workload"].get<std::string>(),
                                 wanted["scheme"].get<std::string>());
  for (const auto& [key, value] : wanted.items())
    if (key != "workload" && key != "scheme" && key != "placement")
      text +=
          fmt::format(", {} {}", key, value.is_string() ? value.get<std::string>() : value.dump());
  return text;
}

}  // namespace

json changes_of(const std::vector<json>& parts, const json& reference) {
  const json base = {{"workload", reference.at("workload")},
                     {"machine", reference.at("machine")},
                     {"placement", "compact"}};
  json changes = json::array();
  const json all = reference.value("changes", json::object());
  for (const auto& [name, given] : all.items()) {
    json change = change_json(parts, base, name, given);
    if (!change["points"].empty()) changes.push_back(std::move(change));
  }
  return changes;
}

void print_changes(std::ostream& out, const json& changes) {
  for (const json& change : changes) {
    fmt::print(out, "\n{} ({})\n", change["name"].get<std::string>(),
               change["about"].get<std::string>());
    fmt::print(out, "  before: {}\n  after:  {}\n", changed_case(change["before"]),
               changed_case(change["after"]));
    if (change.contains("published"))
      fmt::print(out, "  published: {:+.1f} % ({})\n", 100 * change["published"].get<double>(),
                 change["source"].get<std::string>());
    else
      fmt::print(out, "  a prediction: no figure is published\n");
    fmt::print(out, "  {:>5} {:>11} {:>11} {:>10}\n", "CPUs", "before", "after", "change");
    for (const json& point : change["points"]) {
      const std::string why = point.value("doubtful", "");
      fmt::print(out, "  {:>5} {:>11} {:>11} {:>+8.1f} %{}\n", point["cpus"].get<int>(),
                 human_rate(point["before"]["median"].get<double>()),
                 human_rate(point["after"]["median"].get<double>()),
                 100 * point["change"].get<double>(), why.empty() ? "" : "  doubtful: " + why);
    }
  }
}

}  // namespace faultline
