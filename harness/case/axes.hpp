// The axes of a case: the choices beside workload, scheme, placement and number of threads. The
// axes are one table; the command line, names, results, comparisons and the report loop over it. To
// add an axis, write one row in axes.cpp, and the code that acts on the value: in options_of
// (harness/trial/arena.hpp), or wherever else the axis takes effect.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace faultline {

// The cases that have the axis.
enum class AxisMode { everywhere, native, simulated };

// How a picture separates two values: each has a panel, or a line within one panel.
enum class AxisPicture { panel, line };

struct AxisValue {
  const char* text;
  const char* label = nullptr;  // In pictures and tables. Null: the axis's label and the text.
};

struct Axis {
  const char* key;  // In results. As a flag, with '-' for '_'.
  const char* help;
  const char* label;
  // The default comes first. {"on", "off"} and {"off", "on"} make a switch: a flag without a value,
  // and true or false in results. An axis without values takes any text and is empty by default.
  std::vector<AxisValue> values = {};
  // The value that cases have in results that are older than the axis. Null: the default.
  const char* before = nullptr;
  AxisMode mode = AxisMode::everywhere;
  AxisPicture picture = AxisPicture::panel;

  bool is_switch() const;
  bool is_text() const { return values.empty(); }
  std::string usual() const;  // the default
  bool applies(bool simulated) const;

  // "page-table", "no-merge": on the command line after "--", and in names. A switch's flag selects
  // the value that is not the default.
  std::string flag() const;
  // How the command line describes it: "shared or per_cpu: ...".
  std::string description() const;
  // "/page-table:per_cpu", or empty for the default.
  std::string name_part(const std::string& value) const;
  // Throws std::invalid_argument for a value that the axis does not have: "page-table 'x': expected
  // shared or per_cpu".
  void require(const std::string& value) const;

  nlohmann::json to_json(const std::string& value) const;
  // Throws as require() does, and for JSON of another type.
  std::string from_json(const nlohmann::json& value) const;
};

// In the order in which names have them.
const std::vector<Axis>& axes();

// Throws std::logic_error where there is no row of that key.
const Axis& axis(std::string_view key);

// The axes in the form in which a result declares them, so that another version can read them:
// {"key", "label", "default", "before", "picture", "values": [{"value", "label"}]}. An axis of any
// text has no values.
nlohmann::json axes_json();

// A value for every axis.
class Settings {
 public:
  const std::string& value(std::string_view key) const;
  bool is_on(std::string_view key) const { return value(key) == "on"; }
  // Throws std::invalid_argument as Axis::require does.
  void set(std::string_view key, const std::string& value);
  void turn_on(std::string_view key) { set(key, "on"); }

  bool operator==(const Settings&) const = default;

 private:
  std::map<std::string, std::string, std::less<>> others_;  // the values that are not the default
};

// The values of some axes; every combination is a case.
using AxisValues = std::map<std::string, std::vector<std::string>>;

// Answers `base` with each combination of the values. The last axis varies fastest. Throws
// std::invalid_argument as Axis::require does.
std::vector<Settings> combinations(const Settings& base, const AxisValues& values);

}  // namespace faultline
