#include "results/fit.hpp"

#include <fmt/core.h>
#include <fmt/ostream.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <stdexcept>

#include "results/changes.hpp"
#include "results/data_files.hpp"
#include "results/doubt.hpp"
#include "results/files.hpp"
#include "results/published_case.hpp"
#include "results/reader.hpp"
#include "results/summary.hpp"

namespace faultline {
namespace {

using nlohmann::json;

constexpr const char* a_reference = "published curves as results/reference/ has them";

struct System {
  std::string name;
  std::string about;
  std::string kind;    // the kind of the operations whose rates the curve gives
  std::string fitted;  // the constants that were fitted to the curve
  std::string group;   // orders compare the systems of one group
  json wanted;         // what the system's case must have
  Curve reference;
  std::map<int, json> estimates;      // simulated, by number of CPUs
  std::map<int, std::string> doubts;  // about the simulated case; see doubts_text
};

/** `shape` times the factor that brings it nearest to the reference: the mean of the logarithms'
 * differences. */
Curve scaled_to(const Curve& reference, const Curve& shape) {
  double sum = 0;
  for (const auto& [cpus, rate] : reference) sum += std::log(rate / shape.at(cpus));
  const double factor = std::exp(sum / static_cast<double>(reference.size()));
  Curve scaled;
  for (const auto& [cpus, value] : shape) scaled[cpus] = factor * value;
  return scaled;
}

template <class F>
Curve shaped(const Curve& reference, F&& value) {
  Curve shape;
  for (const auto& [cpus, unused] : reference) shape[cpus] = value(cpus);
  return scaled_to(reference, shape);
}

double squares_of(const Curve& reference, const Curve& model) {
  double sum = 0;
  for (const auto& [cpus, rate] : reference) sum += std::pow(std::log(model.at(cpus) / rate), 2);
  return sum;
}

Curve best_amdahl(const Curve& reference) {
  constexpr int steps = 2000;
  Curve best;
  for (int i = 0; i <= steps; ++i) {
    const double serial = static_cast<double>(i) / steps;
    const Curve one = shaped(reference, [serial](int n) { return n / (1 + serial * (n - 1)); });
    if (best.empty() || squares_of(reference, one) < squares_of(reference, best)) best = one;
  }
  return best;
}

/** The points of `curve` at CPU counts that `other` has too. */
Curve common_points(const Curve& curve, const Curve& other) {
  Curve common;
  for (const auto& [cpus, rate] : curve) {
    if (other.contains(cpus)) common[cpus] = rate;
  }
  return common;
}

std::vector<System> read_systems(const json& reference) {
  std::vector<System> systems;
  for (const auto& [name, one] : reference.at("systems").items()) {
    if (!one.contains("case")) continue;
    System system{name,
                  one.at("about"),
                  one.value("kind", reference.at("kind")),
                  one.value("fitted", reference.value("fitted", "")),
                  one.value("group", ""),
                  {},
                  {},
                  {},
                  {}};
    system.wanted = {{"workload", reference.at("workload")},
                     {"machine", reference.at("machine")},
                     {"placement", reference.value("placement", "compact")}};
    system.wanted.update(one.at("case"));
    for (const auto& [cpus, rate] : one.at("rates").items()) {
      if (rate.get<double>() <= 0)
        throw std::invalid_argument(
            fmt::format("systems.{}.rates.{}: {}, expected operations per second above 0", name,
                        cpus, rate.dump()));
      system.reference[std::stoi(cpus)] = rate.get<double>();
    }
    systems.push_back(std::move(system));
  }
  return systems;
}

void take_cases(const json& part, std::vector<System>& systems) {
  for (const json& one : part["cases"])
    for (System& system : systems) {
      if (!stands_for(one, system.wanted)) continue;
      const json rate = rate_of(one, system.kind);
      // A rate of 0 has no logarithm.
      if (!rate.is_object() || rate["median"].get<double>() <= 0) continue;
      system.estimates[one["threads"].get<int>()] = rate;
      system.doubts[one["threads"].get<int>()] = doubts_text(one);
    }
}

Curve medians_of(const std::map<int, json>& estimates) {
  Curve curve;
  for (const auto& [cpus, estimate] : estimates) curve[cpus] = estimate.at("median").get<double>();
  return curve;
}

/** The points of both curves by rising CPU count, with the error at those that both have. */
json points_of(const System& system) {
  std::map<int, json> points;
  for (const auto& [cpus, rate] : system.reference) points[cpus]["published"] = rate;
  for (const auto& [cpus, estimate] : system.estimates) points[cpus]["simulated"] = estimate;
  for (const auto& [cpus, why] : system.doubts)
    if (!why.empty()) points[cpus]["doubtful"] = why;
  json list = json::array();
  for (auto& [cpus, point] : points) {
    point["cpus"] = cpus;
    if (point.contains("published") && point.contains("simulated"))
      point["decades"] =
          std::log10(point["simulated"]["median"].get<double>() / point["published"].get<double>());
    list.push_back(std::move(point));
  }
  return list;
}

json system_json(const System& system) {
  const Curve simulated = medians_of(system.estimates);
  const Curve common = common_points(system.reference, simulated);
  const FitError error = error_of(common, simulated);
  json one = {
      {"name", system.name},
      {"about", system.about},
      {"group", system.group},
      {"case", system.wanted},
      {"fitted", system.fitted},
      {"points", points_of(system)},
      {"published_points", system.reference.size()},
      {"error",
       {{"mean", error.mean},
        {"worst", error.worst},
        {"worst_at", error.worst_at},
        {"points", error.points}}},
      {"peak",
       {{"published", peak_of(common)}, {"simulated", peak_of(common_points(simulated, common))}}},
      {"linear", false},
      {"trivial", json::array()}};
  constexpr std::size_t fewest = 3;  // a model with two constants fits two points exactly
  if (error.points < fewest) return one;
  for (const auto& [name, model] : trivial_models(common)) {
    const FitError trivial = error_of(common, model);
    one["trivial"].push_back({{"name", name},
                              {"mean", trivial.mean},
                              {"worst", trivial.worst},
                              {"beaten", error.mean < trivial.mean}});
    constexpr double near = 0.1;  // decades: a quarter, on average
    if (name == "linear") one["linear"] = trivial.mean <= near;
  }
  return one;
}

/** The system's name without its group, which the order itself names. */
std::string name_in_group(const json& system) {
  std::string name = system["name"];
  const std::string group = ", " + system["group"].get<std::string>();
  if (name.ends_with(group)) name.resize(name.size() - group.size());
  return name;
}

/** "a > b" at that many CPUs; empty unless all systems have a rate there. */
std::string order_of(const json& systems, const auto& rate_of) {
  std::vector<std::pair<double, std::string>> rates;
  for (const json& system : systems) {
    const double rate = rate_of(system["points"]);
    if (rate <= 0) return "";
    rates.emplace_back(-rate, name_in_group(system));
  }
  std::sort(rates.begin(), rates.end());
  std::vector<std::string> names;
  for (const auto& [rate, name] : rates) names.push_back(name);
  return fmt::format("{}", fmt::join(names, " > "));
}

/** The orders of the systems of one group. */
void append_orders(json& orders, const json& systems) {
  if (systems.size() < 2) return;
  for (const json& place : systems.front()["points"]) {
    const auto order_by = [&](const json::json_pointer& value) {
      return order_of(systems, [&](const json& points) {
        for (const json& point : points)
          if (point["cpus"] == place["cpus"]) return point.value(value, 0.0);
        return 0.0;
      });
    };
    const std::string published = order_by(json::json_pointer("/published"));
    const std::string simulated = order_by(json::json_pointer("/simulated/median"));
    if (published.empty() || simulated.empty()) continue;
    orders.push_back({{"group", systems.front()["group"]},
                      {"cpus", place["cpus"]},
                      {"published", published},
                      {"simulated", simulated},
                      {"same", published == simulated}});
  }
}

json orders_of(const json& systems) {
  std::map<std::string, json> groups;
  for (const json& system : systems) groups[system["group"].get<std::string>()].push_back(system);
  json orders = json::array();
  for (const auto& [name, group] : groups) append_orders(orders, group);
  return orders;
}

void print_trivial(std::ostream& out, const json& system) {
  for (const json& trivial : system["trivial"])
    fmt::print(out, "  {}, fitted to it: {:.2f} on average, {:.2f} at worst; {}\n",
               trivial["name"].get<std::string>(), trivial["mean"].get<double>(),
               trivial["worst"].get<double>(),
               trivial["beaten"].get<bool>()  ? "beaten"
               : system["linear"].get<bool>() ? "not beaten: the curve is itself linear"
                                              : "not beaten");
}

void print_system(std::ostream& out, const json& system) {
  fmt::print(out, "\n{} ({}), represented by {} on {}\n", system["name"].get<std::string>(),
             system["about"].get<std::string>(), system["case"].value("workload", ""),
             system["case"].value("scheme", ""));
  fmt::print(out, "  {:>5} {:>11} {:>11} {:>12}\n", "CPUs", "published", "simulated",
             "log10 error");
  for (const json& point : system["points"]) {
    if (!point.contains("decades")) continue;
    const std::string why = point.value("doubtful", "");
    fmt::print(out, "  {:>5} {:>11} {:>11} {:>+12.2f}{}\n", point["cpus"].get<int>(),
               human_rate(point["published"].get<double>()),
               human_rate(point["simulated"]["median"].get<double>()),
               point["decades"].get<double>(), why.empty() ? "" : "  doubtful: " + why);
  }
  const json& error = system["error"];
  fmt::print(out,
             "  error over {} of {} points {:.2f} on average, {:.2f} at worst, at {} CPUs; peak at "
             "{} CPUs, published at {}\n",
             error["points"].get<std::size_t>(), system["published_points"].get<std::size_t>(),
             error["mean"].get<double>(), error["worst"].get<double>(),
             error["worst_at"].get<int>(), system["peak"]["simulated"].get<int>(),
             system["peak"]["published"].get<int>());
  print_trivial(out, system);
}

void print_orders(std::ostream& out, const json& orders) {
  if (orders.empty()) return;
  fmt::print(out, "\norder of the systems\n");
  for (const json& order : orders)
    fmt::print(out, "  {:>5} CPUs{}: {}{}\n", order["cpus"].get<int>(),
               order["group"] == "" ? "" : ", " + order["group"].get<std::string>(),
               order["simulated"].get<std::string>(),
               order["same"].get<bool>() ? ", as published"
                                         : ", published " + order["published"].get<std::string>());
}

std::size_t rank_of(const std::string& rung) {
  const auto found = std::find(rungs.begin(), rungs.end(), rung);
  if (found == rungs.end())
    throw std::invalid_argument(
        fmt::format("rung: '{}', expected one of {}", rung, fmt::join(rungs, ", ")));
  return static_cast<std::size_t>(found - rungs.begin());
}

void print_reference(std::ostream& out, const json& fit) {
  fmt::print(out, "\n== {}: {}\npublished: {}\n", fit["rung"].get<std::string>(),
             fit["name"].get<std::string>(), fit["source"].get<std::string>());
  for (const json& system : fit["systems"]) print_system(out, system);
  print_orders(out, fit["orders"]);
  print_changes(out, fit["changes"]);
}

/** All curves: first those that constants were fitted to, then the predictions. */
void print_table(std::ostream& out, const std::vector<json>& fits) {
  for (const bool fitted : {true, false}) {
    std::string rows;
    for (const json& fit : fits)
      for (const json& system : fit["systems"]) {
        if (system["fitted"].get<std::string>().empty() == fitted) continue;
        const json& error = system["error"];
        rows += fmt::format("{:<14} {:<26} {:<48} {:>6.2f} {:>6.2f} {:>5} {:>6}\n",
                            fit["rung"].get<std::string>(), fit["name"].get<std::string>(),
                            system["name"].get<std::string>(), error["mean"].get<double>(),
                            error["worst"].get<double>(), error["worst_at"].get<int>(),
                            error["points"].get<std::size_t>());
      }
    if (rows.empty()) continue;
    fmt::print(out, "\n{}; errors in decades\n{:<14} {:<26} {:<48} {:>6} {:>6} {:>5} {:>6}\n{}",
               fitted ? "Development data: constants were fitted to these curves"
                      : "Predictions: no constant was fitted to these curves",
               "rung", "reference", "curve", "mean", "worst", "at", "points", rows);
  }
}

}  // namespace

FitError error_of(const Curve& reference, const Curve& model) {
  FitError error;
  for (const auto& [cpus, rate] : reference) {
    const auto found = model.find(cpus);
    if (found == model.end()) continue;
    const double decades = std::abs(std::log10(found->second / rate));
    error.mean += decades;
    if (decades >= error.worst) error.worst = decades, error.worst_at = cpus;
    ++error.points;
  }
  if (error.points > 0) error.mean /= static_cast<double>(error.points);
  return error;
}

std::map<std::string, Curve> trivial_models(const Curve& reference) {
  return {{"flat", shaped(reference, [](int) { return 1.0; })},
          {"linear", shaped(reference, [](int n) { return static_cast<double>(n); })},
          {"Amdahl", best_amdahl(reference)}};
}

int peak_of(const Curve& curve) {
  return std::max_element(curve.begin(), curve.end(),
                          [](const auto& a, const auto& b) { return a.second < b.second; })
      ->first;
}

std::vector<std::string> published_curves() {
  std::vector<std::string> paths;
  for (const auto& file : std::filesystem::directory_iterator(data_file("curves")))
    if (file.path().extension() == ".json") paths.push_back(file.path().string());
  std::sort(paths.begin(), paths.end());
  return paths;
}

json fit_of(const std::vector<json>& parts, const std::string& path) {
  const std::string text = read_text(path, a_reference);
  json fit = {{"name", std::filesystem::path(path).stem().string()}};
  std::vector<System> systems;
  try {
    const json reference = json::parse(text);
    systems = read_systems(reference);
    rank_of(reference.at("rung"));
    fit["changes"] = changes_of(parts, reference);
    for (const char* key : {"rung", "source", "machine", "workload", "unit"})
      fit[key] = reference.at(key).get<std::string>();
  } catch (const std::exception& error) {
    throw std::invalid_argument(
        fmt::format("not a reference, {}: {}, expected {}", path, error.what(), a_reference));
  }
  for (const json& part : parts) take_cases(part, systems);
  fit["systems"] = json::array();
  for (const System& system : systems)
    if (error_of(system.reference, medians_of(system.estimates)).points != 0)
      fit["systems"].push_back(system_json(system));
  fit["orders"] = orders_of(fit["systems"]);
  return fit;
}

std::vector<json> fits_of(const std::vector<json>& parts,
                          const std::vector<std::string>& references) {
  std::vector<json> fits;
  for (const std::string& reference : references) {
    json fit = fit_of(parts, reference);
    if (!fit["systems"].empty() || !fit["changes"].empty()) fits.push_back(std::move(fit));
  }
  std::stable_sort(fits.begin(), fits.end(), [](const json& a, const json& b) {
    return rank_of(a["rung"]) < rank_of(b["rung"]);
  });
  return fits;
}

std::vector<json> print_fit(const std::vector<std::string>& results,
                            const std::vector<std::string>& references, std::ostream& out) {
  std::vector<json> parts;
  for (const std::string& file : results) parts.push_back(load_results(file)["faultline"]);
  const std::vector<json> fits = fits_of(parts, references);
  if (fits.empty())
    throw std::invalid_argument(
        fmt::format("nothing to fit, {}: no case that {} names, expected one at least",
                    fmt::join(results, ", "), fmt::join(references, ", ")));
  for (std::size_t i = 0; i < parts.size(); ++i)
    fmt::print(out, "{}: {}\n", results[i], provenance(parts[i]));
  for (const json& fit : fits) print_reference(out, fit);
  print_table(out, fits);
  return fits;
}

}  // namespace faultline
