#include "harness/case/axes.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <stdexcept>

namespace faultline {
namespace {

using nlohmann::json;

std::vector<std::string> texts_of(const Axis& axis) {
  std::vector<std::string> texts;
  for (const AxisValue& value : axis.values) texts.emplace_back(value.text);
  return texts;
}

std::string label_of(const Axis& axis, const AxisValue& value) {
  return value.label != nullptr ? value.label : fmt::format("{} {}", axis.label, value.text);
}

json axis_json(const Axis& axis) {
  const char* picture = axis.picture == AxisPicture::line ? "line" : "panel";
  json row = {{"key", axis.key},
              {"label", axis.label},
              {"default", axis.to_json(axis.usual())},
              {"before", axis.to_json(axis.before != nullptr ? axis.before : axis.usual())},
              {"picture", picture}};
  for (const AxisValue& value : axis.values)
    row["values"].push_back(
        {{"value", axis.to_json(value.text)}, {"label", label_of(axis, value)}});
  return row;
}

}  // namespace

const std::vector<Axis>& axes() {
  static const std::vector<Axis> table = {
      {.key = "private",
       .help = "one address space for each thread",
       .label = "private",
       .values = {{"off", "one address space"}, {"on", "private: the ceiling"}},
       .picture = AxisPicture::line},
      {.key = "roles",
       .help = "such as faulters:N-1,updaters:1, N being the number of threads",
       .label = "roles"},
      {.key = "page_clear",
       .help = "whether a fault clears its page, or only takes as long",
       .label = "clear",
       .values = {{"memset"}, {"model"}}},
      {.key = "shootdown",
       .help = "the CPUs that an unmap interrupts: those in the mm's cpumask, those that hold the "
               "translation, or all",
       .label = "shootdown",
       .values = {{"cpumask"}, {"precise"}, {"broadcast"}}},
      {.key = "page_table",
       .help = "one page table for all CPUs, or one for each as in RadixVM",
       .label = "page table",
       .values = {{"shared", "one page table"}, {"per_cpu", "page table per CPU"}}},
      {.key = "kernel_entry",
       .help = "charge each operation its system call or exception, and the kernel's own work in "
               "it, to compare with whole kernels",
       .label = "kernel entry",
       .values = {{"off", "no kernel entry"}, {"on", "kernel entry"}},
       .mode = AxisMode::simulated},
      {.key = "merge",
       .help = "adjacent VMAs do not merge",
       .label = "merging",
       .values = {{"on", "merging"}, {"off", "no merging"}}},
      {.key = "layout",
       .help = "which fields of locks and VMAs share a cache line: as in the kernel, or side by "
               "side",
       .label = "layout",
       .values = {{"linux-6.18"}, {"packed"}},
       .before = "packed"},
      {.key = "anon_vma",
       .help =
           "which faults of a VMA without an anon_vma take the big lock under refcount: only "
           "those that need one, and for that alone if it is free, or all, as in Linux 6.4 to 6.9",
       .label = "anon_vma",
       .values = {{"in_fault"}, {"under_lock"}}},
      {.key = "thp",
       .help = "allow transparent huge pages on linux",
       .label = "THP",
       .values = {{"off", "no THP"}, {"on", "THP"}},
       .mode = AxisMode::native},
  };
  return table;
}

const Axis& axis(std::string_view key) {
  for (const Axis& row : axes())
    if (key == row.key) return row;
  throw std::logic_error(fmt::format("axis '{}': not in the table", key));
}

bool Axis::is_switch() const {
  return values.size() == 2 && std::all_of(values.begin(), values.end(), [](const AxisValue& one) {
           return std::string_view(one.text) == "on" || std::string_view(one.text) == "off";
         });
}

std::string Axis::usual() const {
  return is_text() ? "" : values.front().text;
}

bool Axis::applies(bool simulated) const {
  return mode == AxisMode::everywhere || (mode == AxisMode::simulated) == simulated;
}

std::string Axis::flag() const {
  std::string text = is_switch() && usual() == "on" ? "no-" : "";
  text += key;
  std::replace(text.begin(), text.end(), '_', '-');
  return text;
}

std::string Axis::description() const {
  return is_text() || is_switch() ? help
                                  : fmt::format("{}: {}", fmt::join(texts_of(*this), ", "), help);
}

std::string Axis::name_part(const std::string& value) const {
  if (value == usual()) return "";
  return is_switch() ? "/" + flag() : fmt::format("/{}:{}", flag(), value);
}

void Axis::require(const std::string& value) const {
  const std::vector<std::string> texts = texts_of(*this);
  if (is_text() || std::find(texts.begin(), texts.end(), value) != texts.end()) return;
  throw std::invalid_argument(
      fmt::format("{} '{}': expected {}", flag(), value, fmt::join(texts, " or ")));
}

json Axis::to_json(const std::string& value) const {
  return is_switch() ? json(value == "on") : json(value);
}

std::string Axis::from_json(const json& value) const {
  if (is_switch() ? !value.is_boolean() : !value.is_string())
    throw std::invalid_argument(fmt::format("{} {}: expected {}", key, value.dump(),
                                            is_switch() ? "true or false" : "a text"));
  std::string text = is_switch() ? (value.get<bool>() ? "on" : "off") : value.get<std::string>();
  require(text);
  return text;
}

json axes_json() {
  json rows = json::array();
  for (const Axis& row : axes()) rows.push_back(axis_json(row));
  return rows;
}

const std::string& Settings::value(std::string_view key) const {
  static const auto usual = [] {
    std::map<std::string, std::string, std::less<>> values;
    for (const Axis& row : axes()) values[row.key] = row.usual();
    return values;
  }();
  if (const auto found = others_.find(key); found != others_.end()) return found->second;
  return usual.at(axis(key).key);
}

void Settings::set(std::string_view key, const std::string& value) {
  const Axis& row = axis(key);
  row.require(value);
  if (value == row.usual())
    others_.erase(row.key);
  else
    others_[row.key] = value;
}

std::vector<Settings> combinations(const Settings& base, const AxisValues& values) {
  std::vector<Settings> all = {base};
  for (const auto& [key, choices] : values) {
    std::vector<Settings> more;
    for (const Settings& settings : all)
      for (const std::string& choice : choices) {
        more.push_back(settings);
        more.back().set(key, choice);
      }
    all = std::move(more);
  }
  return all;
}

}  // namespace faultline
