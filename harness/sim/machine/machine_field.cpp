#include "harness/sim/machine/machine_field.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <vector>

namespace faultline::sim {
namespace {

using nlohmann::json;

// The Levenshtein distance: how many characters must be inserted, deleted or changed.
usize distance_between(const std::string& a, const std::string& b) {
  std::vector<usize> row(b.size() + 1);
  std::iota(row.begin(), row.end(), usize{0});
  for (usize i = 0; i < a.size(); ++i) {
    usize corner = row[0]++;
    for (usize j = 0; j < b.size(); ++j) {
      const usize changed = corner + (a[i] != b[j]);
      corner = row[j + 1];
      row[j + 1] = std::min({changed, row[j] + 1, corner + 1});
    }
  }
  return row.back();
}

std::vector<std::string> nearest(const std::string& name, const std::set<std::string>& names) {
  std::vector<std::string> sorted(names.begin(), names.end());
  std::stable_sort(sorted.begin(), sorted.end(), [&](const auto& a, const auto& b) {
    return distance_between(name, a) < distance_between(name, b);
  });
  constexpr usize most = 3;
  if (sorted.size() > most) sorted.resize(most);
  return sorted;
}

}  // namespace

void Field::refuse(std::string_view expected) const {
  throw std::invalid_argument(fmt::format("{}: {}: {}, expected {}", file_->name, key_,
                                          value_.is_null() ? "missing" : value_.dump(), expected));
}

Field Field::at(const std::string& name) const {
  static const json missing;
  known(name);
  return Field(has(name) ? value_[name] : missing, file_, key_of(name));
}

Field Field::element(usize i) const {
  return Field(value_[i], file_, fmt::format("{}[{}]", key_, i));
}

std::string Field::text() const {
  if (!value_.is_string() || value_.get<std::string>().empty()) refuse("a text");
  return value_.get<std::string>();
}

bool Field::flag() const {
  if (!value_.is_boolean()) refuse("true or false");
  return value_.get<bool>();
}

double Field::number(double low, double high, std::string_view what) const {
  if (!value_.is_number() || value_.get<double>() < low || value_.get<double>() > high)
    refuse(what);
  return value_.get<double>();
}

u32 Field::count(u32 most) const {
  const std::string what = fmt::format("a whole number from 1 to {}", most);
  if (!value_.is_number_integer()) refuse(what);
  return static_cast<u32>(number(1, most, what));
}

double Field::share() const {
  return number(0, 1, "a number from 0 to 1");
}

Time Field::time() const {
  return static_cast<Time>(number(0.001, 1e9, "nanoseconds above 0") * ps_per_ns + 0.5);
}

const json& Field::list(usize size, std::string_view what) const {
  if (!value_.is_array() || value_.size() != size) refuse(what);
  return value_;
}

std::set<std::string> Field::known_keys() const {
  std::set<std::string> keys;
  for (const auto& [parent, names] : file_->names)
    for (const std::string& name : names) keys.insert(parent.empty() ? name : parent + "." + name);
  return keys;
}

void Field::refuse_name(const std::string& name) const {
  const std::vector<std::string> names = nearest(name, file_->names[key_]);
  throw std::invalid_argument(fmt::format(
      "{}: {}: unknown, expected {}", file_->name, key_of(name),
      names.empty() ? "nothing below " + key_ : fmt::format("{}", fmt::join(names, ", "))));
}

void Field::refuse_unknown(const std::set<std::string>& opaque) const {
  if (value_.is_array())
    for (usize i = 0; i < value_.size(); ++i) element(i).refuse_unknown(opaque);
  if (!value_.is_object()) return;
  for (const auto& [name, unused] : value_.items()) {
    if (!file_->names[key_].contains(name)) refuse_name(name);
    if (!opaque.contains(key_of(name))) at(name).refuse_unknown(opaque);
  }
}

}  // namespace faultline::sim
