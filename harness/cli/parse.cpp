#include "harness/cli/parse.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <stdexcept>

#include "harness/native/platform.hpp"
#include "locks/catalogue.hpp"

namespace faultline {
namespace {

constexpr double a_day_s = 86400;

[[noreturn]] void refuse(const std::string& option, const std::string& text,
                         const std::string& expected) {
  throw std::invalid_argument(fmt::format("{} '{}': expected {}", option, text, expected));
}

double factor_of(std::string_view unit) {
  if (unit == "us") return 1e-6;
  if (unit == "ms") return 1e-3;
  if (unit == "s" || unit.empty()) return 1;
  if (unit == "m" || unit == "min") return 60;
  return unit == "h" ? 3600 : 0;
}

// Appends every part for which `continues(before, part)` holds to the part before it.
template <class Continues>
std::vector<std::string> join_parts(const std::vector<std::string>& parts,
                                    const Continues& continues) {
  std::vector<std::string> joined;
  for (const std::string& part : parts) {
    if (!joined.empty() && continues(joined.back(), part))
      joined.back() += "," + part;
    else
      joined.push_back(part);
  }
  return joined;
}

}  // namespace

double parse_seconds(const std::string& option, const std::string& text) {
  double value = 0;
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, value);
  const double seconds = value * factor_of({end, static_cast<usize>(last - end)});
  if (error != std::errc() || !(seconds > 0) || seconds > a_day_s)
    refuse(option, text, "a time above zero and at most 24h, such as 200ms, 1s or 2m");
  return seconds;
}

u64 parse_number(const std::string& option, const std::string& text, u64 least, u64 most) {
  u64 value = 0;
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, value);
  if (error != std::errc() || end != last || value < least || value > most)
    refuse(option, text, fmt::format("a whole number from {} to {}", least, most));
  return value;
}

double parse_share(const std::string& option, const std::string& text) {
  double value = 0;
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, value);
  if (error != std::errc() || end != last || !(value >= 0 && value <= 1))
    refuse(option, text, "a share from 0 to 1, such as 0.1");
  return value;
}

std::vector<u32> parse_counts(const std::string& option, const std::string& text) {
  if (text.empty() || text == "all") return {};
  std::vector<u32> counts;
  try {
    for (const std::string& part : split_list(option, text))
      counts.push_back(static_cast<u32>(parse_number(option, part, 1, native::max_threads)));
  } catch (const std::invalid_argument&) {
    refuse(option, text,
           fmt::format("numbers from 1 to {} with commas between, or all", native::max_threads));
  }
  return counts;
}

std::vector<std::string> split_list(const std::string& option, const std::string& text) {
  std::vector<std::string> parts;
  for (usize begin = 0; begin <= text.size();) {
    const usize end = std::min(text.find(',', begin), text.size());
    if (end == begin) refuse(option, text, "names with one comma between");
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

std::vector<std::string> split_workloads(const std::string& text,
                                         const std::vector<std::string>& names) {
  return join_parts(split_list("--workload", text), [&](const auto&, const std::string& part) {
    return std::find(names.begin(), names.end(), part.substr(0, part.find(':'))) == names.end();
  });
}

std::vector<std::string> split_schemes(const std::string& text) {
  constexpr Families families = scheme_family | lock_families;
  return join_parts(split_list("--scheme", text),
                    [](const std::string& before, const std::string& part) {
                      return ends_in_list(families, before) &&
                             find_entry(families, part.substr(0, part.find(':'))) == nullptr;
                    });
}

std::vector<std::string> split_placements(const std::string& text) {
  const auto numbers = [](const std::string& part) {
    return part.find_first_not_of("0123456789-,") == std::string::npos;
  };
  return join_parts(split_list("--placement", text),
                    [&](const std::string& before, const std::string& part) {
                      return numbers(before) && numbers(part);
                    });
}

void require_one_of(const std::string& option, const std::string& text,
                    const std::vector<std::string>& allowed) {
  if (std::find(allowed.begin(), allowed.end(), text) == allowed.end())
    refuse(option, text, fmt::format("{}", fmt::join(allowed, " or ")));
}

}  // namespace faultline
