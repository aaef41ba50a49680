#include "workloads/parameters.hpp"

#include <charconv>
#include <optional>
#include <stdexcept>

namespace faultline {
namespace {

std::optional<u64> parse_number(std::string_view text) {
  u64 value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<u64> parse_size(std::string_view text) {
  if (text.empty()) return std::nullopt;
  u64 unit = 1;
  if (text.back() == 'K') unit = u64{1} << 10;
  if (text.back() == 'M') unit = u64{1} << 20;
  if (text.back() == 'G') unit = u64{1} << 30;
  if (unit == 1) return std::nullopt;
  const auto value = parse_number(text.substr(0, text.size() - 1));
  if (!value || *value == 0 || *value > (u64{1} << 36) / unit || *value * unit % page_size != 0)
    return std::nullopt;
  return *value * unit;
}

}  // namespace

Parameters::Parameters(std::string_view text) : text_(text) {
  const usize colon = text.find(':');
  name_ = text.substr(0, colon);
  if (colon == std::string_view::npos) return;
  for (usize begin = colon + 1; begin <= text.size();) {
    const usize end = std::min(text.find_first_of(":,", begin), text.size());
    fields_.emplace_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  used_.resize(fields_.size());
}

u64 Parameters::number(std::string_view key, u64 otherwise) {
  const std::string text = word(key, "");
  if (text.empty()) return otherwise;
  if (const auto value = parse_number(text)) return *value;
  refuse(std::string(key) + "=NUMBER");
}

std::string Parameters::word(std::string_view key, const std::string& otherwise) {
  for (usize i = 0; i < fields_.size(); ++i)
    if (fields_[i].size() > key.size() && fields_[i].starts_with(key) &&
        fields_[i][key.size()] == '=') {
      used_[i] = true;
      return fields_[i].substr(key.size() + 1);
    }
  return otherwise;
}

bool Parameters::flag(std::string_view word) {
  for (usize i = 0; i < fields_.size(); ++i)
    if (fields_[i] == word) return used_[i] = true;
  return false;
}

u64 Parameters::next_number(u64 otherwise) {
  for (usize i = 0; i < fields_.size(); ++i)
    if (!used_[i])
      if (const auto value = parse_number(fields_[i])) {
        used_[i] = true;
        return *value;
      }
  return otherwise;
}

u64 Parameters::next_size(u64 otherwise) {
  for (usize i = 0; i < fields_.size(); ++i)
    if (!used_[i])
      if (const auto value = parse_size(fields_[i])) {
        used_[i] = true;
        return *value;
      }
  return otherwise;
}

void Parameters::finish(std::string_view expected) const {
  for (bool used : used_)
    if (!used) refuse(expected);
}

void Parameters::refuse(std::string_view expected) const {
  throw std::invalid_argument("workload '" + text_ + "': expected " + std::string(expected));
}

}  // namespace faultline
