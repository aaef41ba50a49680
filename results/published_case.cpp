#include "results/published_case.hpp"

#include <algorithm>

namespace faultline {

using nlohmann::json;

bool stands_for(const json& one, const json& wanted) {
  if (one.value("private", false)) return false;
  return std::all_of(wanted.items().begin(), wanted.items().end(), [&](const auto& item) {
    return one.value(item.key(), json()) == item.value();
  });
}

json rate_of(const json& one, const std::string& kind) {
  const json rate = one.value(json::json_pointer("/kinds") / kind / "rate", json());
  return rate.is_null() && kind == "write" ? rate_of(one, "fault") : rate;
}

}  // namespace faultline
