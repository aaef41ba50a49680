#include "harness/calibrate/findings.hpp"

#include <cmath>

#include "harness/stats/stats.hpp"

namespace faultline::calibrate {

namespace {
double rounded(double value) {
  return std::round(value * 1000) / 1000;
}
}  // namespace

double Findings::median(const std::string& name) const {
  return faultline::median(samples_.at(name));
}

std::array<double, 3> Findings::quartiles(const std::string& name) const {
  const std::vector<double>& values = samples_.at(name);
  return {quantile(values, 0.25), faultline::median(values), quantile(values, 0.75)};
}

double Findings::spread(const std::string& name) const {
  const auto [low, middle, high] = quartiles(name);
  return (high - low) / middle;
}

std::string Findings::excuse_of(const std::string& constant) const {
  const auto excuse = excuses_.find(constant);
  return excuse == excuses_.end() ? "" : excuse->second;
}

std::vector<std::string> Findings::names() const {
  std::vector<std::string> names;
  for (const auto& [name, values] : samples_) names.push_back(name);
  return names;
}

nlohmann::json Findings::json() const {
  nlohmann::json all = nlohmann::json::object();
  for (const auto& [name, values] : samples_) {
    const auto [low, middle, high] = quartiles(name);
    all[name] = {{"samples", values.size()},
                 {"quartiles", {rounded(low), rounded(middle), rounded(high)}}};
  }
  return all;
}

}  // namespace faultline::calibrate
