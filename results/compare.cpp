#include "results/compare.hpp"

#include <fmt/core.h>
#include <fmt/ostream.h>

#include <algorithm>
#include <map>
#include <random>
#include <stdexcept>

#include "results/case_axes.hpp"
#include "results/doubt.hpp"
#include "results/reader.hpp"
#include "results/summary.hpp"

namespace faultline {
namespace {

using nlohmann::json;

constexpr double shift_to_plan_for = 0.05;
constexpr double wanted_power = 0.8;
constexpr std::size_t power_draws = 200;

struct Side {
  std::string path;
  json part;                                 // the file's "faultline"
  std::map<std::string, const json*> cases;  // by key
};

/** Cases are matched by their settings, since an older file's names lack newer axes. */
void find_cases(Side& side, const json& axes) {
  for (const json& one : side.part["cases"])
    side.cases[case_key(one, axes) + one.value("machine", "")] = &one;
}

std::string name_of(const json& one) {
  return one["name"].get<std::string>();
}

void require_comparable(const Side& base, const Side& changed, const CompareOptions& options) {
  if (!(options.threshold >= 0 && options.threshold < 1)) {
    throw std::invalid_argument(
        fmt::format("--threshold {}, expected a fraction from 0 to below 1", options.threshold));
  }
  if (!(options.alpha > 0 && options.alpha < 1)) {
    throw std::invalid_argument(
        fmt::format("--alpha {}, expected a fraction between 0 and 1", options.alpha));
  }
  if (base.part["mode"] != changed.part["mode"]) {
    throw std::invalid_argument(
        fmt::format("cannot compare, {} is {} and {} is {}, expected the same mode", base.path,
                    base.part["mode"].get<std::string>(), changed.path,
                    changed.part["mode"].get<std::string>()));
  }
}

bool measured(const json& one) {
  return one.contains("throughput");
}

/** Whether an operation completed in every repetition. A rate of 0 gives no ratio. */
bool positive(const json& one) {
  const json& rates = one["throughput"]["repetitions"];
  return std::all_of(rates.begin(), rates.end(),
                     [](const json& rate) { return rate.get<double>() > 0; });
}

/** How many cases have a throughput in base, and are in the other file without one. */
std::size_t lost_cases(const Side& base, const Side& changed) {
  return static_cast<std::size_t>(
      std::count_if(base.cases.begin(), base.cases.end(), [&](const auto& entry) {
        const auto other = changed.cases.find(entry.first);
        return other != changed.cases.end() && measured(*entry.second) && !measured(*other->second);
      }));
}

/** How many cases have a throughput in base and are not in the other file at all. */
std::size_t absent_cases(const Side& base, const Side& changed) {
  return static_cast<std::size_t>(
      std::count_if(base.cases.begin(), base.cases.end(), [&](const auto& entry) {
        return measured(*entry.second) && !changed.cases.contains(entry.first);
      }));
}

std::vector<CaseShift> common_cases(const Side& base, const Side& changed) {
  std::vector<CaseShift> cases;
  for (const auto& [key, one] : base.cases) {
    const auto other = changed.cases.find(key);
    if (other == changed.cases.end()) continue;
    if (!measured(*one) || !measured(*other->second)) continue;
    CaseShift shift;
    shift.name = name_of(*one);
    shift.base = (*one)["throughput"]["repetitions"].get<std::vector<double>>();
    shift.changed = (*other->second)["throughput"]["repetitions"].get<std::vector<double>>();
    if (shift.base.empty() || shift.changed.empty()) continue;
    if (!positive(*one)) continue;
    cases.push_back(std::move(shift));
  }
  if (cases.empty() && lost_cases(base, changed) == 0) {
    throw std::invalid_argument(
        fmt::format("nothing to compare, {} and {}: no case was measured in both, expected "
                    "results of the same suite",
                    base.path, changed.path));
  }
  return cases;
}

std::string text_of(const json& object, const char* key) {
  const json value = object.value(key, json("unknown"));
  return value.is_string() ? value.get<std::string>() : value.dump();
}

void print_side_by_side(const Side& base, const Side& changed, std::ostream& out) {
  fmt::print(out, "base {}: {}\nnew  {}: {}\n", base.path, provenance(base.part), changed.path,
             provenance(changed.part));
  const auto differs = [&](const char* section, const char* key) {
    const std::string before = text_of(base.part[section], key);
    const std::string after = text_of(changed.part[section], key);
    if (before == after) return;
    fmt::print(out, "{} differs: {} {} against {}\n", section, key, before, after);
  };
  for (const char* key : {"host", "cpu_model", "kernel", "cpus", "nodes", "smt", "governor",
                          "turbo", "thp", "numa_balancing", "virtual", "models"}) {
    differs("machine", key);
  }
  for (const char* key : {"version", "commit", "compiler", "flags", "type"}) differs("build", key);
}

void print_settings(const Side& base, const Side& changed, std::ostream& out) {
  for (const char* setting : {"workload_text", "duration_s", "warmup_s", "cpus"}) {
    std::size_t differing = 0;
    std::string first;
    for (const auto& [key, one] : base.cases) {
      const auto other = changed.cases.find(key);
      if (other == changed.cases.end()) continue;
      const std::string before = text_of(*one, setting);
      const std::string after = text_of(*other->second, setting);
      if (before == after) continue;
      if (++differing == 1) first = fmt::format("{} against {} ({})", before, after, name_of(*one));
    }
    if (differing > 0)
      fmt::print(out, "settings differ: {} of {} case(s), first {}\n", setting, differing, first);
  }
}

std::string percent(double fraction) {
  return fmt::format("{:+.1f} %", fraction * 100);
}

const char* word(ShiftVerdict verdict) {
  switch (verdict) {
    case ShiftVerdict::faster:
      return "faster";
    case ShiftVerdict::slower:
      return "REGRESSION";
    case ShiftVerdict::blind:
      return "blind";
    case ShiftVerdict::unchanged:
      return "-";
  }
  return "";
}

void print_cases(const std::vector<CaseShift>& cases, std::ostream& out) {
  if (cases.empty()) return;
  std::size_t width = 4;
  for (const CaseShift& one : cases) width = std::max(width, one.name.size());
  fmt::print(out, "\n{:<{}}  {:>9} {:>21}  {:>8}  {:>8}  {:>7}  verdict\n", "case", width, "shift",
             "95 % interval", "p (Holm)", "finds", "base/");
  fmt::print(out, "{:<{}}  {:>9} {:>21}  {:>8}  {:>8}  {:>7}\n", "", width, "", "", "", "find",
             "new");
  for (const CaseShift& one : cases) {
    const Estimate ratio = bootstrap_ratio(one.base, one.changed);
    fmt::print(out, "{:<{}}  {:>9} {:>21}  {:>8.2g}  {:>8}  {:>7}  {}\n", one.name, width,
               percent(one.shift),
               fmt::format("{} .. {}", percent(ratio.low - 1), percent(ratio.high - 1)), one.p,
               fmt::format("{:.0f} %", one.power * 100),
               fmt::format("{}/{}", one.base.size(), one.changed.size()), word(one.verdict));
  }
}

/** The fewest repetitions per side with which the clearest outcome is significant over `cases`
 * cases. */
std::size_t least_repetitions(std::size_t cases, double alpha) {
  std::size_t least = 2;
  while (smallest_p(least, least) * static_cast<double>(cases) >= alpha) ++least;
  return least;
}

/** Prints which changes this comparison could not have found, so that nobody reads silence as "no
 * change". */
void print_limits(const std::vector<CaseShift>& cases, const CompareOptions& options,
                  std::ostream& out) {
  const auto blind = std::count_if(cases.begin(), cases.end(), [](const CaseShift& one) {
    return one.verdict == ShiftVerdict::blind;
  });
  if (blind > 0) {
    fmt::print(out,
               "too few repetitions: {} of {} cases are blind, no outcome could be significant at "
               "{} over {} cases; "
               "at least {} repetitions per side are needed\n",
               blind, cases.size(), options.alpha, cases.size(),
               least_repetitions(cases.size(), options.alpha));
  }
  std::size_t noisy = 0;
  const CaseShift* worst = nullptr;
  for (const CaseShift& one : cases) {
    if (one.verdict == ShiftVerdict::blind || one.power >= wanted_power) continue;
    ++noisy;
    if (worst == nullptr || one.power < worst->power) worst = &one;
  }
  if (worst == nullptr) return;
  const std::size_t needed = repetitions_to_find(*worst, shift_to_plan_for, cases.size(), options);
  const std::string advice = needed > 0
                                 ? fmt::format("about {} repetitions per side would do", needed)
                                 : "no number of repetitions within reason would do";
  fmt::print(out,
             "noise: {} of {} cases would miss a regression of 5 % more than once in five; for the "
             "noisiest, {}, {}\n",
             noisy, cases.size(), worst->name, advice);
}

std::string reason_of(const json& one) {
  return one.value("reason", "no reason given");
}

void print_one_sided(const Side& here, const Side& there, const char* label, std::ostream& out) {
  for (const auto& [key, one] : here.cases) {
    const auto other = there.cases.find(key);
    if (other == there.cases.end()) {
      fmt::print(out, "only in {}: {}{}\n", label, name_of(*one),
                 measured(*one) ? "" : fmt::format(" (not measured: {})", reason_of(*one)));
    } else if (measured(*one) && !measured(*other->second)) {
      fmt::print(out, "measured only in {}: {} (the other: {})\n", label, name_of(*one),
                 reason_of(*other->second));
    }
  }
}

/** A doubtful case keeps its verdict, since the doubt may be about either side. */
void print_doubts(const Side& here, const char* label, std::ostream& out) {
  for (const auto& [key, one] : here.cases)
    if (const std::string why = doubts_text(*one); !why.empty())
      fmt::print(out, "doubtful in {}: {} ({})\n", label, name_of(*one), why);
}

void print_not_compared(const Side& base, const Side& changed, std::ostream& out) {
  for (const auto& [key, one] : base.cases) {
    const auto other = changed.cases.find(key);
    if (other == changed.cases.end() || measured(*one) != measured(*other->second)) continue;
    if (!measured(*one)) {
      fmt::print(out, "measured in neither: {} (base: {}; new: {})\n", name_of(*one),
                 reason_of(*one), reason_of(*other->second));
    } else if (!positive(*one)) {
      fmt::print(out, "not compared: {} (base has a repetition of 0 operations/s)\n",
                 name_of(*one));
    }
  }
}

std::optional<double> p99(const json& one, const std::string& kind) {
  const json::json_pointer place = json::json_pointer("/kinds") / kind / "latency_ns" / "p99";
  if (!one.contains(place) || !one.at(place).is_number()) return std::nullopt;
  return one.at(place).get<double>();
}

void print_latency(const Side& base, const Side& changed, std::ostream& out) {
  bool first = true;
  for (const auto& [key, one] : base.cases) {
    const auto other = changed.cases.find(key);
    if (other == changed.cases.end()) continue;
    for (const auto& [kind, unused] : (*one)["kinds"].items()) {
      const std::optional<double> before = p99(*one, kind);
      const std::optional<double> after = p99(*other->second, kind);
      if (!before || !after || *before <= 0) continue;
      if (first) fmt::print(out, "\np99 latency, for information (no test, no alarm):\n");
      first = false;
      fmt::print(out, "  {} {}: {:.0f} ns to {:.0f} ns ({})\n", name_of(*one), kind, *before,
                 *after, percent(*after / *before - 1));
    }
  }
}

}  // namespace

void judge(std::vector<CaseShift>& cases, const CompareOptions& options) {
  std::vector<double> p_values;
  for (const CaseShift& one : cases) p_values.push_back(mann_whitney(one.base, one.changed).p);
  const std::vector<double> corrected = holm(p_values);
  const double count = static_cast<double>(cases.size());
  for (std::size_t i = 0; i < cases.size(); ++i) {
    CaseShift& one = cases[i];
    one.shift = median(one.changed) / median(one.base) - 1;
    one.p = corrected[i];
    one.verdict = ShiftVerdict::unchanged;
    if (smallest_p(one.base.size(), one.changed.size()) * count >= options.alpha) {
      one.verdict = ShiftVerdict::blind;
    } else if (one.p < options.alpha && one.shift < -options.threshold) {
      one.verdict = ShiftVerdict::slower;
    } else if (one.p < options.alpha && one.shift > options.threshold) {
      one.verdict = ShiftVerdict::faster;
    }
  }
}

double power(const CaseShift& one, double shift, std::size_t base_repetitions,
             std::size_t changed_repetitions, std::size_t cases, const CompareOptions& options) {
  if (one.base.size() < 2 || one.changed.size() < 2) return 0;
  std::vector<double> noise;
  for (const std::vector<double>* side : {&one.base, &one.changed}) {
    const double centre = median(*side);
    for (double value : *side) noise.push_back(value / centre);
  }
  std::mt19937_64 random(1);
  const auto draw = [&](std::vector<double>& values, double speed) {
    for (double& value : values) value = speed * noise[random() % noise.size()];
  };
  std::vector<double> base(base_repetitions);
  std::vector<double> changed(changed_repetitions);
  std::size_t found = 0;
  for (std::size_t i = 0; i < power_draws; ++i) {
    draw(base, 1);
    draw(changed, 1 - shift);
    const double p = mann_whitney(base, changed).p * static_cast<double>(cases);
    found += p < options.alpha && median(changed) / median(base) - 1 < -options.threshold;
  }
  return static_cast<double>(found) / static_cast<double>(power_draws);
}

std::size_t repetitions_to_find(const CaseShift& one, double shift, std::size_t cases,
                                const CompareOptions& options) {
  // The estimate is from a limited number of draws. A target above 80 % covers its error.
  const double enough = wanted_power + 0.05;
  std::size_t repetitions = least_repetitions(cases, options.alpha);
  while (power(one, shift, repetitions, repetitions, cases, options) < enough) {
    repetitions += 1 + repetitions / 10;
    if (repetitions > 1000) return 0;
  }
  return repetitions;
}

int compare(const std::string& base_path, const std::string& changed_path,
            const CompareOptions& options, std::ostream& out) {
  Side base{base_path, load_results(base_path)["faultline"], {}};
  Side changed{changed_path, load_results(changed_path)["faultline"], {}};
  const json axes = axes_of({base.part, changed.part});
  find_cases(base, axes);
  find_cases(changed, axes);
  require_comparable(base, changed, options);
  std::vector<CaseShift> cases = common_cases(base, changed);
  judge(cases, options);
  for (CaseShift& one : cases) {
    one.power =
        power(one, shift_to_plan_for, one.base.size(), one.changed.size(), cases.size(), options);
  }
  print_side_by_side(base, changed, out);
  print_settings(base, changed, out);
  print_cases(cases, out);
  fmt::print(out, "\n");
  print_limits(cases, options, out);
  print_one_sided(base, changed, "base", out);
  print_one_sided(changed, base, "new", out);
  print_not_compared(base, changed, out);
  print_doubts(base, "base", out);
  print_doubts(changed, "new", out);
  print_latency(base, changed, out);
  const auto slower = std::count_if(cases.begin(), cases.end(), [](const CaseShift& one) {
    return one.verdict == ShiftVerdict::slower;
  });
  fmt::print(out, "{} of {} cases regressed by more than {:.1f} % (corrected p < {})\n", slower,
             cases.size(), options.threshold * 100, options.alpha);
  const std::size_t lost = lost_cases(base, changed);
  if (lost > 0) fmt::print(out, "{} case(s) that base measured failed in new\n", lost);
  const std::size_t absent = absent_cases(base, changed);
  if (absent > 0) fmt::print(out, "{} case(s) that base measured are not in new\n", absent);
  return slower > 0 ? 3 : lost + absent > 0 ? 1 : 0;
}

}  // namespace faultline
