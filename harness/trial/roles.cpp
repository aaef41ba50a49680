#include "harness/trial/roles.hpp"

#include <fmt/format.h>

#include <charconv>
#include <stdexcept>
#include <string_view>

namespace faultline {
namespace {

[[noreturn]] void refuse(const std::string& text, u32 threads) {
  throw std::invalid_argument(
      fmt::format("roles '{}' for {} thread(s): expected faulters:COUNT,updaters:COUNT that add "
                  "up, where a COUNT is a number, N or N-NUMBER",
                  text, threads));
}

// Parses "3", "N" or "N-1", where N is `threads`; `whole` is the text that the refusal quotes.
i64 parse_count(std::string_view text, const std::string& whole, u32 threads) {
  i64 count = 0;
  const bool relative = text.starts_with('N');
  if (relative) text.remove_prefix(1);
  if (relative && text.empty()) return threads;
  if (relative && !text.starts_with('-')) refuse(whole, threads);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc() || end != text.data() + text.size() || (!relative && count < 0))
    refuse(whole, threads);
  return relative ? static_cast<i64>(threads) + count : count;
}

}  // namespace

std::vector<Role> assign_roles(const std::string& text, u32 threads) {
  if (text.empty()) return std::vector<Role>(threads, Role::all);
  std::vector<Role> roles;
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::string_view part = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(part.size() + 1, rest.size()));
    const usize colon = part.find(':');
    const std::string_view name = part.substr(0, colon);
    if (colon == std::string_view::npos || (name != "faulters" && name != "updaters"))
      refuse(text, threads);
    const i64 count = parse_count(part.substr(colon + 1), text, threads);
    if (count < 0 || count > static_cast<i64>(threads)) refuse(text, threads);
    roles.insert(roles.end(), static_cast<usize>(count),
                 name == "faulters" ? Role::faulter : Role::updater);
  }
  if (roles.size() != threads) refuse(text, threads);
  return roles;
}

const char* role_name(Role role) {
  constexpr const char* names[] = {"all", "faulters", "updaters"};
  return names[static_cast<int>(role)];
}

}  // namespace faultline
