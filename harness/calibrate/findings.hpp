// The measured samples of each quantity, by its name.
#pragma once

#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "locks/platform.hpp"

namespace faultline::calibrate {

// A quantity that is a constant of a machine file has that constant's name and unit
// ("latency.load.modified.cluster"). Other quantities have names of their own
// ("contended.cluster.4", "handoff.20us") and are in ns.
class Findings {
 public:
  void add(const std::string& name, double sample) { samples_[name].push_back(sample); }
  // Notes why a constant cannot be measured on this machine: "all CPUs are equally near".
  void excuse(const std::string& constant, const std::string& why) { excuses_[constant] = why; }
  // Empty if there is none.
  std::string excuse_of(const std::string& constant) const;
  bool has(const std::string& name) const { return samples_.contains(name); }
  // Throws std::out_of_range if nothing was measured under that name.
  double median(const std::string& name) const;
  // The lower quartile, the median, the upper quartile.
  std::array<double, 3> quartiles(const std::string& name) const;
  // The distance between the quartiles, divided by the median.
  double spread(const std::string& name) const;
  usize samples(const std::string& name) const { return samples_.at(name).size(); }
  std::vector<std::string> names() const;
  // {"name": {"samples": n, "quartiles": [low, median, high]}}
  nlohmann::json json() const;

 private:
  std::map<std::string, std::vector<double>> samples_;
  std::map<std::string, std::string> excuses_;
};

}  // namespace faultline::calibrate
