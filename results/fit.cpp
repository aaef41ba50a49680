#include "results/fit.hpp"

#include <fmt/core.h>
#include <fmt/ostream.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "results/files.hpp"
#include "results/reader.hpp"
#include "results/summary.hpp"

namespace faultline {
namespace {

using nlohmann::json;

constexpr const char* a_reference = "published curves as results/reference/ has them";

struct System {
  std::string name;
  std::string about;
  json wanted;  // what its case must have
  Curve reference;
  Curve simulated;
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

/** What `curve` has where `other` has something too. */
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
    System system{name, one.at("about"), one.at("case"), {}, {}};
    system.wanted["workload"] = reference.at("workload");
    system.wanted["machine"] = reference.at("machine");
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

bool stands_for(const json& one, const json& wanted) {
  if (one.value("private", false) || one.value("placement", "") != "compact") return false;
  return std::all_of(wanted.items().begin(), wanted.items().end(), [&](const auto& item) {
    return one.value(item.key(), json()) == item.value();
  });
}

void take_cases(const json& part, const std::string& kind, std::vector<System>& systems) {
  for (const json& one : part["cases"])
    for (System& system : systems) {
      const json::json_pointer rate = json::json_pointer("/kinds") / kind / "rate" / "median";
      if (stands_for(one, system.wanted) && one.contains(rate))
        system.simulated[one["threads"].get<int>()] = one.at(rate).get<double>();
    }
}

void print_curve(std::ostream& out, const System& system) {
  fmt::print(out, "\n{} ({}), for which stands {}\n", system.name, system.about,
             system.wanted.value("scheme", ""));
  fmt::print(out, "  {:>5} {:>11} {:>11} {:>12}\n", "CPUs", "published", "simulated",
             "log10 error");
  for (const auto& [cpus, rate] : system.reference) {
    const auto found = system.simulated.find(cpus);
    if (found == system.simulated.end()) continue;
    fmt::print(out, "  {:>5} {:>11} {:>11} {:>+12.2f}\n", cpus, human_rate(rate),
               human_rate(found->second), std::log10(found->second / rate));
  }
  const Curve reference = common_points(system.reference, system.simulated);
  const Curve simulated = common_points(system.simulated, system.reference);
  const FitError error = error_of(reference, simulated);
  fmt::print(out,
             "  error over {} of {} points {:.2f} on average, {:.2f} at worst; peak at {} CPUs, "
             "published at {}\n",
             error.points, system.reference.size(), error.mean, error.worst, peak_of(simulated),
             peak_of(reference));
  constexpr std::size_t fewest = 3;  // a model with two constants goes through two points
  if (error.points < fewest) return;
  for (const auto& [name, model] : trivial_models(reference)) {
    const FitError trivial = error_of(reference, model);
    fmt::print(out, "  {}, fitted to it: {:.2f} on average, {:.2f} at worst; {}\n", name,
               trivial.mean, trivial.worst, error.mean < trivial.mean ? "beaten" : "not beaten");
  }
}

/** "a > b" at that many CPUs, by either curve. */
std::string order_at(const std::vector<System>& systems, int cpus, Curve System::*curve) {
  std::vector<std::pair<double, std::string>> rates;
  for (const System& system : systems) {
    const auto found = (system.*curve).find(cpus);
    if (found == (system.*curve).end()) return "";
    rates.emplace_back(-found->second, system.name);
  }
  std::sort(rates.begin(), rates.end());
  std::vector<std::string> names;
  for (const auto& [rate, name] : rates) names.push_back(name);
  return fmt::format("{}", fmt::join(names, " > "));
}

void print_orders(std::ostream& out, const std::vector<System>& systems) {
  if (systems.size() < 2) return;
  fmt::print(out, "\norder of the systems\n");
  for (const auto& [cpus, unused] : systems.front().reference) {
    const std::string published = order_at(systems, cpus, &System::reference);
    const std::string simulated = order_at(systems, cpus, &System::simulated);
    if (published.empty() || simulated.empty()) continue;
    fmt::print(out, "  {:>5} CPUs: {}{}\n", cpus, simulated,
               simulated == published ? ", as published" : ", published " + published);
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
    error.worst = std::max(error.worst, decades);
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

void print_fit(const std::vector<std::string>& results, const std::string& path,
               std::ostream& out) {
  const std::string text = read_text(path, a_reference);
  std::vector<System> systems;
  std::string kind;
  try {
    const json reference = json::parse(text);
    systems = read_systems(reference);
    kind = reference.at("kind");
    fmt::print(out, "published: {}\n", reference.at("source").get<std::string>());
  } catch (const std::exception& error) {
    throw std::invalid_argument(
        fmt::format("not a reference, {}: {}, expected {}", path, error.what(), a_reference));
  }
  for (const std::string& file : results) {
    const json part = load_results(file)["faultline"];
    fmt::print(out, "{}: {}\n", file, provenance(part));
    take_cases(part, kind, systems);
  }
  std::erase_if(systems, [](const System& system) {
    return error_of(system.reference, system.simulated).points == 0;
  });
  if (systems.empty())
    throw std::invalid_argument(
        fmt::format("nothing to fit, {}: no case that {} names, expected one at least",
                    fmt::join(results, ", "), path));
  for (const System& system : systems) print_curve(out, system);
  print_orders(out, systems);
}

}  // namespace faultline
