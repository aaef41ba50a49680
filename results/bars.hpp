#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace faultline {

/** The greatest mean error, in decades, that each curve may have: by reference, then by curve. */
using Bars = std::map<std::string, std::map<std::string, double>>;

/**
 * Reads a file as results/bars/ has them: {"about": text, "bars": {REFERENCE: {CURVE: decades above
 * 0}}}. Throws std::invalid_argument, in one line with file, place and what was expected, for any
 * other file.
 */
Bars read_bars(const std::string& path);

/**
 * One line for each bar that the fits break: a curve whose mean error exceeds its bar, or that has
 * no simulated point. `fits` is what fits_of returned.
 */
std::vector<std::string> broken_bars(const std::vector<nlohmann::json>& fits, const Bars& bars);

}  // namespace faultline
