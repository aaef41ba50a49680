#pragma once

#include <nlohmann/json.hpp>
#include <vector>

namespace faultline {

/**
 * How near a simulation comes to the measurement: compares cases that were measured on a host and
 * simulated on a machine that `faultline calibrate` measured on that host. `parts`: the "faultline"
 * parts of results. There is one entry for each native part and each calibrated machine:
 *   {"machine", "host", "cases": [{"case", "native", "simulated", "ratio", "doubtful"}], "median",
 *    "worst": {"case", "ratio"}}   or   {"machine", "host", "why_not"}
 *
 * "doubtful" says why the simulated case should not be trusted; most cases have none. Rates are
 * operations per second and "ratio" is simulated over native, with their intervals where
 * repetitions allow. "median" is the median of the cases' ratios, "worst" the ratio farthest from
 * 1. Empty without a native part or a calibrated machine.
 */
nlohmann::json native_and_simulated(const std::vector<nlohmann::json>& parts);

}  // namespace faultline
