// What has been measured: samples by the name of the quantity.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "locks/platform.hpp"

namespace faultline::calibrate {

// Names are those of a machine file's constants where there is one
// ("latency.load.modified.cluster", in the file's units), else the quantity's own
// ("contended.cluster.4", "handoff.20us"; ns).
class Findings {
 public:
  void add(const std::string& name, double sample) { samples_[name].push_back(sample); }
  bool has(const std::string& name) const { return samples_.contains(name); }
  // Throws std::out_of_range for what was not measured.
  double median(const std::string& name) const;
  // The quartiles' distance over the median.
  double spread(const std::string& name) const;
  usize samples(const std::string& name) const { return samples_.at(name).size(); }
  std::vector<std::string> names() const;
  // {"name": {"samples": n, "quartiles": [low, median, high]}}
  nlohmann::json json() const;

 private:
  std::map<std::string, std::vector<double>> samples_;
};

}  // namespace faultline::calibrate
