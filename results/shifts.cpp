#include "results/shifts.hpp"

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "results/fit.hpp"

namespace faultline {
namespace {

using nlohmann::json;

/** The simulated points of each curve. */
using SimulatedCurves = std::map<std::vector<std::string>, std::pair<Curve, double>>;

SimulatedCurves simulated_curves(const std::vector<json>& fits) {
  SimulatedCurves curves;
  for (const json& fit : fits)
    for (const json& system : fit["systems"]) {
      Curve curve;
      for (const json& point : system["points"])
        if (point.contains("decades"))
          curve[point["cpus"].get<int>()] = point["simulated"]["median"].get<double>();
      curves[{fit["rung"], fit["name"], system["name"]}] = {curve,
                                                            system["error"]["mean"].get<double>()};
    }
  return curves;
}

bool is_moved(const CurveShift& one) {
  return one.distance >= moved_from;
}

/** "2/6 +0.05 -0.01": the curves moved of those simulated, the greatest shift, the change of the
 * mean error. */
std::string rung_cell(const ShiftedConstant& constant, const std::string& rung) {
  int curves = 0, moved = 0;
  double greatest = 0, error_change = 0;
  for (const CurveShift& one : constant.shifts) {
    if (one.rung != rung) continue;
    ++curves;
    moved += is_moved(one) ? 1 : 0;
    if (std::abs(one.shift) > std::abs(greatest)) greatest = one.shift;
    error_change += one.error_change;
  }
  if (curves == 0) return "";
  if (moved == 0) return fmt::format("0/{}", curves);
  return fmt::format("{}/{} {:+.2f} {:+.2f}", moved, curves, greatest, error_change / curves);
}

}  // namespace

std::vector<CurveShift> shifts_between(const std::vector<json>& before,
                                       const std::vector<json>& after) {
  const SimulatedCurves first = simulated_curves(before);
  std::vector<CurveShift> shifts;
  for (const auto& [place, changed] : simulated_curves(after)) {
    const auto found = first.find(place);
    if (found == first.end()) continue;
    const auto& [curve, error] = found->second;
    CurveShift one{place[0], place[1], place[2], 0, 0, changed.second - error};
    int points = 0;
    for (const auto& [cpus, rate] : changed.first) {
      if (!curve.contains(cpus)) continue;
      const double decades = std::log10(rate / curve.at(cpus));
      one.shift += decades;
      one.distance += std::abs(decades);
      ++points;
    }
    if (points == 0) continue;
    one.shift /= points;
    one.distance /= points;
    shifts.push_back(one);
  }
  return shifts;
}

std::string verdict_on(const ShiftedConstant& constant) {
  if (constant.shifts.empty()) return "";
  const auto& shifts = constant.shifts;
  const auto moved = std::count_if(shifts.begin(), shifts.end(), is_moved);
  if (moved == 0) return "moves nothing";
  if (moved > 1) return "";
  const auto only = std::find_if(shifts.begin(), shifts.end(), is_moved);
  return fmt::format("moves one curve alone: {}, {}", only->reference, only->curve);
}

void print_shifts(std::ostream& out, const std::vector<ShiftedConstant>& constants) {
  std::string machine;
  for (const ShiftedConstant& one : constants) {
    if (one.machine != machine) {
      machine = one.machine;
      fmt::print(out, "\n{}\n{:<32} {:>8}", machine, "constant", "value");
      for (const char* rung : rungs) fmt::print(out, "  {:<18}", rung);
      out << '\n';
    }
    fmt::print(out, "{:<32} {:>8g}", one.key, one.value);
    if (!one.why_not.empty()) {
      fmt::print(out, "  not changed: {}\n", one.why_not);
      continue;
    }
    for (const char* rung : rungs) fmt::print(out, "  {:<18}", rung_cell(one, rung));
    fmt::print(out, "  {}\n", verdict_on(one));
  }
}

}  // namespace faultline
