#include "results/bars.hpp"

#include <fmt/format.h>

#include <optional>
#include <stdexcept>

#include "results/files.hpp"

namespace faultline {
namespace {

using nlohmann::json;

constexpr const char* the_bars = "{\"bars\": {REFERENCE: {CURVE: decades above 0}}}";

[[noreturn]] void refuse_bars(const std::string& path, const std::string& what) {
  throw std::invalid_argument(fmt::format("bars {}: {}, expected {}", path, what, the_bars));
}

std::map<std::string, double> bars_of_reference(const std::string& path, const std::string& name,
                                                const json& curves) {
  if (!curves.is_object() || curves.empty()) refuse_bars(path, "bars/" + name + ": no object");
  std::map<std::string, double> bars;
  for (const auto& [curve, bar] : curves.items()) {
    if (!bar.is_number() || bar.get<double>() <= 0)
      refuse_bars(path, fmt::format("bars/{}/{}: {}", name, curve, bar.dump()));
    bars[curve] = bar.get<double>();
  }
  return bars;
}

/** The mean error of a curve; nothing where none of its points was simulated. */
std::optional<double> mean_error(const std::vector<json>& fits, const std::string& reference,
                                 const std::string& curve) {
  for (const json& fit : fits)
    if (fit["name"] == reference)
      for (const json& system : fit["systems"])
        if (system["name"] == curve) return system["error"]["mean"].get<double>();
  return {};
}

}  // namespace

Bars read_bars(const std::string& path) {
  const json root = json::parse(read_text(path, the_bars), nullptr, false);
  if (!root.is_object() || !root.contains("bars") || !root["bars"].is_object() ||
      root["bars"].empty())
    refuse_bars(path, "no bars");
  Bars bars;
  for (const auto& [name, curves] : root["bars"].items())
    bars[name] = bars_of_reference(path, name, curves);
  return bars;
}

std::vector<std::string> broken_bars(const std::vector<json>& fits, const Bars& bars) {
  std::vector<std::string> broken;
  for (const auto& [reference, curves] : bars)
    for (const auto& [curve, bar] : curves) {
      const std::optional<double> mean = mean_error(fits, reference, curve);
      if (!mean)
        broken.push_back(
            fmt::format("{}, {}: no point was simulated, expected one at least", reference, curve));
      else if (*mean > bar)
        broken.push_back(fmt::format("{}, {}: {:.3f} decades off on average, expected {:g} at most",
                                     reference, curve, *mean, bar));
    }
  return broken;
}

}  // namespace faultline
