#include "results/case_axes.hpp"

#include <algorithm>

#include "harness/case/axes.hpp"

namespace faultline {
namespace {

using nlohmann::json;

bool declares(const json& axes, const json& key) {
  return std::any_of(axes.begin(), axes.end(), [&](const json& one) { return one["key"] == key; });
}

void add_missing(json& axes, const json& more) {
  for (const json& one : more)
    if (!declares(axes, one["key"])) axes.push_back(one);
}

json value_of(const json& one, const json& axis) {
  return one.value(axis["key"].get<std::string>(), axis["before"]);
}

}  // namespace

json axes_of(const std::vector<json>& parts) {
  json axes = json::array();
  for (const json& part : parts)
    if (part.contains("axes")) add_missing(axes, part["axes"]);
  add_missing(axes, axes_json());
  return axes;
}

void complete_settings(json& part) {
  const json declared = part.value("axes", json::array());
  json axes = axes_of({part});
  for (json& one : part["cases"])
    for (const json& axis : axes) {
      const auto key = axis["key"].get<std::string>();
      if (!one.contains(key)) one[key] = axis[declares(declared, key) ? "default" : "before"];
    }
  part["axes"] = std::move(axes);
}

std::string case_key(const json& one, const json& axes) {
  json key = json::array();
  for (const char* name : {"workload", "scheme", "placement", "threads"})
    key.push_back(one.value(name, json()));
  // The settings are compared by name, since two files may declare their axes in different orders.
  json settings = json::object();
  for (const json& axis : axes) settings[axis["key"].get<std::string>()] = value_of(one, axis);
  key.push_back(std::move(settings));
  return key.dump();
}

std::string setting_label(const json& one, const json& axis) {
  const json value = value_of(one, axis);
  for (const json& known : axis.value("values", json::array()))
    if (known["value"] == value) return known["label"];
  if (value == "") return "";
  return axis["label"].get<std::string>() + " " +
         (value.is_string() ? value.get<std::string>() : value.dump());
}

}  // namespace faultline
