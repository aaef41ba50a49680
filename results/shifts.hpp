#pragma once

#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <vector>

namespace faultline {

/** What a changed constant does to one simulated curve. */
struct CurveShift {
  std::string rung;
  std::string reference;
  std::string curve;
  double shift = 0;         // of the rates, in decades: the mean over the points of the curve
  double distance = 0;      // the mean of the absolute shifts
  double error_change = 0;  // of the curve's mean error, in decades
};

/** The curves that both have. `before` and `after` are what fits_of returned. */
std::vector<CurveShift> shifts_between(const std::vector<nlohmann::json>& before,
                                       const std::vector<nlohmann::json>& after);

struct ShiftedConstant {
  std::string machine;
  std::string key;
  double value = 0;
  std::string why_not;  // why the constant could not be changed; empty where it could
  std::vector<CurveShift> shifts;
};

/** From this mean absolute shift on, in decades, a curve counts as moved. */
inline constexpr double moved_from = 0.01;

/**
 * "" where a constant moves two curves or more, or none was simulated with it; else that it moves
 * nothing, or which curve it moves alone.
 */
std::string verdict_on(const ShiftedConstant& constant);

/** Prints the constants by the rungs that they move, one line for each. */
void print_shifts(std::ostream& out, const std::vector<ShiftedConstant>& constants);

}  // namespace faultline
